"""Compares columns of a batch with those of known rows: are two mixed up, in another unit, or filled with one value?

How far two columns lie apart is told by the largest difference of their distributions (Kolmogorov and Smirnov). Honest
streams drift, so a distance alone shows nothing: a slip is what one repair mends. Nor is it one where an earlier batch
looked like that, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from service.contract.inputs import InputSpec, VectorInput
from service.contract.policy import WrongColumns
from service.contract.tables import NumberColumn, TableInput
from service.learning.data.rows import Array, Floats, Rows
from service.learning.evaluation.units import TEMPERATURES
from service.learning.gate.wrong_columns import ColumnSlips
from service.learning.update_data import Data

FEW_KNOWN, SAMPLE = 2000, 1000
"""So few known rows are all compared, of more the trusted ones; and of known rows and batch at most so many."""
MOST_ALONE = 50
"""Of more batches of one update the largest are looked at alone."""
MOST_COLUMNS, MOST_MOVED = 1000, 64
"""Wider vectors are what a backbone made, whose columns nobody sends by hand; of more columns that moved none is paired
with others."""
SEVERAL, FLAG, DISTINCT = 3, 2, 10
"""Rows of an earlier batch that say how it was; values of a flag, which may be 0 all day; and values of a column above
which it can be told from others."""
NEARLY, SELDOM = 0.95, 0.5
"""Part of the values that is nearly all, and part of the rows up to which a value is not the usual one."""
MOST_POWER = 300
"""Of ten, by which a column is said to be off: float64 holds no 10**309."""
ALIKE = 0.2
"""Distance up to which a column that was divided by any number is as it was: numbers that count on, and groups that are
stored one after another, have another spread."""
DEGREES, NEARER = 0.15, 3
"""Distance up to which a column is as it was once it is read in other degrees, and how many times as far it must be
without their other zero. So 367 of 400 batches in °F were told, and 1 of 2,000 columns that wander by several spreads;
with 0.2 and 2 it was 397, and 15."""
RATHER = 2
"""And how many times as far a factor must leave it that would be told in their place: of 150 batches of 20 rows in °F
103 are told as such, and 10 as about ten times too large; by the distances above alone it was 22 and 91."""
SPREAD = 2
"""And how many times as near the spread of its values must be to that of earlier batches than by such a factor, where
the column comes back into its range: in July °F look ten times too large beside what came from January on. Of 160 such
months of 150 rows in °F 57 are told so and 20 by a factor, before 31 and 46; of 160 tenfold ones none as degrees."""
CHAIN = 3
"""So many of the columns that change places must fit better there, or all: others may have moved besides."""


def column_slips(data: Data, policy: WrongColumns) -> ColumnSlips | None:
    """What is wrong with columns of an update's own rows; None where they, or known rows, are too few. Each of several
    batches is looked at alone before all are together, where good ones would hide it. Of vectors units alone: their
    columns may be pixels, and pictures that move are no slip. Rows of classes that are new are left out: they differ
    from what is known as another class does."""
    names, places = _numbers(data.input)
    if not names or len(data.batch) < policy.min_rows or not data.kept_rows:
        return None
    known = data.kept() if data.kept_rows <= FEW_KNOWN else data.exam
    rows = data.batch.take(np.flatnonzero(data.batch.codes(known.present()) >= 0))
    if min(len(known), len(rows)) < policy.min_rows:
        return None
    before = _sampled(known)
    alone = _each(rows, policy.min_rows)
    stricter = policy.model_copy(update={"p": policy.p / (len(alone) + 1)})
    for batch, part in [*alone, ("", rows)]:
        columns = _Columns(before, _sampled(part), places, stricter)
        slips = _slips(names, columns, isinstance(data.input, TableInput), len(part), batch)
        if slips.found:
            break
    return slips


def _each(rows: Rows, least: int) -> list[tuple[str, Rows]]:
    """Each of several batches that has enough rows, by name: the largest, at most as many as are looked at alone."""
    codes, counts = np.unique(rows.batch, return_counts=True)
    if len(codes) < 2:
        return []
    largest = codes[np.argsort(-counts, kind="stable")][:MOST_ALONE]
    enough = set(codes[counts >= least].tolist())
    return [(rows.batches[b], rows.take(np.flatnonzero(rows.batch == b))) for b in largest.tolist() if b in enough]


def _slips(names: Sequence[str], columns: _Columns, table: bool, rows: int, batch: str) -> ColumnSlips:
    moved = [k for k in range(len(names)) if columns.moved(k)]
    mixed = columns.mixed(moved) if table else {}
    alone = [k for k in moved if k not in mixed]
    units = {k: unit for k in alone if (unit := columns.unit(k)) is not None}
    return ColumnSlips(
        rows,
        factors={names[k]: factor for k in alone if k not in units and (factor := columns.factor(k)) is not None},
        mixed={names[k]: names[other] for k, other in mixed.items()},
        filled={names[k]: value for k in moved if table for value in columns.filled(k)},
        batch=batch,
        units={names[k]: unit for k, unit in units.items()},
    )


def _numbers(spec: InputSpec) -> tuple[list[str], list[int]]:
    """Names and places of columns of numbers; none of vectors whose scale was declared, as that of pixels is."""
    if isinstance(spec, TableInput):
        numbers = [(c.name, k) for k, c in enumerate(spec.columns) if isinstance(c, NumberColumn)]
        return [name for name, _ in numbers], [k for _, k in numbers]
    if isinstance(spec, VectorInput) and spec.scale is None and spec.size <= MOST_COLUMNS:
        return spec.names or [str(k) for k in range(spec.size)], [*range(spec.size)]
    return [], []


def _sampled(rows: Rows) -> Rows:
    """Evenly spaced rows."""
    return rows.take(np.unique(np.linspace(0, len(rows) - 1, min(len(rows), SAMPLE)).astype(np.int64)))


class _Columns:
    """Columns of numbers, counted from 0: of known rows [m, columns], of each earlier batch, and of the batch."""

    def __init__(self, known: Rows, batch: Rows, places: Sequence[int], policy: WrongColumns) -> None:
        self.known, self.batch = known.inputs[:, places].astype(np.float64), batch.inputs[:, places].astype(np.float64)
        self.earlier = [self.known[known.batch == b] for b in np.unique(known.batch)]
        self.policy = policy

    def before(self, k: int) -> Floats:
        return _present(self.known[:, k])

    def now(self, k: int) -> Floats:
        return _present(self.batch[:, k])

    def moved(self, k: int) -> bool:
        """Whether the column is surely another one, and varied."""
        before, now = self.before(k), self.now(k)
        if len(before) < self.policy.min_rows or len(np.unique(before)) < 2:
            return False
        return not len(now) or _apart(before, now) > self._by_chance(len(before), len(now))

    def _by_chance(self, m: int, n: int) -> float:
        """Distance that two draws of one law seldom reach (Massart 1990)."""
        return math.sqrt(math.log(2 * self.known.shape[1] / self.policy.p) / 2 * (1 / m + 1 / n))

    def _mends(self, columns: Sequence[int], after: float) -> bool:
        """Whether a repair leaves a small part of the distance of these columns together to all known rows, and to each
        earlier batch. after: their distances once repaired, added up"""
        known = [[_present(rows[:, k]) for k in columns] for rows in (self.known, *self.earlier)]
        enough = [rows for rows in known if min(map(len, rows)) >= self.policy.min_rows]
        far = (sum(_apart(x, self.now(k)) for x, k in zip(rows, columns, strict=True)) for rows in enough)
        return after <= self.policy.max_left * min(far)

    def factor(self, k: int) -> float | None:
        """How many times too large the column looks. That is a power of ten that brings it near to what it was, or back
        from beyond all that it ever was in more than one batch, since numbers that count on double in the second. From
        there it is also any number that makes it as it was, to two digits, where no power of ten does."""
        before, now = self.before(k), self.now(k)
        sizes, own = _sizes(before), _sizes(now)
        if not len(sizes) or not len(own):
            return None
        times = _log(own) - _log(sizes)
        power = round(times)
        if not power or abs(power) > MOST_POWER:
            return None
        left = _apart(before, now / 10.0**power)
        earlier = [x for rows in self.earlier if len(x := _present(rows[:, k])) >= SEVERAL]
        jumped = len(earlier) > 1 and all(round(_log(own) - _log(b)) for b in map(_sizes, earlier) if len(b))
        beyond = jumped and _within(own, sizes) <= 1 - NEARLY
        alike = beyond and _apart(before, now / 10.0**times) <= ALIKE
        if alike and left > ALIKE:
            size = float(f"{10.0 ** abs(times):.2g}")
            return size if times > 0 else 1 / size
        back = beyond and _within(own / 10.0**power, sizes) >= NEARLY
        return 10.0**power if alike or back or self._mends([k], left) else None

    def unit(self, k: int) -> str | None:
        """Degrees that were sent, and those that would be as the column was: "°F to °C". Their other zero must tell,
        which changes no large number: neither the factor alone, nor a power of ten, makes the column nearly as near. Of
        few rows these degrees are told in place of a factor that leaves more. No column without negative numbers would
        have some."""
        before, now = self.before(k), self.now(k)
        sizes, own = _sizes(before), _sizes(now)
        if not len(sizes) or not len(own):
            return None
        power = round(_log(own) - _log(sizes))
        tenth, factor = now / 10.0**power if abs(power) <= MOST_POWER else now, self.factor(k)
        for degrees in TEMPERATURES:
            read = now * degrees.times + degrees.plus
            if before.min() >= 0 > read.min():  # an amount: of 400 that grow by 65 % a batch, 58 were told without this
                continue
            left = _apart(before, read)
            sure = left <= DEGREES and all(NEARER * left <= _apart(before, x) for x in (now * degrees.times, tenth))
            rather = factor is not None and RATHER * left <= _apart(before, now / factor)
            if (sure or rather) and self._mends([k], left):
                return degrees.factor
            if factor is not None and self._spread_as(k, read, now / factor):
                return degrees.factor
        return None

    def _spread_as(self, k: int, read: Floats, divided: Floats) -> bool:
        """Whether a column is back in its range as it was read, and its values lie about as far apart as in earlier
        batches, from which they are further as they were divided."""
        before = self.before(k)
        earlier = [_spread(x) for rows in self.earlier if len(x := _present(rows[:, k])) >= self.policy.min_rows]
        usual = float(np.median(earlier)) if earlier else 0.0
        if not usual or not _spread(read) or not _spread(divided) or _within(read, before) < NEARLY:
            return False
        off, as_divided = (abs(math.log(_spread(x) / usual)) for x in (read, divided))
        return off + math.log(SPREAD) <= as_divided

    def mixed(self, moved: Sequence[int]) -> dict[int, int]:
        """Columns and those whose values they hold: of the places in which all fit best, each cycle that mends."""
        columns = [k for k in moved if len(self.now(k))]
        if not 2 <= len(columns) <= MOST_MOVED:
            return {}
        from scipy.optimize import linear_sum_assignment  # a process that only serves does without it

        before, holds = [self.before(k) for k in columns], dict[int, int]()
        apart = np.array([[_apart(other, self.now(k)) for other in before] for k in columns])
        places = linear_sum_assignment(apart)[1]
        for cycle in _cycles(places.tolist()):
            fits = [k for k in cycle if apart[k, places[k]] < apart[k, k]]
            least = CHAIN if len(self.earlier) > 1 else len(cycle)  # lags of a series that moves hold one another's
            if len(fits) < min(len(cycle), least) or all(len(np.unique(before[k])) <= DISTINCT for k in fits):
                continue
            if self._mends([columns[k] for k in fits], apart[fits, places[fits]].sum()):
                holds |= {columns[k]: columns[places[k]] for k in fits}
        return holds

    def filled(self, k: int) -> list[float | None]:
        """0 or None where the column is that in every row and seldom was; [] else, or where an earlier batch was so. A
        column of one other value, or a flag, may be that of a day, or of a place."""
        now, column = self.now(k), self.known[:, k]
        if len(now) and (len(now) < len(self.batch) or now.any() or len(np.unique(self.before(k))) <= FLAG):
            return []
        value = float(now[0]) if len(now) else None
        so = [np.isnan(x) if value is None else x == value for x in (column, *(rows[:, k] for rows in self.earlier))]
        often = so[0].mean() > SELDOM or any(b.all() for b in so[1:] if len(b) >= SEVERAL)
        return [] if often else [value]


def _cycles(places: Sequence[int]) -> Iterator[list[int]]:
    """Those that change places in turn: [1, 0, 2, 4, 3] -> [0, 1], [3, 4]."""
    left = {k for k, place in enumerate(places) if place != k}
    while left:
        cycle = [min(left)]
        while (following := places[cycle[-1]]) != cycle[0]:
            cycle.append(following)
        left.difference_update(cycle)
        yield cycle


def _present(column: Array) -> Floats:
    x = column.astype(np.float64)
    return np.asarray(x[~np.isnan(x)])


def _sizes(x: Floats) -> Floats:
    """How large values are; zeros have any unit."""
    return np.asarray(np.abs(x[x != 0]))


def _spread(x: Floats) -> float:
    """How far the middle half of values lies apart."""
    return float(np.subtract(*np.quantile(x, (0.75, 0.25))))


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
