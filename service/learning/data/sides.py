"""Chooses the fold of a row: that of its near-duplicates, or of its group.

The hash of a row's bytes would send a jittered copy to any fold, and a head that learned the copy knows the row that
judges it. So numbers are projected on at most 16 keyed directions and rounded coarsely, texts lose case, spaces and
signs, and the rest is hashed. Of a row of a table the numbers and dates are projected, and its values, flags and gaps
count as they are. A grid has borders: they separate one in eight pairs of copies that differ by a hundredth of
a spread. Finer grids with other borders (`marks`) find those pairs, and neither row judges.

The first batch with enough rows settles how coarse the grid is (`settle`), once: rows of a class must fall into many
cells, else all of them would judge or all learn.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.contract.inputs import InputSpec, TextInput
from service.contract.strict import Strict, Unlimited
from service.contract.tables import TableInput
from service.learning.data.grid import by_grid, even, exact_keys, keyed_hash, width_of
from service.learning.data.matrices import Array, Ints, Keys, Marks
from service.learning.data.spreads import declared_unit, packed, spreads, table_spreads

FINEST = 3
"""Last level of the grid; each level divides the steps by four."""
SETTLING_ROWS = 32
"""Rows of a batch from which it settles the grid; until then rows fall by their bytes."""
COPIES, CLASS_ROWS = 12, 128
"""A class should fall into a cell for every 12 of its rows, as far as 128 rows: more copies of a row are rare."""
FEW_ROWS = 10
"""Classes with fewer rows do not decide how coarse the grid may be."""
LOOKED_AT, LOOKED_AT_VALUES = 2048, 2**24
"""Rows, evenly spaced, and values that settle the grid; fewer rows where they are long."""

_SIGNS = re.compile(r"[\W_]+")
_SIGNS_AND_DIGITS = re.compile(r"[\W\d_]+")


class Folding(Strict):
    """How the folds of a model's rows are chosen. `level`: how fine the grid is, None until a batch has settled it;
    `units`: the spread of each column as a power of two, int16, packed, where the model declares no scale."""

    input: InputSpec
    level: int | None = None
    units: str | None = None

    @property
    def settled(self) -> bool:
        """Whether rows fall by the grid, no longer by their bytes."""
        return self.level is not None


FOLDING: Unlimited[Folding] = Unlimited(Folding)
"""Reads a stored folding."""


@dataclass(frozen=True, eq=False)
class Sides:
    """Folds of rows, and their kin.

    folds [n] 0..9 · kin [n]: the group (odd) or the neighbourhood (even), of which few rows judge; 0: not known ·
    marks [n, m]: rows that share one in any column are near-duplicates; 0: none.
    """

    folds: Ints
    kin: Keys
    marks: Marks


def sides(folding: Folding, inputs: Array, groups: Sequence[str | None] | None, hashes: Keys, secret: bytes) -> Sides:
    """Chooses the folds of rows. inputs [n, ...] · groups: one name a row, None: in no group · hashes [n]: of the rows'
    bytes, which decide until the grid is settled. The fold of a row does not depend on the rows that come with it."""
    if folding.level is None:
        cells, kin, marks = hashes.copy(), even(hashes), np.zeros((len(hashes), 0), np.uint32)
    elif not width_of(folding.input):
        cells = _cells(folding, inputs, secret)
        kin, marks = even(cells), (cells >> np.uint64(32)).astype(np.uint32)[:, None] | np.uint32(1)
    else:
        cells, kin, marks = by_grid(folding.input, folding.units, folding.level, inputs, secret)
    for row, group in enumerate(groups or ()):
        if group is not None:
            cells[row] = keyed_hash(secret, b"group", group.encode())
            kin[row] = cells[row] | np.uint64(1)
    return Sides((cells % np.uint64(10)).astype(np.int64), kin, marks)


def settle(folding: Folding, inputs: Array, labels: Sequence[str], secret: bytes) -> Folding:
    """Settles units and level by these rows: the coarsest level at which the classes fall into enough cells."""
    if isinstance(folding.input, TableInput) and not width_of(folding.input):
        return folding.model_copy(update={"level": 0})
    size = min(len(inputs), LOOKED_AT, max(SETTLING_ROWS, LOOKED_AT_VALUES // max(int(np.prod(inputs.shape[1:])), 1)))
    sample = np.linspace(0, len(inputs) - 1, size).astype(np.int64)
    inputs, names = inputs[sample], np.array([labels[k] for k in sample], object)
    units = None
    if isinstance(folding.input, TableInput):
        units = packed(table_spreads(folding.input, inputs))
    elif not isinstance(folding.input, TextInput) and declared_unit(folding.input) is None:
        units = packed(spreads(inputs))
    folding = folding.model_copy(update={"units": units})
    for level in range(FINEST + 1):
        candidate = folding.model_copy(update={"level": level})
        if level == FINEST or _scatter(_cells(candidate, inputs, secret), names):
            return candidate
    raise AssertionError("the last level is always taken")


def _scatter(cells: Keys, labels: NDArray[np.object_]) -> bool:
    """Whether the median class falls into enough cells of the grid."""
    names, counts = np.unique(labels.astype(str), return_counts=True)
    classes = [labels == name for name in names[counts >= FEW_ROWS]] or [np.ones(len(labels), bool)]
    shares = []
    for members in classes:
        rows = np.unique(cells[members], return_counts=True)[1]
        shares.append((rows.sum() ** 2 / (rows**2).sum()) / (min(rows.sum(), CLASS_ROWS) / COPIES))
    return bool(np.median(shares) >= 1)


def _cells(folding: Folding, inputs: Array, secret: bytes) -> Keys:
    assert folding.level is not None
    if isinstance(folding.input, TextInput):
        return np.array([keyed_hash(secret, b"text", _plain(t, folding.level).encode()) for t in inputs], np.uint64)
    if isinstance(folding.input, TableInput) and not width_of(folding.input):
        return exact_keys(folding.input, inputs, secret)
    return by_grid(folding.input, folding.units, folding.level, inputs, secret)[0]


def _plain(text: str, level: int) -> str:
    """Returns a text without case, spaces and signs, and at level 0 without digits; from level 2 on, or where nothing
    would be left, without case; at the finest level as it is."""
    folded = text.casefold()
    if level < 2:
        bare = (_SIGNS_AND_DIGITS if level == 0 else _SIGNS).sub(" ", folded).strip()
        if bare:
            return bare
    return " ".join(folded.split()) if level < FINEST else text
