"""What answering a stream of numbers batch by batch came to: one record a learner, kept as JSON lines; the table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables.terminal import reached, table

SERVICE, PROMOTED = "auto", "auto, all promoted"
BOOSTING, PLAIN = "joint boosting", "joint boosting, plain target"
BEST_PRICE = 0.09
"""Skill aimed at on elec2's prices."""
FAIR, COVERED, SECONDS, SHARE = 1.03, (0.85, 0.94), 0.5, 0.2
"""Aimed at: error over boosting's; coverage; core-seconds of an update with 250 rows and 1,100 features, and their
share of boosting's."""
WIDE = 1000
"""Features from which an update is a wide one."""


@dataclass(frozen=True)
class Answered:
    """One learner on one stream, from the second batch on.

    yardstick: the learner that skill is measured by · mae: mean absolute error over `rows` rows of `batches` batches ·
    by_batch: of each · seconds: of the processor, of each update · coverage, width: of 90 % intervals · `gate`: what it
    said of each batch · unanswered: rows that came before any version was live, for which the mean so far stands in.
    """

    stream: str
    learner: str
    yardstick: str
    mae: float
    rows: int
    batches: int
    by_batch: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    challenge_seconds: float = 0.0
    coverage: float | None = None
    width: float | None = None
    features: int = 0
    unanswered: int = 0
    gate: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def late_seconds(self) -> float:
        """Median of the last five updates: one may wait for a core."""
        return float(np.median(self.seconds[-5:])) if self.seconds else 0.0


def keep(run: Answered, file: Path | None) -> Answered:
    """Append it to the file, if there is one."""
    if file is not None:
        with file.open("a") as lines:
            lines.write(json.dumps(asdict(run)) + "\n")
    return run


def kept(file: Path | None) -> list[Answered]:
    """The records of a file, the last one where a run was done again; none where there is no file."""
    if file is None or not file.exists():
        return []
    lines = [json.loads(line) for line in file.read_text().splitlines() if line]
    runs = [Answered(**line) for line in lines if "mae" in line]
    return list({(r.stream, r.learner): r for r in runs}.values())


def skill(run: Answered, runs: Sequence[Answered]) -> float | None:
    """1 - error / that of the stream's yardstick; None where this was not run."""
    by = next((r.mae for r in runs if (r.stream, r.learner) == (run.stream, run.yardstick)), None)
    return 1 - run.mae / by if by else None


def over_boosting(run: Answered, runs: Sequence[Answered]) -> float | None:
    """Error over that of boosting, the better of its two where it was also given the plain target."""
    errors = [r.mae for r in runs if r.stream == run.stream and r.learner in (BOOSTING, PLAIN)]
    return run.mae / min(errors) if errors else None


def report(runs: Sequence[Answered]) -> Iterator[str]:
    """A table a stream, what the gate stopped, and what was aimed at."""
    for stream in dict.fromkeys(r.stream for r in runs):
        of_stream = [r for r in runs if r.stream == stream]
        one = of_stream[0]
        yield f"{stream}: {one.rows} rows in {one.batches} batches, skill against {one.yardstick!r}"
        columns = ("learner", "MAE", "/ boosting", "skill", "coverage", "width", "core s", "last", "features", "live")
        yield table(columns, [_line(r, of_stream) for r in of_stream])
        for r in of_stream:
            stopped = Counter(outcome for outcome in r.gate if outcome != "live")
            yield from (f"  {r.learner}: {outcome}, {k} of {len(r.gate)}" for outcome, k in stopped.most_common())
            if r.unanswered:
                yield f"  {r.learner}: no version was live for {r.unanswered} rows, which the mean so far answered"
            if r.challenge_seconds:
                yield f"  {r.learner}: challengers beside it took {r.challenge_seconds:.2f} core s"
        yield from _aims(stream, of_stream)
        yield ""


def _aims(stream: str, runs: Sequence[Answered]) -> Iterator[str]:
    run = next((r for r in runs if r.learner == SERVICE), None)
    if run is None:
        return
    ratio, gained = over_boosting(run, runs), skill(run, runs)
    if ratio is not None:
        yield reached("MAE over joint boosting's", ratio, FAIR)
    if gained is not None:
        yield reached("skill", gained, BEST_PRICE if stream == "price" else 0.0, most=False)
    if run.coverage is not None:
        yield reached("coverage of 90 % intervals", run.coverage, COVERED[0], most=False)
        yield reached("coverage of 90 % intervals", run.coverage, COVERED[1])
    if run.features >= WIDE:
        rows = round(run.rows / run.batches)
        yield reached(f"update of {rows} rows with {run.features} features, core s", run.late_seconds, SECONDS)
        boosting = next((r for r in runs if r.learner == BOOSTING), None)
        if boosting:
            yield reached("the same, over boosting anew", run.late_seconds / boosting.late_seconds, SHARE)


def _line(run: Answered, runs: Sequence[Answered]) -> list[str]:
    return [
        run.learner,
        _number(run.mae),
        _or_dash(over_boosting(run, runs), ".3f"),
        _or_dash(skill(run, runs), ".3f"),
        _or_dash(run.coverage, ".3f"),
        "–" if run.width is None else _number(run.width),
        _or_dash(sum(run.seconds) or None, ".2f"),
        _or_dash(run.late_seconds or None, ".3f"),
        str(run.features) if run.features else "–",
        f"{run.gate.count('live')} of {len(run.gate)}" if run.gate else "–",
    ]


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
