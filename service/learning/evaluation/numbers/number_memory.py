"""Makes what a version remembers of its batches and of its trusted rows, see `Tested`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from service.learning.data.rows import FeatureRows, Floats, Ints, hash_order
from service.learning.evaluation.numbers.batch.comparison import figures_of
from service.learning.evaluation.numbers.batch.figures import ErrorCourse, Figures
from service.learning.evaluation.numbers.batch.recent_batches import ratios
from service.learning.evaluation.numbers.batch.usual_errors import error_sums
from service.learning.evaluation.numbers.intervals import missed
from service.learning.evaluation.numbers.measure_numbers import gained
from service.learning.evaluation.numbers.number_assessment import NumberAssessment, Tested
from service.learning.evaluation.numbers.yardsticks import means
from service.learning.ledger.feature_space import Space

MOST_ROWS = 1000
"""Tested rows that are kept of a batch, smallest hashes first."""


def remember(
    assessment: NumberAssessment,
    space: Space,
    part: Mapping[str, Floats] | None,
    yardsticks: Mapping[str, Floats],
    moved: bool = False,
    left_out: tuple[Floats, Floats, Floats] | None = None,
) -> Tested:
    """Remembers an update. part: the intervals of the base · yardsticks [n, k]: what they answer, as targets · moved:
    it passed since it is like stopped batches before it · left_out: values and errors on its own rows, of the head
    without their block, where nothing was learned before"""
    batch, numbers = assessment.batch.of_present_batches(), assessment.grid.size
    kept = _kept(batch) if assessment.base is not None else np.zeros(0, np.int64)
    value = assessment.base.on_batch if assessment.base is not None else np.full(assessment.batch_goals.shape, np.nan)
    usual = np.ones(len(batch), bool) if assessment.novel is None else ~assessment.novel
    error, ratio = assessment.batch_goals - value, ratios(assessment)
    judging = batch.judging & np.isfinite(assessment.candidate.on_batch).all(1)
    trusted = FeatureRows.concat([assessment.trusted.bare(), batch.take(judging).bare()])
    on_trusted = assessment.trusted_goals - assessment.candidate.on_trusted
    on_batch = assessment.batch_goals - assessment.candidate.on_batch
    return Tested(
        batches=batch.batches,
        batch=batch.batch[kept].astype(np.int32),
        row=batch.row[kept].astype(np.int32),
        value=value[kept],
        error=error[kept],
        ratio=np.full((len(kept), numbers), np.nan) if ratio is None else ratio[kept],
        figures=kept_figures(assessment, moved, left_out),
        trusted_batches=trusted.batches,
        trusted_batch=trusted.batch.astype(np.int32),
        trusted_row=trusted.row.astype(np.int32),
        trusted_error=np.abs(np.concatenate([on_trusted, on_batch[judging]])),
        target=batch.targets[kept].reshape(-1, numbers),
        missed=missed(part, value[kept], error[kept], ~usual[kept]),
        mean=means(batch.batches, batch).reshape(-1, numbers),
        yardsticks={name: values[kept] for name, values in yardsticks.items()} if len(kept) else {},
        sums=error_sums(space, batch.take(usual), error[usual]) if len(kept) else None,
        novel=None if assessment.novel is None or not len(kept) else assessment.novel[kept],
    )


def kept_figures(
    assessment: NumberAssessment, moved: bool = False, left_out: tuple[Floats, Floats, Floats] | None = None
) -> tuple[Figures, ...]:
    """The figures that a version keeps for each number of a row; see `remember`."""
    kept = []
    for k, figures in enumerate(figures_of(assessment)):
        gain, settings = gained(assessment, k)
        course = None if left_out is None else ErrorCourse.of(*(part[:, k] for part in left_out))
        kept.append(replace(figures, gain=gain, settings=settings, moved=moved, left_out=course))
    return tuple(kept)


def _kept(batch: FeatureRows) -> Ints:
    """Places of at most 1,000 rows of each batch."""
    order = hash_order(batch)
    of_batches = [order[batch.batch[order] == k][:MOST_ROWS] for k in range(len(batch.batches))]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *of_batches]))
