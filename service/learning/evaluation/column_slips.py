"""Compares columns of a batch with those of known rows: are two mixed up, in another unit, or filled with one value?

How far two columns lie apart is told by the largest difference of their distributions (Kolmogorov and Smirnov). Honest
streams drift, so a distance alone shows nothing: a slip is what one repair mends. Nor is it one where an earlier batch
looked like that, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.contract.inputs import InputSpec, VectorInput
from service.contract.policy import WrongColumns
from service.contract.tables import NumberColumn, TableInput
from service.learning.data.rows import Array, Floats, Rows
from service.learning.gate.wrong_columns import ColumnSlips
from service.learning.method import Data

FEW_KNOWN, SAMPLE = 2000, 1000
"""So few known rows are all compared, of more the trusted ones; and of known rows and batch at most so many."""
MOST_COLUMNS, MOST_MOVED = 1000, 64
"""Wider vectors are what a backbone made, whose columns nobody sends by hand; of more columns that moved none is paired
with others."""
SEVERAL, DISTINCT = 3, 10
"""Rows of an earlier batch that say how it was, and values of a column above which it can be told from others."""
NEARLY, SELDOM = 0.95, 0.5
"""Part of the values that is nearly all, and part of the rows up to which a value is not the usual one."""
CHAIN = 3
"""Columns in a row that each hold what another held are a shift even where the first and the last fit nothing."""


def column_slips(data: Data, policy: WrongColumns) -> ColumnSlips | None:
    """What is wrong with columns of an update's own rows; None where they, or known rows, are too few. Of vectors units
    alone: their columns may be pixels, and pictures that move are no slip."""
    names, places = _numbers(data.input)
    if not names or len(data.batch) < policy.min_rows or not data.kept_rows:
        return None
    known = data.kept() if data.kept_rows <= FEW_KNOWN else data.exam
    if len(known) < policy.min_rows:
        return None
    columns = _Columns(_sampled(known), _sampled(data.batch).inputs, places, policy)
    moved = [k for k in range(len(names)) if columns.moved(k)]
    table = isinstance(data.input, TableInput)
    mixed = columns.mixed(moved) if table else {}
    factors = {names[k]: factor for k in moved if k not in mixed and (factor := columns.factor(k)) is not None}
    filled = {names[k]: value for k in moved if table for value in columns.filled(k)}
    held = {names[k]: names[other] for k, other in mixed.items()}
    return ColumnSlips(len(data.batch), factors, held, filled)


def _numbers(spec: InputSpec) -> tuple[list[str], list[int]]:
    """Names and places of columns of numbers; none of vectors whose scale was declared, as that of pixels is."""
    if isinstance(spec, TableInput):
        numbers = [(c.name, k) for k, c in enumerate(spec.columns) if isinstance(c, NumberColumn)]
        return [name for name, _ in numbers], [k for _, k in numbers]
    if isinstance(spec, VectorInput) and spec.scale is None and spec.size <= MOST_COLUMNS:
        return [str(k) for k in range(spec.size)], [*range(spec.size)]
    return [], []


def _sampled(rows: Rows) -> Rows:
    """Evenly spaced rows."""
    return rows.take(np.unique(np.linspace(0, len(rows) - 1, min(len(rows), SAMPLE)).astype(np.int64)))


@dataclass(frozen=True, eq=False)
class _Columns:
    """known: rows of before · batch [n, columns] · places: of the columns of numbers, which are counted from 0 here"""

    known: Rows
    batch: Array
    places: Sequence[int]
    policy: WrongColumns

    def before(self, k: int) -> Floats:
        return _present(self.known.inputs[:, self.places[k]])

    def now(self, k: int) -> Floats:
        return _present(self.batch[:, self.places[k]])

    def moved(self, k: int) -> bool:
        """Whether the column is surely another one, and varied."""
        before, now = self.before(k), self.now(k)
        if len(before) < self.policy.min_rows or len(np.unique(before)) < 2:
            return False
        return not len(now) or _apart(before, now) > self._by_chance(len(before), len(now))

    def _by_chance(self, m: int, n: int) -> float:
        """Distance that two draws of one law seldom reach (Massart 1990)."""
        return math.sqrt(math.log(2 * len(self.places) / self.policy.p) / 2 * (1 / m + 1 / n))

    def earlier(self, k: int) -> list[Floats]:
        """The column in each earlier batch that has enough rows of it."""
        column = self.known.inputs[:, self.places[k]]
        batches = (_present(column[self.known.batch == b]) for b in np.unique(self.known.batch))
        return [before for before in batches if len(before) >= SEVERAL]

    def _mends(self, k: int, after: float) -> bool:
        """Whether a repair leaves a small part of the distance to all known rows, and to each earlier batch."""
        now = self.now(k)
        known = [self.before(k), *(b for b in self.earlier(k) if len(b) >= self.policy.min_rows)]
        return after <= self.policy.max_left * min(_apart(before, now) for before in known)

    def factor(self, k: int) -> float | None:
        """The power of ten by which the column looks too large: that brings it near to what it was, or back from beyond
        all that it ever was."""
        before, now = self.before(k), self.now(k)
        sizes, own = _sizes(before), _sizes(now)
        if not len(sizes) or not len(own):
            return None
        power = round(_log(own) - _log(sizes))
        if not power:
            return None
        repaired = own / 10.0**power
        jumped = all(round(_log(own) - _log(b)) for b in map(_sizes, self.earlier(k)) if len(b))
        back = jumped and _within(own, sizes) <= 1 - NEARLY and _within(repaired, sizes) >= NEARLY
        return 10.0**power if back or self._mends(k, _apart(before, now / 10.0**power)) else None

    def mixed(self, moved: Sequence[int]) -> dict[int, int]:
        """Columns and those whose values they hold, where these hold others' in turn."""
        distinct = [k for k in moved if len(np.unique(self.before(k))) > DISTINCT and len(self.now(k))]
        if not 2 <= len(distinct) <= MOST_MOVED:
            return {}
        holds = dict[int, int]()
        for k in distinct:
            apart = {other: _apart(self.before(other), self.now(k)) for other in distinct if other != k}
            nearest = min(apart, key=lambda other: apart[other])
            if self._mends(k, apart[nearest]):
                holds[k] = nearest
        return {k: other for k, other in holds.items() if _in_turn(k, holds)}

    def filled(self, k: int) -> list[float | None]:
        """0 or None where the column is that in every row and seldom was; [] else, or where an earlier batch was so. A
        column of one other value may be that of a day, or of a place."""
        now, column = self.now(k), self.known.inputs[:, self.places[k]].astype(np.float64)
        if len(now) and (len(now) < len(self.batch) or now.any()):
            return []
        value = float(now[0]) if len(now) else None
        so = np.isnan(column) if value is None else column == value
        earlier = (so[self.known.batch == b] for b in np.unique(self.known.batch))
        often = so.mean() > SELDOM or any(b.all() for b in earlier if len(b) >= SEVERAL)
        return [] if often else [value]


def _in_turn(k: int, holds: Mapping[int, int]) -> bool:
    """Whether columns come back to the first, or are as long as a chain."""
    at, steps = k, 0
    while at in holds and steps <= len(holds):
        at, steps = holds[at], steps + 1
        if at == k:
            return True
    return steps >= CHAIN


def _present(column: Array) -> Floats:
    x = column.astype(np.float64)
    return np.asarray(x[~np.isnan(x)])


def _sizes(x: Floats) -> Floats:
    """How large values are; zeros have any unit."""
    return np.asarray(np.abs(x[x != 0]))


def _log(sizes: Floats) -> float:
    return math.log10(float(np.median(sizes)))


def _within(x: Floats, known: Floats) -> float:
    """The share of values within the range of known ones."""
    return float(((x >= known.min()) & (x <= known.max())).mean())


def _apart(a: Floats, b: Floats) -> float:
    """The largest difference of two distributions. [m], [n]"""
    a, b = np.sort(a), np.sort(b)
    both = np.concatenate([a, b])
    of_a, of_b = (np.searchsorted(x, both, side="right") / len(x) for x in (a, b))
    return float(np.abs(of_a - of_b).max())
