"""What answering a stream batch by batch came to, before each was learned; the tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.tables.records import BOOSTING, PLAIN, SERVICE, Run, live, stopped
from benchmarks.tables.terminal import reached, table

BEST_SKILL = {"price": 0.09}
"""Aimed at, elsewhere more than 0."""
BEST_ACCURACY = {"elec2": 0.770}
NEAR = -0.002
"""Aimed at: AUC beside boosting's on each stream; above it in the mean."""
FAIR, COVERED, SECONDS, SHARE = 1.03, (0.85, 0.94), 0.5, 0.2
"""Aimed at: error over boosting's; coverage; core-seconds of an update with 250 rows and 1,100 features, and their
share of boosting's."""
WIDE = 1000
"""Features from which an update is a wide one."""


@dataclass(frozen=True)
class Answered(Run):
    """From the second batch on: of numbers `mae`, of classes `accuracy` and, of two, `auc` of all rows together.

    yardstick: the method that skill is measured by · by_batch: error, or accuracy, of each · coverage, width: of 90 %
    intervals · unanswered: rows before any version was live, which the targets so far answered.
    """

    rows: int = 0
    batches: int = 0
    mae: float | None = None
    accuracy: float | None = None
    auc: float | None = None
    by_batch: list[float] = field(default_factory=list)
    yardstick: str = ""
    coverage: float | None = None
    width: float | None = None
    unanswered: int = 0


def skill(run: Answered, runs: Sequence[Answered]) -> float | None:
    """1 - error / that of the stream's yardstick; None where this was not run."""
    by = next((r.mae for r in runs if (r.stream, r.method) == (run.stream, run.yardstick)), None)
    return 1 - run.mae / by if by and run.mae is not None else None


def over_boosting(run: Answered, runs: Sequence[Answered]) -> float | None:
    """Error over that of boosting, the better of its two where it was also given the plain target."""
    joint = [r.mae for r in runs if r.stream == run.stream and r.method in (BOOSTING, PLAIN) and r.mae is not None]
    return run.mae / min(joint) if joint and run.mae is not None else None


def beside_boosting(run: Answered, runs: Sequence[Answered]) -> float | None:
    """AUC less boosting's on the same stream."""
    other = next((r.auc for r in runs if (r.stream, r.method) == (run.stream, BOOSTING)), None)
    return None if other is None or run.auc is None else run.auc - other


def report(runs: Sequence[Answered]) -> Iterator[str]:
    """A table a stream, what the gate stopped, and what was aimed at."""
    for stream in dict.fromkeys(r.stream for r in runs):
        of_stream = [r for r in runs if r.stream == stream]
        one = of_stream[0]
        against = f", skill against {one.yardstick!r}" if one.yardstick else ""
        yield f"{stream}: {one.rows} rows in {one.batches} batches{against}"
        scores = ("MAE", "/ boosting", "skill", "coverage", "width") if one.yardstick else CLASS_SCORES
        columns = ("method", *scores, "core s", "last", "features", "live")
        yield table(columns, [_line(r, of_stream) for r in of_stream if not r.refused])
        for r in of_stream:
            yield from stopped(r.method, r.gate)
            if r.refused:
                yield f"  {r.method}: refused. {r.refused}"
            if r.unanswered:
                yield f"  {r.method}: no version was live for {r.unanswered} rows, which the targets so far answered"
            if r.challenge_seconds:
                yield f"  {r.method}: challengers beside it took {r.challenge_seconds:.2f} core s"
        for r in of_stream:
            if r.method == SERVICE:
                yield from _aims(r, of_stream)
        yield ""
    beside = [d for r in runs if r.method == SERVICE and (d := beside_boosting(r, runs)) is not None]
    if beside:
        yield reached("AUC beside joint boosting's, mean over streams", float(np.mean(beside)), 0.0, most=False)


CLASS_SCORES = ("accuracy", "AUC", "beside boosting")


def _aims(run: Answered, runs: Sequence[Answered]) -> Iterator[str]:
    ratio, gained, beside = over_boosting(run, runs), skill(run, runs), beside_boosting(run, runs)
    if run.accuracy is not None and run.stream in BEST_ACCURACY:
        yield reached("accuracy, labels a batch late", run.accuracy, BEST_ACCURACY[run.stream], most=False)
    if beside is not None:
        yield reached("AUC beside joint boosting's", beside, NEAR, most=False)
    if ratio is not None:
        yield reached("MAE over joint boosting's", ratio, FAIR)
    if gained is not None:
        yield reached("skill", gained, BEST_SKILL.get(run.stream, 0.0), most=False)
    if run.coverage is not None:
        yield reached("coverage of 90 % intervals", run.coverage, COVERED[0], most=False)
        yield reached("coverage of 90 % intervals", run.coverage, COVERED[1])
    if run.features >= WIDE:
        rows = round(run.rows / run.batches)
        yield reached(f"update of {rows} rows with {run.features} features, core s", run.last_seconds, SECONDS)
        boosting = next((r for r in runs if r.method == BOOSTING), None)
        if boosting:
            yield reached("the same, over boosting anew", run.last_seconds / boosting.last_seconds, SHARE)


def _line(run: Answered, runs: Sequence[Answered]) -> list[str]:
    if run.mae is None:
        scores = [_or_dash(run.accuracy, ".4f"), _or_dash(run.auc, ".4f"), _or_dash(beside_boosting(run, runs), "+.4f")]
    else:
        ratios = [_or_dash(x, ".3f") for x in (over_boosting(run, runs), skill(run, runs), run.coverage)]
        scores = [_number(run.mae), *ratios, "–" if run.width is None else _number(run.width)]
    learned = run.seconds >= 0.005
    return [
        run.method,
        *scores,
        f"{run.seconds:.2f}" if learned else "–",
        f"{run.last_seconds:.3f}" if learned else "–",
        str(run.features) if run.features else "–",
        live(run.gate),
    ]


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
