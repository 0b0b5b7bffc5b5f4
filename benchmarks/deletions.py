"""Rows that must be forgotten: three batches in ten are taken back at random, against learning the rest anew.

    python -m benchmarks.deletions [--data FOLDER] [--streams digits-images] [--methods ridge,lda,replay] [--seeds N]

The stream's rows come mixed, in 30 equal batches, and are learned; then nine of those are taken back by one order of
retraction, as the service does it. *anew*: a model that never saw them and learned the others one after another.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.learners.known import OURS
from benchmarks.learners.service import Service
from benchmarks.running.command import chosen_streams, finished, methods_options, parser_of, seeds, streams_options
from benchmarks.streams.known import stream_of
from benchmarks.streams.stream import Rows, Stream
from benchmarks.tables.records import write
from benchmarks.tables.scores import Places
from benchmarks.tables.terminal import bar, table

BATCHES, SHARE = 30, 0.3


@dataclass(frozen=True)
class Deleted:
    """Accuracy on the test rows before, after the retraction and of the model that never saw the rows; core-seconds.

    same_sums: the ledger after the retraction has the digest of the other's; None: neither has one · same_scores: both
    give each test row the same scores to the last bit · how: as the service tells it.
    """

    stream: str
    seed: int
    method: str
    before: float
    after: float
    anew: float
    seconds: float
    anew_seconds: float
    same_sums: bool | None
    same_scores: bool
    how: str


def taken_back(stream: Stream, method: str) -> Deleted:
    """Learn, take back, and learn the rest anew."""
    train, test, seed = stream.rows, stream.test, stream.seed
    assert test is not None
    parts = np.array_split(np.arange(len(train)), BATCHES)
    gone = sorted(np.random.default_rng(seed).permutation(BATCHES)[: round(SHARE * BATCHES)].tolist())
    with Service(stream, method, promote=True) as one, Service(stream, method, promote=True) as another:
        model, other = one.model, another.model
        names = _learn(one, train, parts)
        before = model.accuracy(test.inputs, test.targets)
        began = time.process_time()
        result = model.retract([names[k] for k in gone])
        seconds = time.process_time() - began
        began = time.process_time()
        _learn(another, train, [p for k, p in enumerate(parts) if k not in gone])
        anew_seconds = time.process_time() - began
        digests = result.ledger_digest, other.made.ledger_digest if other.made else None
        scores = [m.predictor().answer(test.inputs).values for m in (model, other)]
        return Deleted(
            stream.name,
            seed,
            method,
            before,
            *(m.accuracy(test.inputs, test.targets) for m in (model, other)),
            seconds,
            anew_seconds,
            None if digests == (None, None) else digests[0] == digests[1],
            scores[0].shape == scores[1].shape and bool((scores[0] == scores[1]).all()),
            result.why,
        )


def _learn(learner: Service, train: Rows, parts: Sequence[Places]) -> list[str]:
    names = []
    for part in parts:
        learner.learn(train.take(part))
        names.append(learner.model.newest)
    return names


def report(deleted: Sequence[Deleted]) -> Iterator[str]:
    """One table."""
    columns = (
        "stream",
        "seed",
        "method",
        "before",
        "after",
        "anew",
        "core s",
        "anew core s",
        "same sums",
        "same scores",
    )
    yield table(
        columns,
        [
            [
                d.stream,
                str(d.seed),
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
    yield from dict.fromkeys(f"  {d.method}: {d.how}" for d in deleted)


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code: 0, or 2 where the data are missing."""
    parser = parser_of("deletions", __doc__)
    streams_options(parser, "those of classes")
    methods_options(parser, "auto,ridge,lda,replay", OURS)
    parser.add_argument("--seeds", type=seeds, default="3", help="draws of what is taken back, how many or 1-4")
    arguments = parser.parse_args(words)
    arguments.streams = chosen_streams(arguments, ["digits-images"])

    def run() -> Iterator[str]:
        deleted = list[Deleted]()
        rounds = [(name, seed) for name in arguments.streams for seed in arguments.seeds]
        with bar(len(rounds) * len(arguments.methods)) as advance:
            for name, seed in rounds:
                stream = stream_of(name, arguments.data, seed).first(arguments.batches).aside()
                for method in arguments.methods:
                    deleted.append(taken_back(stream, method))
                    advance(f"{name} {seed}: {method}")
        write(deleted, arguments.json)
        yield from report(deleted)

    return finished(run)


if __name__ == "__main__":
    sys.exit(main())
