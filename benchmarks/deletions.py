"""Rows that must be forgotten: three batches in ten are taken back at random, against learning the rest anew.

    python -m benchmarks.deletions [--data FOLDER] [--stream digits-images] [--methods ridge,lda,replay] [--json FILE]

The stream's rows come mixed, in 30 equal batches, and are learned; then nine of those are taken back by one order of
retraction, as the service does it. *anew*: a model that never saw them and learned the others one after another.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.running.workbench import Model
from benchmarks.streams.learners import ON_BACKBONE, request
from benchmarks.streams.streams import STREAMS, Rows, Stream, data_option, load
from benchmarks.tables.scores import Places
from benchmarks.tables.terminal import bar, table
from service.contract.inputs import Architecture, MlpBackbone
from service.learning.methods import AUTO, METHODS

BATCHES, SHARE = 30, 0.3


@dataclass(frozen=True)
class Deleted:
    """Accuracy on the test rows before, after the retraction and of the model that never saw the rows; core-seconds.

    same_sums: the ledger after the retraction has the digest of the other's; None: neither has one · same_scores: both
    give each test row the same scores to the last bit · how: as the service tells it.
    """

    stream: str
    method: str
    before: float
    after: float
    anew: float
    seconds: float
    anew_seconds: float
    same_sums: bool | None
    same_scores: bool
    how: str


def taken_back(stream: Stream, method: str, train: Rows, test: Rows, seed: int = 0) -> Deleted:
    """Learn, take back, and learn the rest anew."""
    parts = np.array_split(np.arange(len(train)), BATCHES)
    gone = sorted(np.random.default_rng(seed).permutation(BATCHES)[: round(SHARE * BATCHES)].tolist())
    architecture = Architecture(backbone=MlpBackbone(name="mlp", hidden=list(stream.hidden)))
    wanted, made = request(method, stream), None if method in ON_BACKBONE else architecture
    with Model(stream.input, made) as model, Model(stream.input, made) as other:
        names = _learn(model, train, parts, wanted, seed)
        before = _accuracy(model, test)
        began = time.process_time()
        result = model.retract([names[k] for k in gone])
        seconds = time.process_time() - began
        began = time.process_time()
        _learn(other, train, [p for k, p in enumerate(parts) if k not in gone], wanted, seed)
        anew_seconds = time.process_time() - began
        digests = result.ledger_digest, other.made.ledger_digest if other.made else None
        scores = [m.predictor().probabilities(test.inputs) for m in (model, other)]
        return Deleted(
            stream.name,
            method,
            before,
            _accuracy(model, test),
            _accuracy(other, test),
            seconds,
            anew_seconds,
            None if digests == (None, None) else digests[0] == digests[1],
            scores[0].shape == scores[1].shape and bool((scores[0] == scores[1]).all()),
            result.why,
        )


def _learn(model: Model, train: Rows, parts: Sequence[Places], wanted: dict[str, Any], seed: int) -> list[str]:
    names = []
    for part in parts:
        rows = train.take(part)
        model.learn(rows.inputs, rows.labels.tolist(), wanted, seed, promote=True)
        names.append(model.newest)
    return names


def _accuracy(model: Model, test: Rows) -> float:
    return float((model.predict(test.inputs) == test.labels).mean())


def report(deleted: Sequence[Deleted]) -> Iterator[str]:
    """One table."""
    columns = ("stream", "method", "before", "after", "anew", "core s", "anew core s", "same sums", "same scores")
    yield table(
        columns,
        [
            [
                d.stream,
                d.method,
                *(f"{a:.4f}" for a in (d.before, d.after, d.anew)),
                f"{d.seconds:.2f}",
                f"{d.anew_seconds:.2f}",
                {True: "yes", False: "no", None: "–"}[d.same_sums],
                "yes" if d.same_scores else "no",
            ]
            for d in deleted
        ],
    )
    yield from (f"  {d.method}: {d.how}" for d in deleted)


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code: 0, or 2 where the data are missing."""
    parser = argparse.ArgumentParser("benchmarks.deletions", description=__doc__.split("\n\n")[0] if __doc__ else None)
    data_option(parser, "folder of the stream's NAME.npz")
    parser.add_argument("--stream", choices=list(STREAMS), default="digits-images")
    parser.add_argument("--methods", type=lambda text: text.split(","), default="auto,ridge,lda,replay")
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args(words)
    if unknown := {*arguments.methods} - {AUTO, *METHODS}:
        parser.error(f"no method {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    stream, deleted = STREAMS[arguments.stream], list[Deleted]()
    try:
        train, test = load(stream, arguments.data, seed=0)
    except FileNotFoundError as missing:
        print(missing, file=sys.stderr)
        return 2
    with bar(len(arguments.methods)) as advance:
        for method in arguments.methods:
            deleted.append(taken_back(stream, method, train, test))
            advance(method)
    print("\n".join(report(deleted)))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(d) for d in deleted], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
