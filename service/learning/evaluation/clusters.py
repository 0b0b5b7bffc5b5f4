"""Rows that contradict the base, lie close to one another and say the same: a spot whose answer somebody would change.

Mistakes lie as far from one another as any rows do; copies of one row under a wrong label, each moved a little, do not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.learning.data.rows import Ints, Rows
from service.learning.evaluation.answers import Answers
from service.learning.evaluation.evidence import Evidence
from service.learning.evaluation.familiarity import sampled_columns, scale_within
from service.learning.ledger.sums import Sums

LEAST = 3
"""Rows that make a cluster."""
CLOSE = 0.3
"""Rows are close that are nearer than this part of the median distance from a row that agrees to the next."""
SAMPLE = 200
"""Rows that the median is taken of."""
MOST = 2000
"""Conflicts of one kind beyond which no more are looked at: those are no spot."""

Points = NDArray[np.float32]


def clusters(batch: Rows, base_on_batch: Answers, evidence: Evidence, seen: Sums) -> Ints:
    """How many rows the cluster of each row has, 0 where it is in none. batch: n rows with rounded features -> [n]"""
    sizes = np.zeros(len(batch), np.int64)
    conflicts = np.flatnonzero(evidence.conflict)
    if len(conflicts) < LEAST:
        return sizes
    kinds = batch.labels[conflicts] * len(base_on_batch.classes) + base_on_batch.best[conflicts]
    same = [conflicts[kinds == kind] for kind in np.unique(kinds)]
    same = [mine for mine in same if LEAST <= len(mine) <= MOST]
    if not same:
        return sizes
    columns = sampled_columns(seen)
    scale = scale_within(seen, columns).astype(np.float32)

    def points(rows: Ints) -> Points:
        return batch.inputs[np.ix_(rows, columns)].astype(np.float32) * scale

    agreeing = np.flatnonzero(evidence.known & evidence.familiar & ~evidence.conflict)
    if len(agreeing) < LEAST:
        return sizes
    others, sample = points(agreeing), np.linspace(0, len(agreeing) - 1, min(len(agreeing), SAMPLE)).astype(np.int64)
    close = CLOSE**2 * float(np.median(_squares(others[sample], others, sample).min(1)))
    for mine in same:
        own = points(mine)
        sizes[mine] = _sizes(_squares(own, own, np.arange(len(own))) < close)
    return sizes


def _squares(some: Points, points: Points, own: Ints) -> Points:
    """Squared distances of rows to all rows, infinite to themselves, which have the places `own`. -> [m, n]"""
    squares = (some * some).sum(1)[:, None] - 2 * some @ points.T + (points * points).sum(1)
    squares[np.arange(len(some)), own] = np.inf
    return np.asarray(np.maximum(squares, 0))


def _sizes(close: NDArray[np.bool_]) -> Ints:
    """Of each row's group of rows that are close to another, 0 for fewer than three. close [m, m] -> [m]"""
    from scipy.sparse.csgraph import connected_components  # of no use to a process that only serves

    _, group = connected_components(close, directed=False)
    size = np.bincount(group)[group]
    return np.asarray(np.where(size >= LEAST, size, 0))
