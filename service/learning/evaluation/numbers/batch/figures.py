"""Figures of a version's errors on a batch: what each version keeps, for later batches to be compared with.

A ratio is |error| over the error that is usual of such a row. Errors below a few steps of the grid are rounding, and
count as those.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from service.learning.data.rows import Floats
from service.learning.statistics import rank_correlation

ROUNDING = 2.0**-14
"""Errors below this, in units, count as this: four steps of the grid."""
MOST_RATIO = 20.0
"""Ratios are cut here in means, so that no outlier is the mean."""
LEAST_RATIO = 0.05
"""A median ratio below this is taken for this: where most targets are one value it says nothing."""
OUTLYING = 0.99
"""Quantile of ratios beyond which they lie far out."""
ORDERED = 5
"""Rows from which their order says something."""
PARTS = 5
"""Parts of a batch, in the order of its rows, whose means show how errors change as rows come."""


def error_sizes(goals: Floats, answers: Floats) -> Floats:
    """|error|, at least what rounding makes; NaN stays. Shaped as `goals`."""
    return np.asarray(np.maximum(np.abs(goals - answers), ROUNDING))


@dataclass(frozen=True)
class ErrorCourse:
    """Errors on rows in the order in which they came. size: mean |error| · side: mean error · spread: variance of the
    mean errors of five parts of them · order: rank correlation of targets and values, with what `from` adds: how
    targets differ from a column has no order that shuffling them could lose."""

    rows: int
    size: float
    side: float
    spread: float
    order: float

    @staticmethod
    def of(value: Floats, error: Floats, added: Floats) -> ErrorCourse | None:
        """The course of these errors; None of fewer rows than parts. value, error (goal - value), added (see
        `NumberGrid.added`) [n]"""
        if len(error) < PARTS:
            return None
        means = [float(part.mean()) for part in np.array_split(error, PARTS)]
        order = rank_correlation(value + error + added, value + added)
        size = max(float(np.abs(error).mean()), ROUNDING)
        return ErrorCourse(len(error), size, float(error.mean()), float(np.var(means, ddof=1)), order)


@dataclass(frozen=True)
class Figures:
    """What a version keeps of a batch for one number of a row; None where the batch is too small, or it was not asked.

    log_mean, log_median, log_far: logarithms of the mean ratio (ratios cut at `MOST_RATIO`), of the median ratio and of
    its 99 % quantile · bias: mean error over the usual mean |error| · order: rank correlation of targets with the
    base's answers, own_order: with the out-of-fold answers of a head of the batch alone · novel: share of rows with a
    value that is new to the base, where hardly any others are; such figures are not usual · gain: what the update
    gained on its own rows, settings: what other settings alone cost on trusted rows, see `measure_numbers.gained` ·
    moved: it passed since it is like stopped batches before it, so usual is what came since · left_out: of a first
    version, its errors on blocks of its rows by a head without the block.
    """

    log_mean: float | None = None
    log_median: float | None = None
    log_far: float | None = None
    bias: float | None = None
    order: float | None = None
    novel: float | None = None
    own_order: float | None = None
    gain: float | None = None
    settings: float | None = None
    moved: bool = False
    left_out: ErrorCourse | None = None

    @staticmethod
    def measured(goals: Floats, values: Floats, ratio: Floats, size: float) -> Figures:
        """The figures of the base's answers to a batch. size: the usual mean |error| · the others [n], n >= 1"""
        return Figures(
            log_mean=math.log(float(np.minimum(ratio, MOST_RATIO).mean())),
            log_median=math.log(max(float(np.median(ratio)), LEAST_RATIO)),
            log_far=math.log(max(float(np.quantile(ratio, OUTLYING)), LEAST_RATIO)),
            bias=float((goals - values).mean()) / size,
            order=rank_correlation(goals, values) if len(goals) >= ORDERED else None,
        )

    def stored(self) -> dict[str, float]:
        """Plain numbers by name, without those that are None."""
        numbers = {name: value for name in NUMBERS if (value := getattr(self, name)) is not None}
        course = asdict(self.left_out) if self.left_out is not None else {}
        moved = {"moved": 1.0} if self.moved else {}
        return numbers | moved | {f"left_out_{name}": value for name, value in course.items()}

    @staticmethod
    def load(stored: Mapping[str, float]) -> Figures:
        """Reverses `stored`."""
        course = {name: stored[f"left_out_{name}"] for name in COURSE if f"left_out_{name}" in stored}
        return Figures(
            **{name: stored[name] for name in NUMBERS if name in stored},
            moved="moved" in stored,
            left_out=ErrorCourse(int(course.pop("rows")), **course) if course else None,
        )


NUMBERS = tuple(name for name in Figures.__dataclass_fields__ if name not in ("moved", "left_out"))
COURSE = tuple(ErrorCourse.__dataclass_fields__)
