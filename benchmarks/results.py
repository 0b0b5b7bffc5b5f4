"""What was measured: one record a run, kept as JSON lines, and the tables that show them.

python -m benchmarks.results FILE...     tables of results that were kept, of several commands side by side
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables.scores import Course
from benchmarks.tables.targets import targets
from benchmarks.tables.telling import table

JOINT = "joint"


@dataclass(frozen=True)
class Learned:
    """One method on one stream and seed, after the last step. `bytes`: of the version · `kept`: with rows and features.

    accuracies: after each update · seconds: of the processor, all updates and the last one,
    training_seconds: of all, without the judging · `gate`: what the gate said
    of each update · `chosen`: the methods that learned · `numpy_ridge`: accuracy of a ridge head that was fitted in
    numpy on the features of exactly the rows that a `ridge` learned · `refused`: why the method cannot run here.
    """

    stream: str
    method: str
    seed: int
    accuracy: float = 0.0
    seconds: float = 0.0
    last_seconds: float = 0.0
    training_seconds: float | None = None
    bytes: int = 0
    kept: int = 0
    average: float | None = None
    accuracies: list[float] = field(default_factory=list)
    forgetting: float | None = None
    masked_forgetting: float | None = None
    backward: float | None = None
    intrusion: float | None = None
    numpy_ridge: float | None = None
    gate: list[str] = field(default_factory=list)
    chosen: list[str] = field(default_factory=list)
    challenges: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    refused: str | None = None


def scored(stream: str, method: str, seed: int, course: Course, seconds: Sequence[float], **more: Any) -> Learned:
    """A record from a course and the core-seconds of its updates."""
    several = len(course.plain) > 1
    return Learned(
        stream,
        method,
        seed,
        accuracy=course.accuracy,
        average=course.average if several else None,
        accuracies=course.accuracies,
        forgetting=course.forgetting if several else None,
        masked_forgetting=course.masked_forgetting if several else None,
        backward=course.backward if several else None,
        intrusion=course.intrusion if several else None,
        seconds=sum(seconds),
        last_seconds=seconds[-1],
        **more,
    )


def keep(found: Learned, file: Path | None) -> Learned:
    """Append it to the file, if there is one."""
    if file is not None:
        with file.open("a") as lines:
            lines.write(json.dumps(asdict(found)) + "\n")
    return found


def kept(file: Path) -> list[Learned]:
    """The records of a file, the last one where a run was done again."""
    lines = [Learned(**json.loads(line)) for line in file.read_text().splitlines() if line]
    return list({(r.stream, r.method, r.seed): r for r in lines}.values())


HEADINGS = (
    "method",
    "accuracy",
    "lowest-highest",
    "of joint",
    "average",
    "regret",
    "forgets",
    "masked",
    "backward",
    "intrusion",
    "core s",
    "last",
    "kB",
    "kept kB",
    "live",
)


def told(found: Sequence[Learned]) -> Iterator[str]:
    """One table a stream, means over the seeds; then what was aimed at."""
    for name in dict.fromkeys(r.stream for r in found):
        here = [r for r in found if r.stream == name]
        yield from stream_told(name, here)
        yield ""
    yield from targets(found)


def stream_told(name: str, here: Sequence[Learned]) -> Iterator[str]:
    """The table of one stream and, of each method, by what the gate stopped it."""
    groups = {m: [r for r in here if r.method == m] for m in dict.fromkeys(r.method for r in here)}
    seeds = max(len(rows) for rows in groups.values())
    joints = {r.seed: r for r in groups.get(JOINT, [])}
    yield f"{name}, {seeds} seed{'s' * (seeds > 1)}"
    yield table(HEADINGS, [_row(m, rows, joints, seeds) for m, rows in groups.items() if not rows[0].refused])
    for method, rows in groups.items():
        stopped = Counter(said for r in rows for said in r.gate if said != "live")
        yield from (f"  {method}: {said}, {'once' if k == 1 else f'{k} times'}" for said, k in stopped.most_common())
        if rows[0].refused:
            yield f"  {method}: refused. {rows[0].refused}"


def _row(method: str, rows: Sequence[Learned], joints: dict[int, Learned], seeds: int) -> list[str]:
    accuracies = [r.accuracy for r in rows]
    bounds = [joints[r.seed].accuracy for r in rows if r.seed in joints]
    gates = [word for r in rows for word in r.gate]
    return [
        method + (f" [{len(rows)}]" if len(rows) < seeds else ""),
        f"{np.mean(accuracies):.4f}",
        f"{min(accuracies):.3f}-{max(accuracies):.3f}" if len(rows) > 1 else "–",
        f"{np.mean(accuracies) / np.mean(bounds):.4f}" if len(bounds) == len(rows) else "–",
        _mean(r.average for r in rows),
        "–" if method == JOINT else _mean(regret(r, joints.get(r.seed)) for r in rows),
        *(
            "–" if method == JOINT else _mean(getattr(r, name) for r in rows)
            for name in ("forgetting", "masked_forgetting", "backward", "intrusion")
        ),
        f"{np.mean([r.seconds for r in rows]):.2f}",
        f"{np.mean([r.last_seconds for r in rows]):.2f}",
        f"{np.mean([r.bytes for r in rows]) / 1000:.0f}",
        f"{np.mean([r.kept for r in rows]) / 1000:.0f}",
        f"{gates.count('live')} of {len(gates)}" if gates else "–",
    ]


def regret(run: Learned, bound: Learned | None) -> float | None:
    """Mean over the steps of (accuracy of joint retraining then - accuracy then)."""
    if bound is None or len(run.accuracies) != len(bound.accuracies):
        return None
    return float(np.mean(np.array(bound.accuracies) - run.accuracies))


def _mean(values: Iterable[float | None]) -> str:
    there = [v for v in values if v is not None]
    return f"{np.mean(there):.4f}" if there else "–"


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code"""
    parser = argparse.ArgumentParser("benchmarks.results", description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("files", type=Path, nargs="+", help="files of JSON lines that --json of other commands wrote")
    found = [r for file in parser.parse_args(words).files for r in kept(file)]
    from benchmarks.tables.pairs import told as pairs_told

    print("\n".join([*told(found), "", *pairs_told(found)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
