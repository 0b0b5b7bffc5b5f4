"""What a batch of numbers looks like beside the last promoted ones: figures of the live version's errors on it.

Ratios are |error| over the error that is usual of such a row. A version keeps the figures of its batch (`figures_of`,
`Tested.figures`), and a later batch is surprising by how far its own lie from those of the last promoted ones: a stream
that always jumps is not held for jumping. Errors below a few steps of the grid are rounding, and count as those.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from service.contract.number_report import BatchErrors
from service.learning.data.rows import Bools, Floats
from service.learning.evaluation.numbers.number_assessment import NumberAssessment, Tested
from service.learning.gate.numbers.number_measurements import Beside, NumberMeasured, Outlying, OwnOrder
from service.learning.statistics import at_least, one_more, rank_correlation, signed_rank

MEAN, MEDIAN, FAR, ORDER, BIAS = "log_mean", "log_median", "log_far", "order", "bias"
OWN, GAIN, SETTINGS, MOVED, NOVEL = "own_order", "gain", "settings", "moved", "novel"
"""Names of the figures that a version keeps for each number of a row: logarithms of the mean ratio (ratios cut at
`MOST`), of the median ratio and of its 99 % quantile · rank correlation of targets with the base's answers · mean error
over the usual mean |error| · rank correlation with the out-of-fold answers of a head of the batch alone · what the
update gained on its own rows, and what other settings alone cost on trusted rows, see `measure.gained` · 1 where it
passed since it is like stopped batches before it: usual is what came since · the share of rows with new values, where
hardly any others are: such figures are not usual. One that a batch is too small for is left out."""
ROUNDING = 2.0**-14
"""Errors below this, in units, count as this: four steps of the grid."""
MOST = 20.0
"""Ratios are cut here in means, so that no outlier is the mean."""
LEAST = 0.05
"""A median ratio below this is taken for this: where most targets are one value it says nothing."""
FEW = 20
"""Tested rows from which their mean error is what is usual; of fewer, trusted rows count with them."""
ORDERED = 5
"""Rows from which their order says something."""
SPREAD, ORDER_SPREAD = 0.35, 0.25
"""How much figures of batches (means, medians, bias; order as atanh) usually differ, before any shows it: measured on
ten streams, of which the spread between batches was 0.1 to 0.6."""
OUTLYING = 0.99
"""Quantile of the last ratios of which outliers are a multiple."""
BEYOND = 0.0015
"""Share of honest rows that lie so far out, as measured on ten streams."""
LAST_NOVEL = 3
"""Where so many batches in a row brought hardly a row without new values, such rows are usual."""
LAST_OWN, LEAST_OWN = 5, 3
"""The least own order of the last five batches is usual, from three on."""
MORE_ROWS = 1.5
"""An own order is beside those of batches with at most so many times the rows: a head of more rows finds more."""
REACH = 5 * 1.4826
"""Targets farther from the median than so many median deviations are cut for the batch's own head."""


def cut(goals: Floats) -> Floats:
    """Goals for a head of the batch alone, cut at median ± 5 sd (by the median deviation), so that few outliers do not
    turn it. [n, k] -> [n, k]. Such a head has alpha 1; its out-of-fold answers are `NumberAssessment.alone`."""
    if not len(goals):
        return goals
    middle = np.median(goals, 0)
    reach = REACH * np.median(np.abs(goals - middle), 0)
    return np.where(reach > 0, np.clip(goals, middle - reach, middle + reach), goals)


def sizes(goals: Floats, answers: Floats) -> Floats:
    """|error|, at least what rounding makes; NaN stays. Like `goals`"""
    return np.asarray(np.maximum(np.abs(goals - answers), ROUNDING))


def recent(a: NumberAssessment) -> list[Tested]:
    """What the last promoted versions remember, newest last: the batches that are usual."""
    last = [tested for _, tested in a.past.tested[-a.policy.recent_batches :]]
    return [replace(tested, novel=None) for tested in last] if novelty_is_usual(a) else last


def novelty_is_usual(a: NumberAssessment) -> bool:
    """Whether hardly any row of the last promoted batches was without new values of categories, such as the numbers of
    orders: then such rows are what the base is used to, and count as others do."""
    last = [tested for _, tested in a.past.tested[-LAST_NOVEL:]]
    return len(last) == LAST_NOVEL and all(_hardly_any(tested.familiar) for tested in last)


def _hardly_any(known: Bools) -> bool:
    """Whether so few rows are known that nothing can be said by them alone: fewer than 20, and than half."""
    return bool(known.sum() < min(FEW, len(known) / 2))


def just_moved(a: NumberAssessment) -> bool:
    """Whether one of the last few promoted batches showed that the stream has moved."""
    return any(MOVED in figures for tested in recent(a)[-LAST_OWN:] for figures in tested.figures)


def usual_size(a: NumberAssessment) -> Floats | None:
    """Mean |error| that is usual of any row: of the last tested rows; while these are few, of trusted rows too, by the
    head that never saw them. None where there are neither. -> [k]"""
    tested = np.concatenate([np.zeros((0, a.grid.size)), *(np.abs(t.error[t.familiar]) for t in recent(a))])
    if len(tested) < FEW and a.base is not None:
        tested = np.concatenate([tested, _finite(np.abs(a.trusted_goals - a.base.on_trusted))])
    return np.maximum(tested.mean(0), ROUNDING) if len(tested) else None


def ratios(a: NumberAssessment) -> Floats | None:
    """|error| of the base on each of the update's rows, over what is usual of such a row (`NumberAssessment.usual`) or
    else of any: what a version remembers as `Tested.ratio`. None without a base or anything usual. -> [n, k]"""
    size = usual_size(a)
    if a.base is None or size is None:
        return None
    usual = np.broadcast_to(size, a.batch_goals.shape) if a.usual is None else np.maximum(a.usual, ROUNDING)
    return sizes(a.batch_goals, a.base.on_batch) / usual


def outlying(a: NumberAssessment) -> Bools:
    """Rows whose ratio is beyond any error of the last batches: `outliers.times` the 99 % quantile; and whose error is
    beyond that quantile of errors, too, since what is usual of a row is little known at first. -> [n, k]"""
    beyond, ratio = _beyond(a), ratios(a)
    if beyond is None or ratio is None or a.base is None:
        return np.zeros(a.batch_goals.shape, bool)
    last = np.concatenate([np.abs(tested.error[tested.familiar]) for tested in recent(a)])
    far = np.abs(a.batch_goals - a.base.on_batch) > np.quantile(last, OUTLYING, axis=0)
    return np.asarray((ratio > beyond) & far)


def farthest(a: NumberAssessment, most: int = 100) -> list[tuple[int, int]]:
    """Places of outlying targets, (row, number of the row), farthest first."""
    ratio, which = ratios(a), np.argwhere(outlying(a))
    if ratio is None or not len(which):
        return []
    order = np.argsort(-ratio[which[:, 0], which[:, 1]], kind="stable")[:most]
    return [(int(row), int(number)) for row, number in which[order]]


def _beyond(a: NumberAssessment) -> Floats | None:
    """Ratio from which a row is an outlier; None until a few errors of two batches are known. -> [k]"""
    known = [ratio for ratio in (_finite(t.ratio[t.familiar]) for t in recent(a)) if len(ratio)]
    if len(known) < 2 or sum(map(len, known)) < FEW:
        return None
    return np.asarray(a.policy.outliers.times * np.quantile(np.concatenate(known), OUTLYING, axis=0))


def figures_of(a: NumberAssessment) -> tuple[dict[str, float], ...]:
    """Figures of the update's rows, see `familiar`, for each number of a row. Without a base, only the order of its
    own."""
    known = familiar(a)
    ratio, size, new = ratios(known), usual_size(a), novel_rows(known)
    kept = []
    for k in range(a.grid.size):
        figures = dict[str, float]()
        if ratio is not None and size is not None and known.base is not None and len(ratio):
            figures = _figures(known.batch_goals[:, k], known.base.on_batch[:, k], ratio[:, k], float(size[k]))
            figures |= {NOVEL: new / len(ratio)} if new else {}
        own = own_order(a, k)
        kept.append(figures | ({} if own is None else {OWN: own.value}))
    return tuple(kept)


def familiar(a: NumberAssessment) -> NumberAssessment:
    """The same without rows whose value of a category is new to the base, which cannot know how far off they lie;
    with them, where hardly any others are there; as if none were new, where that is usual."""
    if a.novel is None or a.base is None:
        return a
    if novelty_is_usual(a):
        return replace(a, novel=None)
    known = ~a.novel
    if _hardly_any(known):
        return a
    return replace(
        a,
        batch=a.batch.take(known),
        batch_goals=a.batch_goals[known],
        candidate=replace(a.candidate, on_batch=a.candidate.on_batch[known]),
        base=replace(a.base, on_batch=a.base.on_batch[known]),
        same=a.same and replace(a.same, on_batch=a.same.on_batch[known]),
        usual=None if a.usual is None else a.usual[known],
        alone=None if a.alone is None else a.alone[known],
        novel=None,
    )


def novel_rows(a: NumberAssessment) -> int:
    """Rows whose value of a category is new to the base."""
    return 0 if a.novel is None else int(a.novel.sum())


def _figures(goals: Floats, values: Floats, ratio: Floats, size: float) -> dict[str, float]:
    """All of them but the own order. [n] each, n >= 1"""
    figures = {
        MEAN: math.log(float(np.minimum(ratio, MOST).mean())),
        MEDIAN: math.log(max(float(np.median(ratio)), LEAST)),
        FAR: math.log(max(float(np.quantile(ratio, OUTLYING)), LEAST)),
        BIAS: float((goals - values).mean()) / size,
    }
    return figures | ({ORDER: rank_correlation(goals, values)} if len(goals) >= ORDERED else {})


def own_order(a: NumberAssessment, k: int) -> OwnOrder | None:
    """Whether anything in these rows says what their targets are; None without out-of-fold answers."""
    if a.alone is None:
        return None
    answered = np.isfinite(a.alone[:, k])
    if answered.sum() < ORDERED:
        return None
    goals, alone = a.batch_goals[answered, k], a.alone[answered, k]
    middle, value = np.median(a.batch_goals[:, k]), rank_correlation(goals, alone)
    before = [t.figures[k] for t in usual_batches(a, k) if len(t.batch) <= MORE_ROWS * len(a.batch)]
    return OwnOrder(
        value=value,
        p=signed_rank(np.abs(goals - middle) - np.abs(goals - alone)),
        least=least_own(a, k),
        beside=Usual(a, before).beside({OWN: value}, OWN, len(goals)) if len(before) >= LEAST_OWN else None,
    )


def usual_batches(a: NumberAssessment, k: int) -> list[Tested]:
    """The last promoted batches that were tested, since the stream has moved, if it has."""
    measured = [t for t in recent(a) if k < len(t.figures) and MEAN in t.figures[k]]
    kept = [t for t in measured if t.novel is None or NOVEL not in t.figures[k]]
    return kept[max((place for place, tested in enumerate(kept) if MOVED in tested.figures[k]), default=0) :]


def least_own(a: NumberAssessment, k: int) -> float | None:
    """The least own order of the last five promoted batches; None: too few."""
    before = [t.figures[k][OWN] for t in recent(a)[-LAST_OWN:] if OWN in t.figures[k]]
    return min(before) if len(before) >= LEAST_OWN else None


def chance(a: NumberAssessment, p: float) -> float:
    """A chance by which a rule fires, corrected for the numbers of a row (Bonferroni: the smallest decides)."""
    return min(1.0, p * a.grid.size)


@dataclass(frozen=True, eq=False)
class Usual:
    """The figures of the last promoted batches for number k, since the stream has moved, if it has; where there are
    none, those of trusted rows as one batch, whose own noise counts then."""

    a: NumberAssessment
    before: Sequence[Mapping[str, float]]
    noise: float = 0.0

    @staticmethod
    def of(a: NumberAssessment, k: int) -> Usual:
        kept = [tested.figures[k] for tested in usual_batches(a, k)]
        if kept or a.base is None:
            return Usual(a, kept)
        known = np.isfinite(a.base.on_trusted[:, k])
        goals, values = a.trusted_goals[known, k], a.base.on_trusted[known, k]
        if not len(goals):
            return Usual(a, [])
        error = sizes(goals, values)
        size = float(error.mean())
        return Usual(a, [_figures(goals, values, error / size, size)], 1 / len(goals))

    def beside(self, figures: Mapping[str, float], name: str, rows: int) -> Beside | None:
        """A figure beside those before; a chance is one-sided: means and medians above, orders below, bias on its own
        side. None where it, or all before, were not measured."""
        before = np.array([f[name] for f in self.before if math.isfinite(f.get(name, math.nan))])
        if name not in figures or not len(before):
            return None
        value, noise = figures[name], (1.0 if name == MEAN else 1.5) * (1 / rows + self.noise)
        if name in (ORDER, OWN):
            now, earlier = _widened(value), _widened(before)
            p = one_more(-float(now), -earlier, ORDER_SPREAD, 1 / max(rows - 3, 1) + self.noise)
            return Beside(value, float(np.tanh(earlier.mean())), chance(self.a, p))
        if name == BIAS:
            p = min(one_more(sign * value, sign * before, SPREAD, noise) for sign in (1.0, -1.0))
            p = 1.0 if self.noise else p  # trusted rows have none: how far batches lie to one side, only batches show
            return Beside(value, float(before.mean()), chance(self.a, p))
        p = one_more(value, before, SPREAD, noise)
        return Beside(math.exp(value), math.exp(float(before.mean())), chance(self.a, p))


def outliers(a: NumberAssessment, ratio: Floats, k: int) -> Outlying | None:
    """Outlying rows of number k, and the farthest of them. ratio [n, k]. None: nothing to say what is far."""
    if _beyond(a) is None or a.base is None:
        return None
    far = outlying(a)[:, k]
    rows, row = int(far.sum()), int(np.where(far, ratio[:, k], 0.0).argmax())
    value = said(a, a.base.on_batch[row], row)[k]
    p = chance(a, at_least(rows, len(ratio), BEYOND))
    return Outlying(rows, p, int(a.batch.row[row]), float(a.batch.targets[row, k]), float(value))


def said(a: NumberAssessment, answers: Floats, row: int) -> Floats:
    """Answers [k] to a row of the update as targets. -> [k]"""
    goals = a.grid.value(answers)
    if a.grid.scale == "log":
        return np.exp(np.minimum(goals, 700.0))
    if a.grid.from_ is None:
        return goals
    return np.asarray(goals + a.batch.targets[row] - a.grid.value(a.batch_goals[row]))  # with what it adds back


def batch_errors(measured: NumberMeasured) -> BatchErrors | None:
    """Figures of the batch as the report has them: over the usual ones; means over the numbers of a row. None where
    nothing is usual."""
    figures = [number.batch for number in measured.numbers if number.batch is not None]
    if not figures:
        return None
    return BatchErrors(
        mean=_mean([f.mean.value / f.mean.usual for f in figures]),
        median=_mean([f.median.value / f.median.usual for f in figures]),
        order=_mean([f.order.value for f in figures if f.order is not None]),
        own_order=_mean([f.own.value for f in figures if f.own is not None]),
        bias=_mean([f.bias.value for f in figures]),
    )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _finite(values: Floats) -> Floats:
    """Rows whose numbers are all known."""
    return values[np.isfinite(values).all(1)]


def _widened(order: Floats | float) -> Floats:
    return np.asarray(np.arctanh(np.clip(order, -0.999, 0.999)))
