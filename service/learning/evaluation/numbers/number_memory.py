"""Makes what a version remembers of its batches and of its trusted rows, see `Tested`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from service.learning.data.rows import FeatureRows, Floats, Ints, hash_order
from service.learning.evaluation.numbers.batch.figures import MOVED, figures_of, ratios
from service.learning.evaluation.numbers.batch.first_batches import Earlier
from service.learning.evaluation.numbers.batch.usual_errors import error_sums
from service.learning.evaluation.numbers.intervals import missed
from service.learning.evaluation.numbers.measure_numbers import gained
from service.learning.evaluation.numbers.number_assessment import NumberAssessment, Tested
from service.learning.evaluation.numbers.yardsticks import means
from service.learning.ledger.feature_space import Space

MOST_ROWS = 1000
"""Tested rows that are kept of a batch, smallest hashes first."""


def remember(
    a: NumberAssessment,
    space: Space,
    part: Mapping[str, Floats] | None,
    yardsticks: Mapping[str, Floats],
    moved: bool = False,
    left_out: tuple[Floats, Floats] | None = None,
) -> Tested:
    """Remembers an update. part: the intervals of the base · yardsticks [n, k]: what they answer, as targets · moved:
    it passed since it is like stopped batches before it · left_out: values and errors on its own rows, of the head
    without their block, where nothing was learned before"""
    batch, numbers = a.batch.of_present_batches(), a.grid.size
    kept = _kept(batch) if a.base is not None else np.zeros(0, np.int64)
    value = a.base.on_batch if a.base is not None else np.full(a.batch_goals.shape, np.nan)
    usual = np.ones(len(batch), bool) if a.novel is None else ~a.novel
    error, ratio, mark = a.batch_goals - value, ratios(a), {MOVED: 1.0} if moved else {}
    judging = batch.judging & np.isfinite(a.candidate.on_batch).all(1)
    trusted = FeatureRows.concat([a.trusted.bare(), batch.take(judging).bare()])
    own = np.concatenate([a.trusted_goals - a.candidate.on_trusted, (a.batch_goals - a.candidate.on_batch)[judging]])
    return Tested(
        batches=batch.batches,
        batch=batch.batch[kept].astype(np.int32),
        row=batch.row[kept].astype(np.int32),
        value=value[kept],
        error=error[kept],
        ratio=np.full((len(kept), numbers), np.nan) if ratio is None else ratio[kept],
        figures=tuple(figures | gained(a, k) | mark | _kept_of(left_out, k) for k, figures in enumerate(figures_of(a))),
        trusted_batches=trusted.batches,
        trusted_batch=trusted.batch.astype(np.int32),
        trusted_row=trusted.row.astype(np.int32),
        trusted_error=np.abs(own),
        target=batch.targets[kept].reshape(-1, numbers),
        missed=missed(part, value[kept], error[kept], ~usual[kept]),
        mean=means(batch.batches, batch).reshape(-1, numbers),
        yardsticks={name: values[kept] for name, values in yardsticks.items()} if len(kept) else {},
        sums=error_sums(space, batch.take(usual), error[usual]) if len(kept) else None,
        novel=None if a.novel is None or not len(kept) else a.novel[kept],
    )


def _kept_of(left_out: tuple[Floats, Floats] | None, k: int) -> dict[str, float]:
    """Figures of errors on rows left out, see `Earlier`."""
    earlier = Earlier.of(left_out[0][:, k], left_out[1][:, k]) if left_out is not None else None
    return {} if earlier is None else earlier.figures()


def _kept(batch: FeatureRows) -> Ints:
    """Places of at most 1,000 rows of each batch."""
    order = hash_order(batch)
    of_batches = [order[batch.batch[order] == k][:MOST_ROWS] for k in range(len(batch.batches))]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *of_batches]))
