"""Tables of results, which are kept as JSON lines, one record a run.

python -m benchmarks.results FILE...     tables of results that were kept, of several commands side by side
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.tables import pairs
from benchmarks.tables.learned import JOINT, Learned, kept
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
    joints = {r.seed: r for r in groups.get(JOINT, [])}
    yield f"{name}, {seeds} seed{'s' * (seeds > 1)}"
    yield table(HEADINGS, [_row(m, rows, joints, seeds) for m, rows in groups.items() if not rows[0].refused])
    for method, rows in groups.items():
        stopped = Counter(outcome for r in rows for outcome in r.gate if outcome != "live")
        yield from (
            f"  {method}: {outcome}, {'once' if k == 1 else f'{k} times'}" for outcome, k in stopped.most_common()
        )
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
    present = [v for v in values if v is not None]
    return f"{np.mean(present):.4f}" if present else "–"


def main(words: Sequence[str] | None = None) -> int:
    """-> exit code"""
    parser = argparse.ArgumentParser("benchmarks.results", description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("files", type=Path, nargs="+", help="files of JSON lines that --json of other commands wrote")
    runs = [r for file in parser.parse_args(words).files for r in kept(file)]
    print("\n".join([*report(runs), "", *pairs.report(runs)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
