"""What shows of a batch while fewer than two were answered before they were learned.

No spread between batches is known then, and beside a usual one hardly any figure surprises. But the live version has
intervals, of blocks of its rows left out or of the one batch that was tested: they say how far off each row may be.
"""

from __future__ import annotations

import math

import numpy as np

from service.learning.data.rows import Floats
from service.learning.evaluation.numbers.batch.figures import ROUNDING, recent, sizes
from service.learning.evaluation.numbers.bounds import bounds
from service.learning.evaluation.numbers.number_assessment import NumberAssessment
from service.learning.gate.numbers.number_measurements import Beside, FirstBatches, OwnOrder

FEW = 2
"""Tested batches from which spreads between them are known."""
WIDE, MIDDLE = 0.9, 0.5
"""Levels of the intervals that are looked at."""


def first_batches(a: NumberAssessment, k: int, order: Beside | None, own: OwnOrder | None) -> FirstBatches | None:
    """Of number k of the update's rows, one at least; None once batches show more, or where the base has no intervals.
    order: of targets and the base's answers, beside the usual one."""
    if a.base is None or a.intervals is None or sum(len(tested.error) > 0 for tested in recent(a)) >= FEW:
        return None
    value, goals = a.base.on_batch, a.batch_goals[:, k]
    _, low, high = (ends[:, k] for ends in bounds(a.intervals, value, WIDE))
    half: Floats = np.maximum(bounds(a.intervals, value, MIDDLE)[2, :, k] - value[:, k], ROUNDING)
    learned = np.abs(goals - a.candidate.on_batch[:, k])
    both = np.isfinite(learned)
    before = float(sizes(goals[both], value[both, k]).mean()) if both.any() else math.inf
    return FirstBatches(
        beyond=1.0 - float(((low <= goals) & (goals <= high)).mean()),
        median=float(np.median(sizes(goals, value[:, k]) / half)),
        learned=1.0 - float(learned[both].mean()) / before if both.any() else 1.0,
        lost=_lost(order, own, len(goals), int(np.isfinite(a.base.on_trusted[:, k]).sum())),
    )


def _lost(order: Beside | None, own: OwnOrder | None, rows: int, trusted: int) -> float:
    """Standard errors (Fisher's z) by which the better of both orders is below the usual one; 0 without any."""
    if order is None or own is None:
        return 0.0
    usual, best = (math.atanh(min(max(r, -0.99), 0.995)) for r in (order.usual, max(order.value, own.value)))
    return (usual - best) / math.sqrt(1 / max(rows - 3, 1) + 1 / max(trusted - 3, 1))
