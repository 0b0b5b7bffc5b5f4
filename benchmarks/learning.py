"""How well each method learns classes that arrive in steps, beside joint retraining, by the service's own updates.

    python -m benchmarks.learning [--data FOLDER] [--streams digits,mnist10k,letter] [--methods auto,ridge] [--seeds N]

FOLDER (or TSUIKA_BENCH_DATA) holds mnist10k.npz and letter.npz with X_train, y_train, X_test, y_test; digits come with
scikit-learn. A version that the gate stops is promoted by hand and counted, so that each stream is learned to its end.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.joint import joint, ridge_head
from benchmarks.scores import Course
from benchmarks.streams import STREAMS, Rows, Stream, load
from benchmarks.targets import targets
from benchmarks.telling import bar, table
from benchmarks.workbench import Model
from service.contract.inputs import Architecture, MlpBackbone
from service.learning.features import Space, feature_blocks
from service.learning.methods import AUTO, METHODS
from service.worker.assignment import Result

EXACT = (AUTO, "ridge", "lda")
"""Learn on the model's default architecture; the others train the network of joint retraining."""
REQUESTS: dict[str, dict[str, Any]] = {"replay": {"memory_rows": 500}}
"""What a method is asked for beside its defaults."""


@dataclass(frozen=True)
class Learned:
    """One method on one stream and seed, after the last step. `bytes`: of the version · `kept`: with rows and features.

    `gate`: what the gate said of each update · `chosen`: the methods that learned · `numpy_ridge`: accuracy of a ridge
    head that was fitted in numpy on the features of exactly the rows that a `ridge` learned.
    """

    stream: str
    method: str
    seed: int
    accuracy: float
    seconds: float
    last_seconds: float
    bytes: int
    kept: int = 0
    forgetting: float | None = None
    masked_forgetting: float | None = None
    intrusion: float | None = None
    numpy_ridge: float | None = None
    gate: list[str] = field(default_factory=list)
    chosen: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)


def learn(stream: Stream, method: str, train: Rows, test: Rows, seed: int) -> Learned:
    """The stream, step by step, each version promoted whatever the gate says of it."""
    backbone = None if method in EXACT else Architecture(backbone=MlpBackbone(name="mlp", hidden=list(stream.hidden)))
    request = {"name": method, **REQUESTS.get(method, {})}
    course, results, seconds = Course(), list[Result](), list[float]()
    with Model(stream.input, backbone, secret=b"folds %d" % seed) as model:
        for step in stream.steps(set(train.labels)):
            rows, asked = train.of(step), test.of([*course.known, *step])
            began = time.perf_counter()
            results.append(model.learn(rows.inputs, rows.labels.tolist(), request, seed=seed, promote=True))
            seconds.append(time.perf_counter() - began)
            predictor = model.predictor()
            course.after(step, predictor.names, predictor.probabilities(asked.inputs), asked.labels)
        return Learned(
            stream.name,
            method,
            seed,
            accuracy=course.accuracy,
            seconds=sum(seconds),
            last_seconds=seconds[-1],
            bytes=sum(s.bytes for s in results[-1].shards),
            kept=model.kept_bytes,
            forgetting=course.forgetting,
            masked_forgetting=course.masked_forgetting,
            intrusion=course.intrusion,
            numpy_ridge=in_numpy(model, train, test) if method == "ridge" else None,
            gate=[_verdict(r) for r in results],
            chosen=[str(r.method["name"]) for r in results if r.method],
            details=results[-1].report.method,
        )


def in_numpy(model: Model, train: Rows, test: Rows) -> float:
    """Accuracy of a ridge head over the live version's features, with its strength and prior, in floats."""
    checkpoint = model.checkpoint()
    network, exact = Space.of(checkpoint).network, checkpoint.layout.exact
    assert exact is not None
    assert exact.alpha is not None
    h, u = (
        np.concatenate([f.double().numpy() for _, f in feature_blocks(network, rows.inputs)]) for rows in (train, test)
    )
    return float((ridge_head(h, train.labels, exact.alpha, exact.prior).answers(u) == test.labels).mean())


def _verdict(result: Result) -> str:
    """live, or what it was stopped by: "rejected by 5 forgets"."""
    gate = result.report.gate
    fired = [r for r in gate.rules if r.severity == "rejected"] or [r for r in gate.rules if r.severity]
    return f"{fired[0].severity} by " + ", ".join(f"{r.number} {r.name}" for r in fired) if fired else "live"


def run(arguments: argparse.Namespace) -> list[Learned]:
    """All streams, seeds and methods."""
    found: list[Learned] = []
    rounds = [(s, seed) for s in arguments.streams for seed in range(arguments.seeds or s.seeds)]
    with bar(len(rounds) * (1 + len(arguments.methods))) as advance:
        for stream, seed in rounds:
            train, test = load(stream, arguments.data, seed)
            bound = joint(stream, train, test, seed)
            found.append(
                Learned(
                    stream.name, "joint", seed, bound.accuracy, bound.seconds, bound.seconds, bound.bytes, bound.bytes
                )
            )
            advance(f"{stream.name} {seed}: joint")
            for method in arguments.methods:
                found.append(learn(stream, method, train, test, seed))
                advance(f"{stream.name} {seed}: {method}")
    return found


COLUMNS = (
    "method",
    "accuracy",
    "of joint",
    "forgetting",
    "masked",
    "intrusion",
    "seconds",
    "last",
    "kB",
    "kept kB",
    "live",
)


def told(found: Sequence[Learned]) -> Iterator[str]:
    """One table a stream, means over the seeds; then what was aimed at."""
    for name in dict.fromkeys(r.stream for r in found):
        here = [r for r in found if r.stream == name]
        groups = {m: [r for r in here if r.method == m] for m in dict.fromkeys(r.method for r in here)}
        seeds = len(groups["joint"])
        yield f"{name}, {seeds} seed{'s' * (seeds > 1)}"
        yield table(
            COLUMNS, [_row(method, rows, _mean(groups["joint"], "accuracy")) for method, rows in groups.items()]
        )
        for method, rows in groups.items():
            stopped = Counter(said for r in rows for said in r.gate if said != "live")
            yield from (
                f"  {method}: {said}, {'once' if k == 1 else f'{k} times'}" for said, k in stopped.most_common()
            )
        yield ""
    yield from targets([asdict(r) for r in found])


def _row(method: str, rows: Sequence[Learned], bound: float) -> list[str]:
    measured = (
        ["–"] * 3
        if method == "joint"
        else [f"{_mean(rows, name):.4f}" for name in ("forgetting", "masked_forgetting", "intrusion")]
    )
    said = [word for r in rows for word in r.gate]
    return [
        method,
        f"{_mean(rows, 'accuracy'):.4f}",
        f"{_mean(rows, 'accuracy') / bound:.4f}",
        *measured,
        f"{_mean(rows, 'seconds'):.2f}",
        f"{_mean(rows, 'last_seconds'):.2f}",
        f"{_mean(rows, 'bytes') / 1000:.0f}",
        f"{_mean(rows, 'kept') / 1000:.0f}",
        f"{said.count('live')} of {len(said)}" if said else "–",
    ]


def _mean(rows: Sequence[Learned], name: str) -> float:
    return float(np.mean([getattr(r, name) for r in rows]))


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code: 0, or 2 where the data are missing."""
    arguments = _arguments(words)
    torch.set_num_threads(1)
    try:
        found = run(arguments)
    except FileNotFoundError as missing:
        print(missing, file=sys.stderr)
        return 2
    print("\n".join(told(found)))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(r) for r in found], indent=1) + "\n")
    return 0


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.learning", description=__doc__.split("\n\n")[0] if __doc__ else None)
    folder = os.environ.get("TSUIKA_BENCH_DATA")
    parser.add_argument("--data", type=Path, default=folder and Path(folder), help="folder of mnist10k.npz, letter.npz")
    parser.add_argument(
        "--streams", type=_streams, help=f"of {', '.join(STREAMS)}, or a data set; by default all that have their data"
    )
    parser.add_argument("--methods", type=_methods, default=",".join([AUTO, *METHODS]), help="names, with commas")
    parser.add_argument("--seeds", type=int, help="seeds (digits: splits); by default 5 for digits, 1 for the others")
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args(words)
    if arguments.streams is None:
        arguments.streams = _streams("digits,mnist10k,letter" if arguments.data else "digits")
    return arguments


def _streams(text: str) -> list[Stream]:
    found = [s for word in text.split(",") for s in STREAMS.values() if word in (s.name, s.data)]
    if not found:
        raise argparse.ArgumentTypeError(f"there are {', '.join(STREAMS)}")
    return found


def _methods(text: str) -> list[str]:
    names = text.split(",")
    if unknown := {*names} - {AUTO, *METHODS}:
        raise argparse.ArgumentTypeError(
            f"no method {', '.join(sorted(unknown))}; there are {AUTO}, {', '.join(METHODS)}"
        )
    return names


if __name__ == "__main__":
    sys.exit(main())
