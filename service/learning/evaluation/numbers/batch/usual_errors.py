"""How far off a version usually is on a row like that: a ridge on |error| of the last tested batches.

Its right side is sums of features times |error|, which each version remembers of its batches (`ErrorSums`): so what a
batch that was taken back has added leaves with it, whatever is kept of its rows. Its equations are of rows of these
batches that judge and select, which the ledger has at hand, and of the rows that are asked. They stand in for those of
all tested rows: on a stream that drifts ratios of error to usual error then spread from batch to batch as if those were
read again (0.32 beside 0.30 in the logarithm of the mean, over 66 weeks of electricity prices), and by half more with
the equations of everything that was ever learned (0.49).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.learning.data.rows import Array, FeatureRows, Floats, smallest
from service.learning.evaluation.numbers.number_assessment import ErrorSums, Tested
from service.learning.exact.solve import cholesky, substitute
from service.learning.ledger.feature_space import Space
from service.learning.ledger.ledger import Ledger

ALPHA, PSEUDO_ROWS = 0.3, 20.0
"""Shrinkage, in units of each feature's variance: alpha + pseudo-rows / tested rows."""
LEAST_ROWS = 50
"""Tested rows, and rows of the equations, from which rows are told apart."""
MOST_ROWS = 2000
"""Rows of the equations, smallest hashes first."""
LEAST_VARIANCE = 1e-6
"""Least variance of a feature, as a part of the mean variance; in steps of the grid, as a part of 1."""
AT_ONCE = 4096
"""Rows whose features are spread out at once."""
FLOOR = 4.0
"""A usual error is at least the median |error| divided by this."""
MEAN_FLOOR = 0.5
"""Part of the mean |error| that usual errors are on average at least. Where errors fall with the season, a date carries
the fall on: to a quarter of what then came, so that three right weeks of 52 of the weather seemed 4 to 8 times off."""


def error_sums(space: Space, batch: FeatureRows, error: Floats) -> ErrorSums:
    """What a version remembers of the rows of its batches. error [n, k]: of all of them"""
    b, k = len(batch.batches), error.shape[1]
    rows, size = np.bincount(batch.batch, minlength=b).astype(np.float64), np.abs(error)
    sums = ErrorSums(space.id, rows, np.zeros((b, space.features)), np.zeros((b, k)), np.zeros((b, space.features, k)))
    for place in range(b):
        of_batch = np.flatnonzero(batch.batch == place)
        for start in range(0, len(of_batch), AT_ONCE):
            some = of_batch[start : start + AT_ONCE]
            h, e = batch.inputs[some, : space.features].astype(np.float64), size[some]
            sums.features[place] += h.sum(0)
            sums.errors[place] += e.sum(0)
            sums.products[place] += h.T @ e
    return sums


def usual_errors(recent: Sequence[Tested], ledger: Ledger, space: Space, batch: FeatureRows) -> Floats | None:
    """The usual |error| on each row, in units; None where too few rows were tested in this feature space. -> [n, k]

    recent: what the last promoted versions remember · ledger: of the base.
    """
    sums = [t.sums for t in recent if t.sums is not None and t.sums.space == space.id]
    rows = sum(float(s.rows.sum()) for s in sums)
    alike = _alike(recent, ledger, space, batch)
    if rows < LEAST_ROWS or len(alike) < LEAST_ROWS or not len(batch):
        return None
    features = np.sum([s.features.sum(0) for s in sums], 0) / rows
    mean = np.sum([s.errors.sum(0) for s in sums], 0) / rows
    right = np.sum([s.products.sum(0) for s in sums], 0) / rows - np.outer(features, mean)
    weight = _solved(alike, right, ALPHA + PSEUDO_ROWS / rows)
    chunks = [batch.inputs[start : start + AT_ONCE, : space.features] for start in range(0, len(batch), AT_ONCE)]
    usual = np.concatenate([mean + (chunk.astype(np.float64) - features) @ weight for chunk in chunks])
    median = np.median(np.abs(np.concatenate([t.error for t in recent if len(t.error)])), 0)
    usual = np.maximum(usual, median / FLOOR)
    size = usual.mean(0)  # 0 where all targets were one value, and were answered so
    return np.asarray(usual * np.maximum(1.0, MEAN_FLOOR * mean / np.where(size > 0, size, 1.0)))


def _alike(recent: Sequence[Tested], ledger: Ledger, space: Space, batch: FeatureRows) -> Array:
    """Rounded features of rows like those that were tested: of the same batches, and of this one. -> [m, M] int16"""
    batches = {name for t in recent for name in t.batches}
    kept = [rows.take(rows.in_batches(batches)) for rows in (ledger.exam, ledger.selected) if len(rows)]
    alike = FeatureRows.concat([batch, *kept])
    return smallest(alike, MOST_ROWS).inputs[:, : space.features]


def _solved(features: Array, right: Floats, shrinkage: float) -> Floats:
    """Solves (C + shrinkage D) w = right, C the covariance of these features [m, M], D its diagonal. In float32, which
    takes half the time: with such a shrinkage it is exact to a ten-thousandth. -> [M, k]

    A feature that is one value in all of these rows, but not in tested rows, gets no weight: all of D that it has is
    the floor.
    """
    some = np.flatnonzero(features.any(0))
    centred = features.take(some, 1).astype(np.float32)
    centred -= centred.mean(0, dtype=np.float64)
    C = (centred.T @ centred / len(centred)).T
    variance = C.diagonal().astype(np.float64)
    least = LEAST_VARIANCE * max(float(variance.mean()), 1.0)
    factor = cholesky(C, shrinkage * np.maximum(variance, least), shrinkage)
    weight = np.zeros(right.shape)
    weight[some] = substitute(factor, np.where(variance[:, None] > least, right[some], 0.0))
    return weight
