"""Rows of a table of which hardly anything is known: what heads answer to them says little of their label or target."""

from __future__ import annotations

from collections.abc import Set

import numpy as np

from service.contract.tables import TableInput
from service.learning.data.rows import Bools, Floats, Rows
from service.learning.update_data import Data

RowNames = Set[tuple[str, int]]
"""Rows by batch and number."""


def mostly_gaps(data: Data) -> RowNames:
    """Names the update's rows that have fewer than half as many cells as the median of these and of trusted rows: in a
    table that is full of gaps, such rows are as good as others."""
    rows = data.batch
    if not isinstance(data.input, TableInput) or not len(rows):
        return frozenset()
    cells = (~np.isnan(rows.inputs)).sum(1)
    trusted = (~np.isnan(data.exam.inputs)).sum(1) if data.kept_rows else cells[:0]
    usual = np.quantile(np.concatenate([cells, trusted]), 0.5, method="higher")
    few = np.flatnonzero(2 * cells < usual)
    return frozenset((rows.batches[rows.batch[k]], int(rows.row[k])) for k in few)


def among(rows: Rows, named: RowNames) -> Bools:
    """Finds the rows that are named. -> [n]"""
    if not named:
        return np.zeros(len(rows), bool)
    pairs = zip(rows.batch.tolist(), rows.row.tolist(), strict=True)
    return np.array([(rows.batches[batch], row) in named for batch, row in pairs], bool)


def may_be_told(rows: Rows, goals: Floats, named: RowNames) -> Bools:
    """Finds targets that can be called wrong: of the named rows those alone that lie beyond the targets of all others.
    goals [n, k] -> [n, k]"""
    gaps = among(rows, named)
    if gaps.all() or not gaps.any():
        return np.broadcast_to(~gaps[:, None], goals.shape)
    others = goals[~gaps]
    return np.asarray(~gaps[:, None] | (goals < others.min(0)) | (goals > others.max(0)))
