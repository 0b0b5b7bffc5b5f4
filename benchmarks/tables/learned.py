"""What a method came to that learned a stream and was asked for rows kept aside; the tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.tables.records import BOOSTING, JOINT, Run, live, stopped
from benchmarks.tables.terminal import table

HEADINGS = (
    *("method", "accuracy", "lowest-highest", "of joint", "average", "regret"),
    *("forgets", "within", "backward", "intrusion", "core s", "last", "kB", "kept kB", "live"),
)
AVALANCHE = {"replay": "replay", "der_pp": "der++", "icarl": "icarl", "lda": "slda"}
"""Our method -> the strategy of Avalanche that it stands beside; elsewhere the one of its name."""


@dataclass(frozen=True)
class Learned(Run):
    """After the last step. accuracy: of numbers skill, 1 - error / error of the median of all rows kept aside.

    accuracies: after each update · training_seconds: of all updates, without the judging.
    """

    accuracy: float = 0.0
    training_seconds: float | None = None
    average: float | None = None
    accuracies: list[float] = field(default_factory=list)
    forgetting: float | None = None
    masked_forgetting: float | None = None
    backward: float | None = None
    intrusion: float | None = None
    numbers: bool = False


def bounds(runs: Sequence[Learned]) -> dict[int, Learned]:
    """Joint retraining of a stream, by seed: the network where classes come in steps, elsewhere boosting."""
    return {r.seed: r for method in (JOINT, BOOSTING) for r in runs if r.method == method}


def report(runs: Sequence[Learned]) -> Iterator[str]:
    """A table a stream, means over the seeds; and one of methods beside Avalanche's, where these were run."""
    for name in dict.fromkeys(r.stream for r in runs):
        groups = {
            m: [r for r in runs if (r.stream, r.method) == (name, m)] for m in dict.fromkeys(r.method for r in runs)
        }
        groups = {method: rows for method, rows in groups.items() if rows}
        yield from _stream_report(name, groups)
        yield ""
        yield from _pairs(name, {method: rows for method, rows in groups.items() if not rows[0].refused})


def _stream_report(name: str, groups: dict[str, list[Learned]]) -> Iterator[str]:
    """The table of one stream, and for each method the rules by which the gate stopped it."""
    of_stream = [r for rows in groups.values() for r in rows]
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
        _spread(rows),
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


def _pairs(name: str, groups: dict[str, list[Learned]]) -> Iterator[str]:
    lines = []
    for method, rows in groups.items():
        plain = method.partition(":")[0]
        peer = groups.get(f"Avalanche {AVALANCHE.get(plain, plain)}", [])
        seeds = {r.seed for r in rows} & {r.seed for r in peer}
        ours, theirs = ([r for r in one if r.seed in seeds] for one in (rows, peer))
        if ours:
            points = 100 * np.mean([a.accuracy - b.accuracy for a in ours for b in theirs if a.seed == b.seed])
            cells = [
                cell for one in (ours, theirs) for cell in (f"{np.mean([r.accuracy for r in one]):.4f}", _spread(one))
            ]
            spent = [[getattr(r, key) for r in ours] for key in ("training_seconds", "seconds")]
            shares = [f"{np.sum(s) / np.sum([r.seconds for r in theirs]):.2f}" for s in spent]
            lines.append(
                [
                    method,
                    *cells,
                    f"{points:+.1f}",
                    *(_mean(r.forgetting for r in one) for one in (ours, theirs)),
                    *shares,
                ]
            )
    if lines:
        yield f"{name}, method by method: ours, and Avalanche's"
        headings = ("method", "ours", "lowest-highest", "Avalanche", "lowest-highest", "points", "forgets", "theirs")
        yield table((*headings, "trains, times theirs", "judged"), lines)
        yield ""


def _spread(rows: Sequence[Learned]) -> str:
    accuracies = [r.accuracy for r in rows]
    return f"{min(accuracies):.3f}-{max(accuracies):.3f}" if len(rows) > 1 else "–"


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
