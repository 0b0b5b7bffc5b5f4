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

import base64
import binascii
import hashlib
import hmac
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from service.contract.inputs import ImageInput, InputSpec, MomentsScale, RangeScale, TextInput
from service.contract.strict import Strict, Unlimited
from service.contract.tables import NumberColumn, TableInput
from service.learning.data.matrices import Array, Floats, Ints
from service.learning.data.row_hash import canonical_rows

COORDINATES = 16
"""Largest number of directions that a row is projected on."""
CELL_BITS, BITS_ALONE, BITS_EACH = 24, 12, 2
"""Cells of a grid over four spreads, as a power of two: with k directions 12 + 2 k, at most 24. Few numbers need finer
steps, else their rows share a handful of cells."""
KIN_SHARE = 2
"""The step of the grid over that of the grid which bounds the exam."""
MARK_SHARE = 6
"""The step of the grid over that of the grids which find copies."""
MARKS = 6
"""Grids which find copies."""
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
SIDE = 8
"""Grey squares each way that an image is reduced to."""
LEAST_SHARE = 2
"""A column counts as if its spread were at least the usual one divided by this."""
GRAIN = 256
"""Integers in a unit: their sums are exact, so every machine finds the same cells."""
LARGEST = 2.0**27
ROUND_VALUES = 2**20
"""Values that are projected at once."""

Keys = NDArray[np.uint64]
Marks = NDArray[np.uint32]

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
        cells, kin, marks = hashes.copy(), _even(hashes), np.zeros((len(hashes), 0), np.uint32)
    elif not _width(folding.input):
        cells = _cells(folding, inputs, secret)
        kin, marks = _even(cells), (cells >> np.uint64(32)).astype(np.uint32)[:, None] | np.uint32(1)
    else:
        cells, kin, marks = _by_grid(folding, folding.level, inputs, secret)
    for row, group in enumerate(groups or ()):
        if group is not None:
            cells[row] = _hash(secret, b"group", group.encode())
            kin[row] = cells[row] | np.uint64(1)
    return Sides((cells % np.uint64(10)).astype(np.int64), kin, marks)


def settle(folding: Folding, inputs: Array, labels: Sequence[str], secret: bytes) -> Folding:
    """Settles units and level by these rows: the coarsest level at which the classes fall into enough cells."""
    if isinstance(folding.input, TableInput) and not _width(folding.input):
        return folding.model_copy(update={"level": 0})
    size = min(len(inputs), LOOKED_AT, max(SETTLING_ROWS, LOOKED_AT_VALUES // max(int(np.prod(inputs.shape[1:])), 1)))
    sample = np.linspace(0, len(inputs) - 1, size).astype(np.int64)
    inputs, names = inputs[sample], np.array([labels[k] for k in sample], object)
    units = None
    if isinstance(folding.input, TableInput):
        units = _packed(table_spreads(folding.input, inputs))
    elif not isinstance(folding.input, TextInput) and _declared(folding.input) is None:
        units = _packed(spreads(inputs))
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
        return np.array([_hash(secret, b"text", _plain(t, folding.level).encode()) for t in inputs], np.uint64)
    if isinstance(folding.input, TableInput) and not _width(folding.input):
        return _exact(folding.input, inputs, secret)
    return _by_grid(folding, folding.level, inputs, secret)[0]


def _hash(secret: bytes, kind: bytes, content: bytes) -> int:
    """Returns the first 8 bytes of a keyed hash."""
    return int.from_bytes(hmac.digest(secret, kind + b"\0" + content, "sha256")[:8], "big")


def _even(keys: Keys) -> Keys:
    """Returns keys of neighbourhoods: even, and not 0."""
    return np.asarray(np.maximum(keys & ~np.uint64(1), np.uint64(2)))


def _plain(text: str, level: int) -> str:
    """Returns a text without case, spaces and signs, and at level 0 without digits; from level 2 on, or where nothing
    would be left, without case; at the finest level as it is."""
    folded = text.casefold()
    if level < 2:
        bare = (_SIGNS_AND_DIGITS if level == 0 else _SIGNS).sub(" ", folded).strip()
        if bare:
            return bare
    return " ".join(folded.split()) if level < FINEST else text


def _by_grid(folding: Folding, level: int, inputs: Array, secret: bytes) -> tuple[Keys, Keys, Marks]:
    """Returns cells [n], kin [n] and marks [n, 6] of vectors, images or tables with numbers."""
    width, key = _width(folding.input), hmac.digest(secret, b"grid", "sha256")
    k = min(width, COORDINATES)
    step = 4.0 * 2.0 ** (-min(CELL_BITS, BITS_ALONE + BITS_EACH * k) / k) / 4.0**level
    directions, norms = _directions(key, width, k)
    offsets = _stream(key, b"offsets", (MARKS + 2) * k).reshape(MARKS + 2, k) / 2.0**32
    times = _stream(key, b"times", (MARKS + 2) * k * 2).view(np.uint64).reshape(MARKS + 2, k) | np.uint64(1)
    units = _units(folding)
    many = max(1, ROUND_VALUES // max(int(np.prod(inputs.shape[1:])), 1))
    places = [
        (_whole(folding.input, inputs[start : start + many], units) @ directions) / norms
        for start in range(0, len(inputs), many)
    ]
    at = np.concatenate([np.zeros((0, k)), *places])
    cells = np.floor(at / step + offsets[0]).astype("<i8")
    keyed = [hmac.digest(key, row.tobytes(), "sha256")[:8] for row in cells]
    near = [_mixed(np.floor(at / (step / KIN_SHARE) + offsets[1]), times[1])]
    near += [_mixed(np.floor(at / (step / MARK_SHARE) + offsets[m]), times[m]) for m in range(2, MARKS + 2)]
    own = np.frombuffer(b"".join(keyed), ">u8").astype(np.uint64)
    if isinstance(folding.input, TableInput):  # rows are near only where all else is equal
        exact = _exact(folding.input, inputs, secret)
        own, near = own ^ exact, [keys ^ exact for keys in near]
    marks = [(keys >> np.uint64(32)).astype(np.uint32) for keys in near[1:]]
    return own, _even(near[0]), np.stack(marks, 1) | np.uint32(1)


def _exact(spec: TableInput, inputs: Array, secret: bytes) -> Keys:
    """Returns keys of what counts as it is in rows of a table: values, booleans, and which numbers are missing. [n]"""
    projected = _projected(spec)
    others = np.delete(inputs, projected, axis=1).astype(np.float64)
    gaps = np.isnan(inputs[:, projected].astype(np.float64)).astype(np.float64)
    rows = canonical_rows(np.concatenate([others, gaps], axis=1))
    return np.array([_hash(secret, b"table", row) for row in rows], np.uint64)


def _projected(spec: TableInput) -> list[int]:
    """Returns the places of numbers and dates."""
    return [place for place, column in enumerate(spec.columns) if column.kind in ("number", "date")]


def _mixed(cells: Floats, times: Keys) -> Keys:
    """Hashes each row of integers: keyed multilinear hashing, its high bits spread over all. -> [n]"""
    mixed = (cells.astype(np.int64).astype(np.uint64) * times).sum(1, dtype=np.uint64)
    mixed ^= mixed >> np.uint64(32)
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    return np.asarray(mixed ^ (mixed >> np.uint64(29)))


def _stream(key: bytes, name: bytes, count: int) -> NDArray[np.uint32]:
    return np.frombuffer(hashlib.shake_256(key + name).digest(4 * count), "<u4").astype(np.uint32)


@lru_cache(maxsize=8)
def _directions(key: bytes, width: int, k: int) -> tuple[Floats, Floats]:
    """Returns keyed integers [width, k] about 0, and the factor that brings a projection back to units [k]."""
    drawn = np.frombuffer(hashlib.shake_256(key + b"directions").digest(2 * width * k), np.uint8)
    directions = drawn.reshape(2, width, k).astype(np.float64).sum(0) - 255.0
    return directions, GRAIN * np.sqrt((directions**2).sum(0))


def _width(spec: InputSpec) -> int:
    if isinstance(spec, TextInput):
        return 0
    if isinstance(spec, TableInput):
        return len(_projected(spec))
    if isinstance(spec, ImageInput):
        return min(spec.height, SIDE) * min(spec.width, SIDE)
    return spec.size


def _whole(spec: InputSpec, inputs: Array, units: Floats) -> Floats:
    """Returns rows as integers of 1/256 unit. [n, ...] -> [n, width]

    A number that is missing counts as 0: that it is missing separates its row from others."""
    if isinstance(spec, TableInput):
        inputs = np.nan_to_num(inputs[:, _projected(spec)])
    x = np.clip(np.rint(inputs.astype(np.float64) * (GRAIN / units)), -LARGEST, LARGEST)
    if not isinstance(spec, ImageInput):
        return x
    down, across = (np.linspace(0, n, min(n, SIDE) + 1).round().astype(np.int64) for n in (spec.height, spec.width))
    squares = np.add.reduceat(np.add.reduceat(x.sum(1), down[:-1], 1), across[:-1], 2)
    pixels = np.outer(np.diff(down), np.diff(across)) * spec.channels
    return np.asarray(np.rint(squares / pixels).reshape(len(x), -1))


def _declared(spec: InputSpec) -> Floats | None:
    """Returns the unit that the model declares, about the spread of its values, None without a declared scale; columns
    of a table have units of their own (`table_spreads`)."""
    scale = spec.scale
    if scale is None:
        return np.array(255 / 4) if isinstance(spec, ImageInput) else None
    if isinstance(scale, RangeScale):
        return np.array((scale.range[1] - scale.range[0]) / 4)
    assert isinstance(scale, MomentsScale)
    std = np.array(scale.std, np.float64)
    return std.reshape(-1, 1, 1) if isinstance(spec, ImageInput) and std.ndim else std


def _units(folding: Folding) -> Floats:
    declared = _declared(folding.input)
    return declared if declared is not None else _unpacked(folding.units or "", _width(folding.input))


def spreads(inputs: Array) -> Ints:
    """Returns the spread of each column as a power of two. -> [d]

    Half of the span of the middle two thirds of its values, so that a few strange rows do not matter. A column that
    hardly varies has the spread of the others, or a part of its size. None is less than a part of the usual one, else
    the noise of columns without a signal would separate copies.
    """
    x = inputs.astype(np.float64)
    low, middle, high = np.quantile(x, [1 / 6, 1 / 2, 5 / 6], axis=0)
    rare = np.quantile(np.abs(x - middle), 0.98, axis=0) / 2  # of columns that are mostly one value
    spread = np.where(high > low, (high - low) / 2, np.where(rare > 0, rare, x.std(0)))
    size = np.median(np.abs(x), axis=0)
    varies = spread > 1e-6 * size
    usual = np.median(spread[varies]) if varies.any() else 0.0
    spread = np.where(varies, np.maximum(spread, usual / LEAST_SHARE), np.maximum(usual, size / 4))
    powers = np.rint(np.log2(np.clip(np.where(spread > 0, spread, 1.0), 2.0**-120, 2.0**120)))
    return np.asarray(powers.astype(np.int64))


def table_spreads(spec: TableInput, inputs: Array) -> Ints:
    """Returns the spread of each number and date of a table as a power of two: of the declared range a quarter, else as
    `spreads` does, but each column by itself, since years, prices and temperatures have nothing in common. -> [d]"""
    powers = []
    for place in _projected(spec):
        column, x = spec.columns[place], inputs[:, place].astype(np.float64)
        if isinstance(column, NumberColumn) and column.scale is not None:
            low, high = column.scale.range
            powers.append(int(np.rint(np.log2(np.clip((high - low) / 4, 2.0**-120, 2.0**120)))))
        else:
            powers.append(int(spreads(x[~np.isnan(x), None])[0]) if not np.isnan(x).all() else 0)
    return np.array(powers, np.int64)


def _packed(powers: Ints) -> str:
    return base64.b64encode(zlib.compress(powers.astype("<i2").tobytes(), 9)).decode()


def _unpacked(packed: str, width: int) -> Floats:
    try:
        powers = np.frombuffer(zlib.decompress(base64.b64decode(packed)), "<i2")
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"the units of the folds cannot be read: {error}") from error
    if len(powers) != width:
        raise ValueError(f"there are units of {len(powers)} columns, and rows have {width}")
    return np.exp2(powers.astype(np.float64))


# Near-duplicates, by their marks


def in_several(keys: Keys | Marks, values: Ints) -> NDArray[np.bool_]:
    """Finds rows that share a key other than 0 with a row of another value. -> [n]"""
    if not len(keys):
        return np.zeros(0, bool)
    _, place = np.unique(keys, return_inverse=True)
    low, high = np.full(place.max() + 1, values.max()), np.full(place.max() + 1, values.min())
    np.minimum.at(low, place, values)
    np.maximum.at(high, place, values)
    return np.asarray((low != high)[place] & (keys != 0))


def parted(marks: Marks, folds: Ints) -> NDArray[np.bool_]:
    """Finds rows with a near-duplicate in another fold: a head may have learned one and be judged on it. -> [n]"""
    rows = np.zeros(len(folds), bool)
    for column in marks.T:
        rows |= in_several(column, folds)
    return rows


def near(marks: Marks, kin: Keys, which: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Finds rows that share a mark or a group with one of `which`, those included. -> [n]"""
    rows = which.copy()
    for column in marks.T:
        rows |= np.isin(column, column[which & (column != 0)])
    return rows | np.isin(kin, kin[which & (kin % np.uint64(2) == 1)])


def shared(marks: Marks, others: Marks) -> NDArray[np.bool_]:
    """Finds rows that share a mark with any of the other rows. [n, m], [k, m] -> [n]"""
    rows = np.zeros(len(marks), bool)
    for column, other in zip(marks.T, others.T, strict=False):
        rows |= np.isin(column, other[other != 0])
    return rows


def repeated(marks: Marks, labels: Ints, hashes: Keys) -> NDArray[np.bool_]:
    """Finds near-duplicates of a row of the same label with a smaller hash. -> [n]"""
    rows = np.zeros(len(labels), bool)
    for column in marks.T:
        order = np.lexsort((hashes, labels, column))
        same = (column[order][1:] == column[order][:-1]) & (labels[order][1:] == labels[order][:-1])
        rows[order[1:][same & (column[order][1:] != 0)]] = True
    return rows
