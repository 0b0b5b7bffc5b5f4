"""Tables of results, which are kept as JSON lines, one record a run.

python -m benchmarks.results FILE...     tables of results that were kept, of several commands side by side
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.running.command import parser_of
from benchmarks.tables import pairs
from benchmarks.tables.learned import Learned, bounds
from benchmarks.tables.records import BOOSTING, JOINT, kept, live, stopped
from benchmarks.tables.targets import targets
from benchmarks.tables.terminal import table

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


def report(runs: Sequence[Learned]) -> Iterator[str]:
    """One table a stream, means over the seeds; then the targets."""
    for name in dict.fromkeys(r.stream for r in runs):
        of_stream = [r for r in runs if r.stream == name]
        yield from stream_report(name, of_stream)
        yield ""
    yield from targets(runs)


def stream_report(name: str, of_stream: Sequence[Learned]) -> Iterator[str]:
    """The table of one stream, and for each method the rules by which the gate stopped it."""
    groups = {m: [r for r in of_stream if r.method == m] for m in dict.fromkeys(r.method for r in of_stream)}
    seeds = max(len(rows) for rows in groups.values())
    headings = ("method", "skill", "lowest-highest", "/ joint", *HEADINGS[4:]) if of_stream[0].numbers else HEADINGS
    yield f"{name}, {seeds} seed{'s' * (seeds > 1)}"
    joints = bounds(of_stream)
    yield table(headings, [_row(m, rows, joints, seeds) for m, rows in groups.items() if not rows[0].refused])
    for method, rows in groups.items():
        yield from stopped(method, [outcome for r in rows for outcome in r.gate])
        if rows[0].refused:
            yield f"  {method}: refused. {rows[0].refused}"


def _row(method: str, rows: Sequence[Learned], joints: dict[int, Learned], seeds: int) -> list[str]:
    accuracies, joint = [r.accuracy for r in rows], method in (JOINT, BOOSTING)
    beside = [joints[r.seed].accuracy for r in rows if r.seed in joints]
    return [
        method + (f" [{len(rows)}]" if len(rows) < seeds else ""),
        f"{np.mean(accuracies):.4f}",
        f"{min(accuracies):.3f}-{max(accuracies):.3f}" if len(rows) > 1 else "–",
        f"{_ratio(accuracies, beside, rows[0].numbers):.4f}" if len(beside) == len(rows) else "–",
        _mean(r.average for r in rows),
        "–" if joint else _mean(regret(r, joints.get(r.seed)) for r in rows),
        *(
            "–" if joint else _mean(getattr(r, name) for r in rows)
            for name in ("forgetting", "masked_forgetting", "backward", "intrusion")
        ),
        f"{np.mean([r.seconds for r in rows]):.2f}",
        f"{np.mean([r.last_seconds for r in rows]):.2f}",
        f"{np.mean([r.bytes for r in rows]) / 1000:.0f}",
        f"{np.mean([r.kept for r in rows]) / 1000:.0f}",
        live([word for r in rows for word in r.gate]),
    ]


def _ratio(own: Sequence[float], joint: Sequence[float], numbers: bool) -> float:
    """Share of joint's accuracy; of numbers, error over joint's."""
    a, b = float(np.mean(own)), float(np.mean(joint))
    return (1 - a) / (1 - b) if numbers else a / b


def regret(run: Learned, bound: Learned | None) -> float | None:
    """Mean over the steps of (accuracy of joint retraining then - accuracy then)."""
    if bound is None or len(run.accuracies) != len(bound.accuracies):
        return None
    return float(np.mean(np.array(bound.accuracies) - run.accuracies))


def _mean(values: Iterable[float | None]) -> str:
    present = [v for v in values if v is not None]
    return f"{np.mean(present):.4f}" if present else "–"


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code"""
    parser = parser_of("results", __doc__, json=False)
    parser.add_argument("files", type=Path, nargs="+", help="files of JSON lines that --json of other commands wrote")
    runs = [r for file in parser.parse_args(words).files for r in kept(file, Learned)]
    print("\n".join([*report(runs), "", *pairs.report(runs)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
