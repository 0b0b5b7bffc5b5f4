"""Finds clusters of rows that contradict the base, carry the same label and lie close to one another.

Mistakes lie as far from one another as any rows do. Copies of one row under a wrong label, each moved a little, do not:
learned, they would change the answer to rows like them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.learning.data.rows import Ints, Rows
from service.learning.evaluation.classes.class_answers import Answers
from service.learning.evaluation.classes.evidence import Evidence
from service.learning.evaluation.classes.familiarity import sampled_columns, scale_within
from service.learning.ledger.sums import Sums

LEAST = 3
"""Rows that make a cluster."""
CLOSE = 0.3
"""Rows are close if they are nearer than this part of the median distance between a row that agrees and the next."""
SAMPLE = 200
"""Rows of which the median is taken."""
MOST = 2000
"""Conflicts of one kind beyond which none are compared: so many are no cluster."""

Points = NDArray[np.float32]


def clusters(batch: Rows, base_on_batch: Answers, evidence: Evidence, seen: Sums) -> Ints:
    """Counts the rows of each row's cluster, 0 where it is in none. batch: n rows with rounded features -> [n]"""
    sizes = np.zeros(len(batch), np.int64)
    conflicts = np.flatnonzero(evidence.conflict)
    if len(conflicts) < LEAST:
        return sizes
    kinds = batch.labels[conflicts] * len(base_on_batch.classes) + base_on_batch.best[conflicts]
    of_kinds = [conflicts[kinds == kind] for kind in np.unique(kinds)]
    of_kinds = [rows for rows in of_kinds if LEAST <= len(rows) <= MOST]
    agreeing = np.flatnonzero(evidence.known & evidence.familiar & ~evidence.conflict)
    if not of_kinds or len(agreeing) < LEAST:
        return sizes
    columns = sampled_columns(seen)
    scale = scale_within(seen, columns).astype(np.float32)

    def points(rows: Ints) -> Points:
        return batch.inputs[np.ix_(rows, columns)].astype(np.float32) * scale

    others, sample = points(agreeing), np.linspace(0, len(agreeing) - 1, min(len(agreeing), SAMPLE)).astype(np.int64)
    close = CLOSE**2 * float(np.median(_squares(others[sample], others, sample).min(1)))
    for rows in of_kinds:
        own = points(rows)
        sizes[rows] = _sizes(_squares(own, own, np.arange(len(own))) < close)
    return sizes


def _squares(some: Points, points: Points, own: Ints) -> Points:
    """Squared distances of some points to all, infinite to themselves, whose indices are `own`. -> [m, n]"""
    squares = (some * some).sum(1)[:, None] - 2 * some @ points.T + (points * points).sum(1)
    squares[np.arange(len(some)), own] = np.inf
    return np.asarray(np.maximum(squares, 0))


def _sizes(close: NDArray[np.bool_]) -> Ints:
    """Sizes of each row's connected group of close rows, 0 for fewer than three. close [m, m] -> [m]"""
    from scipy.sparse.csgraph import connected_components  # a process that only serves does without it

    _, group = connected_components(close, directed=False)
    size = np.bincount(group)[group]
    return np.asarray(np.where(size >= LEAST, size, 0))
