"""What the last promoted batches show to be usual of an error, and which rows of an update lie beyond that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from service.learning.data.rows import Bools, Floats
from service.learning.evaluation.gaps import may_be_told
from service.learning.evaluation.numbers.batch.figures import OUTLYING, ROUNDING, ErrorCourse, error_sizes
from service.learning.evaluation.numbers.number_assessment import NumberAssessment, Tested

FEW = 20
"""Tested rows from which their mean error is what is usual; of fewer, trusted rows count with them."""
LAST = 5
"""Batches that show whether the stream has just moved, and how well a batch alone says what its targets are."""
LAST_NOVEL = 3
"""Batches in a row that brought hardly a row without new values, from which such rows are usual."""


def recent(assessment: NumberAssessment) -> list[Tested]:
    """What the last promoted versions remember, newest last: the batches that are usual."""
    last = [tested for _, tested in assessment.past[-assessment.policy.recent_batches :]]
    return [replace(tested, novel=None) for tested in last] if _novelty_is_usual(assessment) else last


def of_first_version(assessment: NumberAssessment, k: int) -> ErrorCourse | None:
    """Errors on blocks of a first version's rows by heads without the block; None where the oldest of the last promoted
    versions keeps none."""
    last = recent(assessment)
    return last[0].figures[k].left_out if last and k < len(last[0].figures) else None


def _novelty_is_usual(assessment: NumberAssessment) -> bool:
    """Whether hardly any row of the last promoted batches was without new values of categories, such as the numbers of
    orders: then such rows are what the base is used to, and count as others do."""
    last = [tested for _, tested in assessment.past[-LAST_NOVEL:]]
    return len(last) == LAST_NOVEL and all(_hardly_any(tested.familiar) for tested in last)


def _hardly_any(known: Bools) -> bool:
    """Whether so few rows are known that nothing can be said by them alone: fewer than 20, and than half."""
    return bool(known.sum() < min(FEW, len(known) / 2))


def just_moved(assessment: NumberAssessment) -> bool:
    """Whether one of the last few promoted batches showed that the stream has moved."""
    return any(figures.moved for tested in recent(assessment)[-LAST:] for figures in tested.figures)


def usual_size(assessment: NumberAssessment) -> Floats | None:
    """Mean |error| that is usual of any row: of the last tested rows; while these are few, of trusted rows too, by the
    head that never saw them. None where there are neither. -> [k]"""
    sizes = [np.abs(tested.error[tested.familiar]) for tested in recent(assessment)]
    tested = np.concatenate([np.zeros((0, assessment.grid.size)), *sizes])
    if len(tested) < FEW and assessment.base is not None:
        tested = np.concatenate([tested, _finite(np.abs(assessment.trusted_goals - assessment.base.on_trusted))])
    return np.maximum(tested.mean(0), ROUNDING) if len(tested) else None


def ratios(assessment: NumberAssessment) -> Floats | None:
    """|error| of the base on each of the update's rows, over what is usual of such a row (`NumberAssessment.usual`) or
    else of any: what a version remembers as `Tested.ratio`. None without a base or anything usual. -> [n, k]"""
    size, goals = usual_size(assessment), assessment.batch_goals
    if assessment.base is None or size is None:
        return None
    usual = np.broadcast_to(size, goals.shape) if assessment.usual is None else np.maximum(assessment.usual, ROUNDING)
    return error_sizes(goals, assessment.base.on_batch) / usual


def outlying(assessment: NumberAssessment) -> Bools:
    """Rows whose ratio is beyond any error of the last batches: `outliers.times` the 99 % quantile; and whose error is
    beyond that quantile of errors, too, since what is usual of a row is little known at first. Rows of gaps: see
    `may_be_told`. -> [n, k]"""
    beyond, ratio = outlying_from(assessment), ratios(assessment)
    if beyond is None or ratio is None or assessment.base is None:
        return np.zeros(assessment.batch_goals.shape, bool)
    last = np.concatenate([np.abs(tested.error[tested.familiar]) for tested in recent(assessment)])
    far = np.abs(assessment.batch_goals - assessment.base.on_batch) > np.quantile(last, OUTLYING, axis=0)
    told = may_be_told(assessment.batch, assessment.batch_goals, assessment.gaps)
    return np.asarray((ratio > beyond) & far & told)


def farthest(assessment: NumberAssessment, most: int) -> list[tuple[int, int]]:
    """Places of outlying targets, (row, number of the row), farthest first."""
    ratio, which = ratios(assessment), np.argwhere(outlying(assessment))
    if ratio is None or not len(which):
        return []
    order = np.argsort(-ratio[which[:, 0], which[:, 1]], kind="stable")[:most]
    return [(int(row), int(number)) for row, number in which[order]]


def outlying_from(assessment: NumberAssessment) -> Floats | None:
    """Ratio from which a row is an outlier; None until a few errors of two batches are known. -> [k]"""
    known = [ratio for ratio in (_finite(t.ratio[t.familiar]) for t in recent(assessment)) if len(ratio)]
    if len(known) < 2 or sum(map(len, known)) < FEW:
        return None
    return np.asarray(assessment.policy.outliers.times * np.quantile(np.concatenate(known), OUTLYING, axis=0))


def familiar(assessment: NumberAssessment) -> NumberAssessment:
    """The assessment without rows whose value of a category is new to the base, which cannot know how far off they lie;
    with them, where hardly any others are there; as if none were new, where that is usual."""
    if assessment.novel is None or assessment.base is None:
        return assessment
    if _novelty_is_usual(assessment):
        return replace(assessment, novel=None)
    known = ~assessment.novel
    if _hardly_any(known):
        return assessment
    return replace(
        assessment,
        batch=assessment.batch.take(known),
        batch_goals=assessment.batch_goals[known],
        candidate=replace(assessment.candidate, on_batch=assessment.candidate.on_batch[known]),
        base=replace(assessment.base, on_batch=assessment.base.on_batch[known]),
        same=assessment.same and replace(assessment.same, on_batch=assessment.same.on_batch[known]),
        usual=None if assessment.usual is None else assessment.usual[known],
        alone=None if assessment.alone is None else assessment.alone[known],
        novel=None,
    )


def novel_rows(assessment: NumberAssessment) -> int:
    """How many rows have a value of a category that is new to the base."""
    return 0 if assessment.novel is None else int(assessment.novel.sum())


def _finite(values: Floats) -> Floats:
    """Rows whose numbers are all known."""
    return values[np.isfinite(values).all(1)]
