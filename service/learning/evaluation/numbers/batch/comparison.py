"""What a batch of numbers looks like beside the last promoted ones.

A batch is surprising by how far its figures lie from those of the last promoted batches: a stream that always jumps is
not held for jumping.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from service.learning.data.rows import Floats
from service.learning.evaluation.numbers.batch.figures import ORDERED, Figures, error_sizes
from service.learning.evaluation.numbers.batch.recent_batches import (
    LAST,
    familiar,
    novel_rows,
    outlying,
    outlying_from,
    ratios,
    recent,
    usual_size,
)
from service.learning.evaluation.numbers.number_answers import expected_targets
from service.learning.evaluation.numbers.number_assessment import NumberAssessment, Tested
from service.learning.gate.numbers.number_measurements import Beside, Outlying, OwnOrder
from service.learning.statistics import at_least, fisher_z, one_more, rank_correlation, signed_rank

SPREAD, ORDER_SPREAD = 0.35, 0.25
"""How much figures of batches (means, medians, bias; order as Fisher's z) usually differ, before any shows it: measured
on ten streams, of which the spread between batches was 0.1 to 0.6."""
OUTLYING_SHARE = 0.0015
"""Share of honest rows that lie so far out, as measured on ten streams."""
LEAST_OWN = 3
"""Batches from which the least of their own orders, or their spread, is known."""
MORE_ROWS = 1.5
"""An own order is beside those of batches with at most so many times the rows: a head of more rows finds more."""


def figures_of(assessment: NumberAssessment) -> tuple[Figures, ...]:
    """Figures of the update's rows, see `familiar`, for each number of a row. Without a base, only the order of its
    own."""
    known = familiar(assessment)
    ratio, size, new = ratios(known), usual_size(assessment), novel_rows(known)
    kept = []
    for k in range(assessment.grid.size):
        figures = Figures()
        if ratio is not None and size is not None and known.base is not None and len(ratio):
            goals, values = known.batch_goals[:, k], known.base.on_batch[:, k]
            figures = Figures.measured(goals, values, ratio[:, k], float(size[k]))
            figures = replace(figures, novel=new / len(ratio) if new else None)
        own = own_order(assessment, k)
        kept.append(replace(figures, own_order=None if own is None else own.value))
    return tuple(kept)


def own_order(assessment: NumberAssessment, k: int) -> OwnOrder | None:
    """Whether anything in these rows says what their targets are; None without out-of-fold answers."""
    if assessment.alone is None:
        return None
    answered = np.isfinite(assessment.alone[:, k])
    if answered.sum() < ORDERED:
        return None
    goals, alone = assessment.batch_goals[answered, k], assessment.alone[answered, k]
    middle, value = np.median(assessment.batch_goals[:, k]), rank_correlation(goals, alone)
    most = MORE_ROWS * len(assessment.batch)
    earlier = [tested.figures[k] for tested in _usual_batches(assessment, k) if len(tested.batch) <= most]
    last = [order for t in recent(assessment)[-LAST:] if (order := t.figures[k].own_order) is not None]
    return OwnOrder(
        value=value,
        p=signed_rank(np.abs(goals - middle) - np.abs(goals - alone)),
        least=min(last) if len(last) >= LEAST_OWN else None,
        beside=Usual(assessment, earlier).own_order(value, len(goals)) if len(earlier) >= LEAST_OWN else None,
    )


def _usual_batches(assessment: NumberAssessment, k: int) -> list[Tested]:
    """The last promoted batches that were tested, since the stream has moved, if it has."""
    measured = [t for t in recent(assessment) if k < len(t.figures) and t.figures[k].log_mean is not None]
    kept = [t for t in measured if t.novel is None or t.figures[k].novel is None]
    return kept[max((place for place, tested in enumerate(kept) if tested.figures[k].moved), default=0) :]


def chance(assessment: NumberAssessment, p: float) -> float:
    """A chance by which a rule fires, corrected for the numbers of a row (Bonferroni: the smallest decides)."""
    return min(1.0, p * assessment.grid.size)


@dataclass(frozen=True, eq=False)
class Usual:
    """Figures of earlier batches, to which those of a batch of so many rows are compared. A comparison is None where
    the figure, or that of all batches before, was not measured; its chance is one-sided.

    noise: variance of the figures of trusted rows, where these stand in for earlier batches.
    """

    assessment: NumberAssessment
    earlier: Sequence[Figures]
    noise: float = 0.0

    @staticmethod
    def of(assessment: NumberAssessment, k: int) -> Usual:
        """The last promoted batches for number k, since the stream has moved, if it has; where there are none, trusted
        rows as one batch."""
        earlier = [tested.figures[k] for tested in _usual_batches(assessment, k)]
        if earlier or assessment.base is None:
            return Usual(assessment, earlier)
        known = np.isfinite(assessment.base.on_trusted[:, k])
        goals, values = assessment.trusted_goals[known, k], assessment.base.on_trusted[known, k]
        if not len(goals):
            return Usual(assessment, [])
        size = error_sizes(goals, values)
        mean = float(size.mean())
        return Usual(assessment, [Figures.measured(goals, values, size / mean, mean)], 1 / len(goals))

    def mean(self, figures: Figures, rows: int) -> Beside | None:
        return self._ratio(figures.log_mean, [f.log_mean for f in self.earlier], 1 / rows + self.noise)

    def median(self, figures: Figures, rows: int) -> Beside | None:
        return self._ratio(figures.log_median, [f.log_median for f in self.earlier], 1.5 * (1 / rows + self.noise))

    def far(self, figures: Figures, rows: int) -> Beside | None:
        return self._ratio(figures.log_far, [f.log_far for f in self.earlier], 1.5 * (1 / rows + self.noise))

    def _ratio(self, value: float | None, earlier: Sequence[float | None], noise: float) -> Beside | None:
        """Compares ratios by their logarithms; the chance is that of one so far above."""
        before = _known(earlier)
        if value is None or not len(before):
            return None
        p = one_more(value, before, SPREAD, noise)
        return Beside(math.exp(value), math.exp(float(before.mean())), chance(self.assessment, p))

    def bias(self, figures: Figures, rows: int) -> Beside | None:
        """Compares biases; the chance is that of one so far to its own side. Trusted rows have no side: how far batches
        lie to one, only batches show."""
        value, before = figures.bias, _known([f.bias for f in self.earlier])
        if value is None or not len(before):
            return None
        noise = 1.5 * (1 / rows + self.noise)
        p = min(one_more(sign * value, sign * before, SPREAD, noise) for sign in (1.0, -1.0))
        return Beside(value, float(before.mean()), chance(self.assessment, 1.0 if self.noise else p))

    def order(self, figures: Figures, rows: int) -> Beside | None:
        return self._order(figures.order, [f.order for f in self.earlier], rows)

    def own_order(self, value: float, rows: int) -> Beside | None:
        return self._order(value, [f.own_order for f in self.earlier], rows)

    def _order(self, value: float | None, earlier: Sequence[float | None], rows: int) -> Beside | None:
        """Compares rank correlations; the chance is that of one so far below."""
        before = fisher_z(_known(earlier))
        if value is None or not len(before):
            return None
        p = one_more(-float(fisher_z(value)), -before, ORDER_SPREAD, 1 / max(rows - 3, 1) + self.noise)
        return Beside(value, float(np.tanh(before.mean())), chance(self.assessment, p))


def _known(values: Sequence[float | None]) -> Floats:
    """The values that were measured."""
    return np.array([value for value in values if value is not None and math.isfinite(value)])


def outliers(assessment: NumberAssessment, ratio: Floats, k: int) -> Outlying | None:
    """Outlying rows of number k, and the farthest of them. ratio [n, k]. None: nothing to say what is far."""
    if outlying_from(assessment) is None or assessment.base is None:
        return None
    far = outlying(assessment)[:, k]
    rows, row = int(far.sum()), int(np.where(far, ratio[:, k], 0.0).argmax())
    value = expected_targets(assessment, row)[k]
    p = chance(assessment, at_least(rows, len(ratio), OUTLYING_SHARE))
    return Outlying(rows, p, int(assessment.batch.row[row]), float(assessment.batch.targets[row, k]), float(value))
