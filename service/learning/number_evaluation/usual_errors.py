"""How far off a version usually is on a row like that: a ridge on |error| of the last tested batches.

Its equations are those of all learned rows, from the ledger, and its right side is of the tested ones: sums of features
times |error|, which each version remembers of its batches (`ErrorSums`). So no row is read again, whatever is kept of
it, and what a batch that was taken back has added leaves with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.learning.data.rows import FeatureRows
from service.learning.exact.solve import substitute
from service.learning.ledger.feature_space import Space
from service.learning.ledger.sums import Sums
from service.learning.number_evaluation.assessment import ErrorSums, Floats, Tested
from service.learning.number_heads.equations import NumberEquations

ALPHA, PSEUDO_ROWS = 0.3, 20.0
"""Shrinkage, in units of each feature's variance: alpha + pseudo-rows / tested rows."""
LEAST_ROWS = 50
"""Tested rows from which rows are told apart."""
AT_ONCE = 4096
"""Rows whose features are spread out at once."""
FLOOR = 4.0
"""A usual error is at least the median |error| divided by this."""


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


def usual_errors(recent: Sequence[Tested], learned: Sums, space: Space, batch: FeatureRows) -> Floats | None:
    """The usual |error| on each row, in units; None where too few rows were tested in this feature space. -> [n, k]

    recent: what the last promoted versions remember · learned: sums of all learned rows.
    """
    grid = space.numbers
    sums = [t.sums for t in recent if t.sums is not None and t.sums.space == space.id]
    rows = sum(float(s.rows.sum()) for s in sums)
    if grid is None or rows < LEAST_ROWS or learned.mass <= 0 or not len(batch):
        return None
    features = np.sum([s.features.sum(0) for s in sums], 0) / rows
    mean = np.sum([s.errors.sum(0) for s in sums], 0) / rows
    right = np.sum([s.products.sum(0) for s in sums], 0) / rows - np.outer(features, mean)
    factor = NumberEquations(learned, grid.size, space.shift).factor(ALPHA + PSEUDO_ROWS / rows)
    weight = substitute(factor, right)
    chunks = [batch.inputs[start : start + AT_ONCE, : space.features] for start in range(0, len(batch), AT_ONCE)]
    usual = np.concatenate([mean + (chunk.astype(np.float64) - features) @ weight for chunk in chunks])
    median = np.median(np.abs(np.concatenate([t.error for t in recent if len(t.error)])), 0)
    return np.asarray(np.maximum(usual, median / FLOOR))
