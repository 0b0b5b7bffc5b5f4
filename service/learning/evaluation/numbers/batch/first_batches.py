"""What shows of a batch while fewer than four were answered before they were learned.

How batches differ is hardly known then, and beside usual ones hardly any figure surprises. But the live version has
intervals, of blocks of its rows left out or of the batches that were tested: they say how far off each row may be. And
of the first version's rows the errors in these blocks are remembered: to which side they lay, how that changed from one
part to the next, and how well values were in the order of targets.
"""

from __future__ import annotations

import math

import numpy as np

from service.learning.data.rows import Floats
from service.learning.data.target_grid import NumberGrid
from service.learning.evaluation.numbers.batch.figures import PARTS, ROUNDING, ErrorCourse, error_sizes
from service.learning.evaluation.numbers.batch.recent_batches import just_moved, of_first_version, recent
from service.learning.evaluation.numbers.bounds import bounds
from service.learning.evaluation.numbers.number_assessment import NumberAssessment, Tested
from service.learning.gate.numbers.first_batch_rules import STEPS
from service.learning.gate.numbers.number_measurements import Apart, FirstBatches, OwnOrder
from service.learning.statistics import fisher_z

FEW = 4
"""Tested batches from which it is known how they differ. While it was two, 17 of 125 harmful fifth batches went live on
40 tables that set no limit; now seven do. Of 196 right ones, the fourth and fifth of 98 others, it stops none."""
WIDE, MIDDLE = 0.9, 0.5
"""Levels of the intervals whose ends say that targets are off, and by how much."""
ORDER_SPREAD = 0.2
"""How much orders of batches (as Fisher's z) differ beside what few rows make of them."""


def first_batches(assessment: NumberAssessment, k: int, own: OwnOrder | None) -> FirstBatches | None:
    """What shows of number k on the update's rows, one at least; None once batches show more, or that the stream has
    moved, or where the base has no intervals."""
    if assessment.base is None or assessment.intervals is None or just_moved(assessment):
        return None
    if sum(len(tested.error) > 0 for tested in recent(assessment)) >= FEW:
        return None
    value, goals = assessment.base.on_batch, assessment.batch_goals[:, k]
    _, low, high = (ends[:, k] for ends in bounds(assessment.intervals, value, WIDE))
    half: Floats = np.maximum(bounds(assessment.intervals, value, MIDDLE)[2, :, k] - value[:, k], ROUNDING)
    learned = np.abs(goals - assessment.candidate.on_batch[:, k])
    both = np.isfinite(learned)
    before = float(error_sizes(goals[both], value[both, k]).mean()) if both.any() else math.inf
    return FirstBatches(
        beyond=float(((goals < low) | (goals > high)).mean()),
        median=float(np.median(error_sizes(goals, value[:, k]) / half)),
        learned=1.0 - float(learned[both].mean()) / before if both.any() else 1.0,
        apart=_apart(assessment, k, own, learned[both]),
    )


def _apart(assessment: NumberAssessment, k: int, own: OwnOrder | None, learned: Floats) -> Apart | None:
    """The batch beside all rows before it; None where nothing is remembered of those. learned: |error| of the candidate
    on rows that it answered out of fold"""
    assert assessment.base is not None
    came = np.lexsort((assessment.batch.row, assessment.batch.batch))
    value, goals = assessment.base.on_batch[came, k], assessment.batch_goals[came, k]
    added = assessment.grid.added(assessment.batch_goals, assessment.batch.targets)[came, k]
    now, before = ErrorCourse.of(value, goals - value, added), _before(assessment, k)
    if now is None or not before:
        return None
    rows = sum(e.rows for e in before)
    size, side = (sum(e.rows * getattr(e, name) for e in before) / rows for name in ("size", "side"))
    between = float(np.var([e.side for e in before], ddof=1)) if len(before) > 1 else 0.0
    spread = (np.mean([e.spread for e in (*before, now)]) / PARTS + between) * (1 + 1 / len(before))
    usual, owns = before[-1].order, [order for t in recent(assessment) if (order := t.figures[k].own_order) is not None]
    base_lost = _fallen(usual, now.order, before[-1].rows, now.rows)
    own_lost = _fallen(owns[0], own.value, before[0].rows, now.rows) if owns and own is not None else 0.0
    return Apart(
        side=(now.side - side) / size,
        off=float(assessment.grid.unit[k]) * (now.side - side),
        moved=abs(now.side - side) / max(float(goals.std()), ROUNDING),
        steps=abs(now.side - side) / math.sqrt(max(float(spread), np.finfo(float).tiny)),
        shown=_shown(assessment, k, goals, now.side - side),
        order=now.order,
        usual=usual,
        order_lost=base_lost,
        lost=min(base_lost, own_lost),
        learned=float(learned.mean()) / size if len(learned) else 0.0,
        worse=_beyond(learned, size),
    )


def _shown(assessment: NumberAssessment, k: int, goals: Floats, step: float) -> float:
    """Part of a step that goals [n], as they came, show beside those of trusted rows; 1.0 where it would not be seen
    beside how their own means differ from one fifth to the next."""
    trusted = assessment.trusted_goals[np.lexsort((assessment.trusted.row, assessment.trusted.batch)), k]
    now, before = (ErrorCourse.of(np.zeros_like(g), g, np.zeros_like(g)) for g in (goals, trusted))
    if now is None or before is None or abs(step) <= STEPS * math.sqrt((now.spread + before.spread) / PARTS):
        return 1.0
    return (now.side - before.side) / step


def _beyond(errors: Floats, size: float) -> float:
    """Standard errors by which the mean of |errors| [n] is beyond a size; 0 of fewer than two."""
    if len(errors) < 2:
        return 0.0
    return (float(errors.mean()) - size) / max(float(errors.std(ddof=1)) / math.sqrt(len(errors)), ROUNDING)


def _before(assessment: NumberAssessment, k: int) -> list[ErrorCourse]:
    """Errors on all rows before, by batches: what the first version keeps, and the batches that were tested since; []
    where the first keeps nothing."""
    kept = of_first_version(assessment, k)
    if kept is None:
        return []
    tested = [_tested(assessment.grid, tested, k) for tested in recent(assessment)[1:]]
    return [kept, *(earlier for earlier in tested if earlier is not None)]


def _tested(grid: NumberGrid, tested: Tested, k: int) -> ErrorCourse | None:
    came = np.lexsort((tested.row, tested.batch))
    came = came[tested.familiar[came]]
    added = grid.added(tested.value + tested.error, tested.target)
    return ErrorCourse.of(tested.value[came, k], tested.error[came, k], added[came, k])


def _fallen(before: float, now: float, rows_before: int, rows: int) -> float:
    """Standard errors by which an order is below one before it (Fisher's z, and `ORDER_SPREAD`)."""
    fall = float(fisher_z(before, 0.99) - fisher_z(now, 0.99))
    return fall / math.sqrt(1 / max(rows_before - 3, 1) + 1 / max(rows - 3, 1) + ORDER_SPREAD**2)
