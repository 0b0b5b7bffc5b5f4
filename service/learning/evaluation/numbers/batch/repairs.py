"""Would one repair make all targets of a batch fit? Units that are mistaken for one another, in targets as sent."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from service.contract.figures import amount
from service.learning.data.rows import Floats
from service.learning.evaluation.numbers.batch.figures import error_sizes
from service.learning.evaluation.numbers.number_assessment import NumberAssessment
from service.learning.evaluation.units import TEMPERATURES, Mistake
from service.learning.gate.numbers.number_measurements import Repair
from service.learning.statistics import ordered_by_chance

FACTORS = (10.0, 100.0, 1000.0, 60.0, 3.6, 2.54, 1.609344, 0.45359237, 0.3048)
"""Powers of ten, minutes and hours, km/h and m/s, inches, miles, pounds, feet; each both ways."""


SLIPS = (1.0, *(factor for power in (10.0, 100.0, 1000.0) for factor in (power, 1 / power)))
"""Sizes of factors by which a sender errs, and no world changes: the sign, and powers of ten."""


def _mistakes() -> Iterator[Mistake]:
    for factor in FACTORS:
        large, by = max(factor, 1 / factor), amount(max(factor, 1 / factor))
        yield Mistake(f"/ {by}", f"look {by} times too large", f"divided by {by}", 1 / large)
        yield Mistake(f"* {by}", f"look {by} times too small", f"multiplied by {by}", large)
    yield Mistake("* -1", "look as if they had the other sign", "with it turned", -1.0)
    yield from TEMPERATURES


MISTAKES = tuple(_mistakes())
TURNED = 1e-3
"""Chance of an order below which targets run against the base's answers."""
NEARER = 1.25
"""Targets that are 0 must lie so many times as far off as divided ones: else any division brings them nearer."""
AS_MUCH = 0.8
"""Part of the factor by which division must bring errors down: in targets ten times too large noise is, too, so in each
of 59 such batches they came down by 1.01 times the factor or more. Where little is known of targets any division brings
them nearer: a right week of flights looked ten times too large, and errors came down by a fifth of that."""
MOVED_ALIKE, ENOUGH = 1.5, 20
"""Of so many targets or more that lie so many times nearer once all are shifted alike, counted as they were sent, no
unit is said but for slips: a factor changes their spread, too. A spring warmer by 5 °C looked 1.61 times too large."""
OF_LOGARITHMS = 4.0
"""A factor that brings logarithms so many times nearer is no shift among others: every factor is a shift of them."""
PLAINLY = 2.0
"""A target is right as it was sent where it lies so many usual errors off once repaired, and as sent less than half."""


def _turned(targets: Floats, values: Floats, usual: float) -> Iterator[Mistake]:
    """The mistake of sending large for small, such as what is left for what was used: where the order is surely the
    other way round, the sum of both is guessed by their medians. As targets [n]; usual: the error that is, beyond which
    a sum is not 0."""
    both = float(np.median(targets) + np.median(values))
    if abs(both) > usual and ordered_by_chance(-targets, values) < TURNED:
        right = f"subtracted from {amount(both)}"
        yield Mistake(f"{amount(both)} - target", "run the other way round", right, -1.0, both)


def best_repair(assessment: NumberAssessment, usual: Floats, median: float, k: int) -> Repair | None:
    """The repair after which targets of number k lie nearest to the base's answers. None where there is none.

    usual [n]: |error| that is usual of each row, in units · median: the usual median of |error| over it.
    """
    if assessment.base is None or not len(assessment.batch_goals):
        return None
    targets, values, sent = assessment.batch.targets[:, k], assessment.base.on_batch[:, k], assessment.batch_goals[:, k]
    tried, log, unit = [], assessment.grid.scale == "log", assessment.grid.unit[k]
    expected = values * unit + (targets - sent * unit)
    turned = () if log else _turned(targets, expected, float(np.median(usual) * unit))
    nothing = float(np.median(np.abs(_goals(assessment, targets, np.zeros_like(targets), k) - values)))
    before = np.inf if log else float(np.median(error_sizes(sent, values) / usual))  # of logarithms it is a shift
    off = sent - values
    alike = np.inf if log or len(off) < ENOUGH else MOVED_ALIKE * float(np.median(np.abs(off - np.median(off))))
    for mistake in (*MISTAKES, *turned):
        goals = _goals(assessment, targets, targets * mistake.times + mistake.plus, k)
        if np.isfinite(goals).all():
            error, by = error_sizes(goals, values), abs(mistake.times)
            after, shrinks = float(np.median(error)), by < 1 and not mistake.plus
            little = nothing <= NEARER * after or before * by < AS_MUCH * np.median(error / usual)
            if not (shrinks and little) and (_is_slip(mistake) or after <= by * alike):
                tried.append((after, error / usual, mistake))
    if not tried:
        return None
    nearest, repaired, best = min(tried, key=lambda one: one[0])
    shifted = off / OF_LOGARITHMS if log else off - np.median(off)
    as_sent = (repaired > PLAINLY) & (error_sizes(sent, values) / usual < repaired / 2)
    return Repair(
        factor=best.factor,
        wrong=best.wrong,
        right=best.right,
        after=float(np.median(repaired)) / median,
        slip=_is_slip(best),
        divides=1 / abs(best.times),
        rows=len(usual) - int(as_sent.sum()),
        no_shift=nearest < float(np.median(np.abs(shifted))),
    )


def _is_slip(mistake: Mistake) -> bool:
    return abs(mistake.times) in SLIPS and not mistake.plus


def _goals(assessment: NumberAssessment, targets: Floats, repaired: Floats, k: int) -> Floats:
    """Goals of repaired targets, in units; NaN where a logarithm has none. [n]"""
    if assessment.grid.scale == "log":
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((np.log(repaired) - assessment.grid.offset[k]) / assessment.grid.unit[k])
    sent, unit = assessment.batch_goals[:, k], assessment.grid.unit[k]
    return np.asarray(sent + (repaired - targets) / unit)  # a column that is taken off stays what it is
