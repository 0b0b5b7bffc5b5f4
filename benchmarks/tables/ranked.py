"""What answering a stream of two classes batch by batch came to: one record a learner, as JSON lines; the table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables.answered import BOOSTING, SERVICE
from benchmarks.tables.terminal import reached, table

NEAR = -0.002
"""Aimed at: AUC beside boosting's on each stream; above it in the mean."""


@dataclass(frozen=True)
class Ranked:
    """One learner on one stream, from the second batch on. auc: of all rows together · seconds: of the processor, of
    each update · gate: what it said of each batch."""

    stream: str
    learner: str
    auc: float
    accuracy: float
    rows: int
    batches: int
    seconds: list[float] = field(default_factory=list)
    challenge_seconds: float = 0.0
    features: int = 0
    gate: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)


def keep(run: Ranked, file: Path | None) -> Ranked:
    """Append it to the file, if there is one."""
    if file is not None:
        with file.open("a") as lines:
            lines.write(json.dumps(asdict(run)) + "\n")
    return run


def kept(file: Path | None) -> list[Ranked]:
    """The records of a file, the last one where a run was done again."""
    if file is None or not file.exists():
        return []
    lines = [json.loads(line) for line in file.read_text().splitlines() if line]
    return list({(line["stream"], line["learner"]): Ranked(**line) for line in lines if "auc" in line}.values())


def report(runs: Sequence[Ranked]) -> Iterator[str]:
    """A table of all streams, and what was aimed at."""
    columns = ("stream", "learner", "AUC", "beside boosting", "accuracy", "core s", "last", "features", "live")
    yield table(columns, [_line(r, runs) for r in runs])
    for r in runs:
        stopped = Counter(outcome for outcome in r.gate if outcome != "live")
        yield from (f"  {r.stream}, {r.learner}: {outcome}, {k} of {len(r.gate)}" for outcome, k in stopped.items())
        if r.challenge_seconds:
            yield f"  {r.stream}, {r.learner}: challengers beside it took {r.challenge_seconds:.2f} core s"
    beside = [d for r in runs if r.learner == SERVICE and (d := beside_boosting(r, runs)) is not None]
    if beside:
        yield reached("least AUC beside joint boosting's", min(beside), NEAR, most=False)
        yield reached("the same, mean over streams", float(np.mean(beside)), 0.0, most=False)


def beside_boosting(run: Ranked, runs: Sequence[Ranked]) -> float | None:
    """AUC less boosting's on the same stream."""
    other = next((r.auc for r in runs if (r.stream, r.learner) == (run.stream, BOOSTING)), None)
    return None if other is None else run.auc - other


def _line(run: Ranked, runs: Sequence[Ranked]) -> list[str]:
    beside = beside_boosting(run, runs)
    return [
        run.stream,
        run.learner,
        f"{run.auc:.4f}",
        "–" if beside is None else f"{beside:+.4f}",
        f"{run.accuracy:.4f}",
        f"{sum(run.seconds):.2f}",
        f"{float(np.median(run.seconds[-5:])):.3f}",
        str(run.features) if run.features else "–",
        f"{run.gate.count('live')} of {len(run.gate)}" if run.gate else "–",
    ]
