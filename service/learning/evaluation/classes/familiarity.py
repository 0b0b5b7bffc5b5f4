"""Tells which rows are like those seen, by distances to class means in the spread within classes."""

from __future__ import annotations

import numpy as np

from service.learning.data.matrices import parts
from service.learning.data.rows import Array, Bools, FeatureRows, Floats, Ints
from service.learning.ledger.moments import oas_shrinkage
from service.learning.ledger.sums import Sums

WIDTH = 256
"""Distances use at most so many features, evenly spaced: those of a random lift are a smaller lift of the same kind."""

SAMPLE = 500
"""Trusted rows that show how far familiar rows lie: those with the smallest hash."""


def is_familiar(seen: Sums, trusted: FeatureRows, rows: Array, quantile: float) -> Bools:
    """Tells which rows are nearer to a class mean than that quantile of trusted rows (Mahalanobis distance).

    rows: rounded features [n, M] -> [n]. The spread is pooled within classes, standardised and shrunk by OAS (Chen et
    al. 2010). `seen` holds neither of them, else trusted rows would lie nearer than any new row can.
    """
    from scipy.linalg import cholesky, solve_triangular  # a process that only serves does without it

    if not len(rows) or not len(trusted) or seen.rows <= len(seen.classes):
        return np.ones(len(rows), bool)
    columns = sampled_columns(seen)
    means = seen.Q[columns] / np.maximum(seen.n, 1)
    spread = seen.G[np.ix_(columns, columns)] - seen.Q[columns] @ means.T
    freedom = seen.rows - len(seen.classes)
    scale = scale_within(seen, columns)
    spread *= np.outer(scale, scale)
    root = cholesky(_shrunk(spread, freedom), lower=True, check_finite=False)

    m = solve_triangular(root, scale[:, None] * means, lower=True, check_finite=False)

    def nearest(features: Array) -> Floats:
        z = solve_triangular(
            root, scale[:, None] * features[:, columns].T.astype(np.float64), lower=True, check_finite=False
        )
        own, squares = (z * z).sum(0)[:, None], (m * m).sum(0)
        squared = [(own[p] - 2 * z[:, p].T @ m + squares).min(1) for p in parts(len(features), len(squares))]
        return np.concatenate(squared)

    sample = trusted.inputs[np.argsort(trusted.hashes)[:SAMPLE]]
    return np.asarray(nearest(rows) <= np.quantile(nearest(sample), quantile))


def sampled_columns(seen: Sums) -> Ints:
    """Returns the features that distances use."""
    return np.unique(np.linspace(0, seen.width - 1, min(seen.width, WIDTH)).round().astype(np.int64))


def scale_within(seen: Sums, columns: Ints) -> Floats:
    """Factors that make the sums of squares within classes one; a feature that hardly varies counts little. -> [p]"""
    own = np.diag(seen.G)[columns] - (seen.Q[columns] ** 2 / np.maximum(seen.n, 1)).sum(1)
    return np.asarray(1 / np.sqrt(np.maximum(own, 1e-3 * own.mean() + 1e-9)))


def _shrunk(correlation: Floats, freedom: int) -> Floats:
    """Toward the identity, by as much as the few rows ask for. correlation [p, p] with diagonal about 1"""
    p = len(correlation)
    trace, squares = float(np.trace(correlation)), float((correlation * correlation).sum())
    weight = max(oas_shrinkage(trace, squares, p, freedom), 1e-3)
    shrunk = (1 - weight) * correlation
    shrunk[np.diag_indices(p)] += weight * trace / p
    return np.asarray(shrunk)
