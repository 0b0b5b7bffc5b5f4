"""Sums that leave one service and enter another, without a row: what must hold of them, and the entry they become.

Whatever the rows were, G is symmetric, its last row is the sum of the columns of Q, and the scatter within classes,
G - sum_k Q_k Q_k' / n_k, is positive semi-definite. Sums that break this are sums of no rows.
"""

from __future__ import annotations

import numpy as np

from service.learning.data.rows import FeatureRows, Floats
from service.learning.data.target_grid import LIMB_BITS
from service.learning.ledger.entry import SummedEntry
from service.learning.ledger.feature_space import GRID_LIMIT
from service.learning.ledger.sums import LARGEST_SUM, Sums

FORMAT = 1
"""The format of an exported ledger, in its metadata."""
TENSORS = ("G", "Q", "n")
"""The tensors of an exported ledger: float64 that hold whole numbers."""
LOW_LIMB = 2 ** (LIMB_BITS - 1)
"""Largest low limb of a target, on both sides of zero."""
ROUNDING = 1e-9
"""What float64 may make of an eigenvalue 0 of a scatter whose features have the size 1: it is 4e-12 at 4,096."""


def entry_of(sums: Sums) -> SummedEntry:
    """The entry of a merged ledger: all of its rows are learned, and none judges or selects."""
    none, no_rows = Sums.empty(sums.width), FeatureRows.none(sums.width)
    return SummedEntry(none, none, sums, no_rows, no_rows)


def fault(sums: Sums, numbers: int) -> tuple[str, str] | None:
    """The tensor that breaks what holds of the sums of any rows, and how; None where all of it holds.

    numbers: how many are predicted of a row, whose limbs are the last columns; 0 where targets are classes. Shapes
    agree already.
    """
    G, Q, n = sums.G, sums.Q, sums.n
    for name, values in zip(TENSORS, (G, Q, n), strict=True):
        if not (np.rint(values) == values).all() or not (np.abs(values) <= LARGEST_SUM).all():
            return name, "not all of it are whole numbers up to 2^53"
    if not (n >= 1).all():
        return "n", "a class has no row; leave it out"
    if not np.array_equal(G, G.T):
        return "G", "it is not symmetric"
    rows, largest = n.sum(), _largest(sums.width, numbers)
    if G[-1, -1] != rows or not np.array_equal(Q[-1], n):
        return "Q" if G[-1, -1] == rows else "G", "its last row counts other rows than n"
    if not (np.abs(Q[:-1]) <= largest[:, None] * n).all():
        return "Q", "it is larger than any sum of so many rows"
    if not np.array_equal(G[:-1, -1], Q[:-1].sum(1)):
        return "G", "its last row is not the sum of the classes in Q"
    if not (G.diagonal()[:-1] <= largest**2 * rows).all():
        return "G", "it is larger than any sum of so many rows"
    return (
        None
        if _scatters(G[:-1, :-1], Q[:-1], n)
        else ("G", "no rows have these sums: they would spread by less than 0")
    )


def _largest(width: int, numbers: int) -> Floats:
    """The largest size of each column of a row, without the bias. -> [width]"""
    largest = np.full(width, float(GRID_LIMIT))
    largest[width - 2 * numbers : width - numbers] = LOW_LIMB
    return largest


def _scatters(G: Floats, Q: Floats, n: Floats) -> bool:
    """Whether the scatter within classes is positive semi-definite, to the rounding. G [M, M], Q [M, C], n [C]"""
    size = np.sqrt(G.diagonal().clip(0))
    if G[size == 0].any() or Q[size == 0].any():
        return False
    size[size == 0] = 1.0
    means = Q / np.sqrt(n)
    within: Floats = means @ means.T  # in place from here on: it may be as large as the body
    np.subtract(G, within, out=within)
    within /= size
    within /= size[:, None]
    within.ravel()[:: len(within) + 1] += ROUNDING
    try:
        np.linalg.cholesky(within)
    except np.linalg.LinAlgError:
        return False
    return True
