"""The cells of rows in a keyed grid of at most 16 directions, and their marks in finer grids with other borders."""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from service.contract.inputs import ImageInput, InputSpec, TextInput
from service.contract.tables import TableInput
from service.learning.data.matrices import Array, Floats, Keys, Marks
from service.learning.data.row_hash import canonical_rows
from service.learning.data.spreads import projected, units_of

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
SIDE = 8
"""Grey squares each way that an image is reduced to."""
GRAIN = 256
"""Integers in a unit: their sums are exact, so every machine finds the same cells."""
LARGEST = 2.0**27
ROUND_VALUES = 2**20
"""Values that are projected at once."""


def by_grid(
    spec: InputSpec, stored_units: str | None, level: int, inputs: Array, secret: bytes
) -> tuple[Keys, Keys, Marks]:
    """Returns cells [n], kin [n] and marks [n, 6] of vectors, images or tables with numbers."""
    width, key = width_of(spec), hmac.digest(secret, b"grid", "sha256")
    k = min(width, COORDINATES)
    step = 4.0 * 2.0 ** (-min(CELL_BITS, BITS_ALONE + BITS_EACH * k) / k) / 4.0**level
    directions, norms = _directions(key, width, k)
    offsets = _stream(key, b"offsets", (MARKS + 2) * k).reshape(MARKS + 2, k) / 2.0**32
    times = _stream(key, b"times", (MARKS + 2) * k * 2).view(np.uint64).reshape(MARKS + 2, k) | np.uint64(1)
    units = units_of(spec, stored_units, width)
    many = max(1, ROUND_VALUES // max(int(np.prod(inputs.shape[1:])), 1))
    places = [
        (_whole(spec, inputs[start : start + many], units) @ directions) / norms
        for start in range(0, len(inputs), many)
    ]
    at = np.concatenate([np.zeros((0, k)), *places])
    cells = np.floor(at / step + offsets[0]).astype("<i8")
    keyed = [hmac.digest(key, row.tobytes(), "sha256")[:8] for row in cells]
    near = [_mixed(np.floor(at / (step / KIN_SHARE) + offsets[1]), times[1])]
    near += [_mixed(np.floor(at / (step / MARK_SHARE) + offsets[m]), times[m]) for m in range(2, MARKS + 2)]
    own = np.frombuffer(b"".join(keyed), ">u8").astype(np.uint64)
    if isinstance(spec, TableInput):  # rows are near only where all else is equal
        exact = exact_keys(spec, inputs, secret)
        own, near = own ^ exact, [keys ^ exact for keys in near]
    marks = [(keys >> np.uint64(32)).astype(np.uint32) for keys in near[1:]]
    return own, even(near[0]), np.stack(marks, 1) | np.uint32(1)


def exact_keys(spec: TableInput, inputs: Array, secret: bytes) -> Keys:
    """Returns keys of what counts as it is in rows of a table: values, booleans, and which numbers are missing. [n]"""
    places = projected(spec)
    others = np.delete(inputs, places, axis=1).astype(np.float64)
    gaps = np.isnan(inputs[:, places].astype(np.float64)).astype(np.float64)
    rows = canonical_rows(np.concatenate([others, gaps], axis=1))
    return np.array([keyed_hash(secret, b"table", row) for row in rows], np.uint64)


@lru_cache(maxsize=8)
def _directions(key: bytes, width: int, k: int) -> tuple[Floats, Floats]:
    """Returns keyed integers [width, k] about 0, and the factor that brings a projection back to units [k]."""
    drawn = np.frombuffer(hashlib.shake_256(key + b"directions").digest(2 * width * k), np.uint8)
    directions = drawn.reshape(2, width, k).astype(np.float64).sum(0) - 255.0
    return directions, GRAIN * np.sqrt((directions**2).sum(0))


def _stream(key: bytes, name: bytes, count: int) -> NDArray[np.uint32]:
    return np.frombuffer(hashlib.shake_256(key + name).digest(4 * count), "<u4").astype(np.uint32)


def _mixed(cells: Floats, times: Keys) -> Keys:
    """Hashes each row of integers: keyed multilinear hashing, its high bits spread over all. -> [n]"""
    mixed = (cells.astype(np.int64).astype(np.uint64) * times).sum(1, dtype=np.uint64)
    mixed ^= mixed >> np.uint64(32)
    mixed *= np.uint64(0x9E3779B97F4A7C15)
    return np.asarray(mixed ^ (mixed >> np.uint64(29)))


def width_of(spec: InputSpec) -> int:
    """Returns how many numbers of a row are projected; 0 where it is hashed as it is."""
    if isinstance(spec, TextInput):
        return 0
    if isinstance(spec, TableInput):
        return len(projected(spec))
    if isinstance(spec, ImageInput):
        return min(spec.height, SIDE) * min(spec.width, SIDE)
    return spec.size


def _whole(spec: InputSpec, inputs: Array, units: Floats) -> Floats:
    """Returns rows as integers of 1/256 unit. [n, ...] -> [n, width]

    A number that is missing counts as 0: that it is missing separates its row from others."""
    if isinstance(spec, TableInput):
        inputs = np.nan_to_num(inputs[:, projected(spec)])
    x = np.clip(np.rint(inputs.astype(np.float64) * (GRAIN / units)), -LARGEST, LARGEST)
    if not isinstance(spec, ImageInput):
        return x
    down, across = (np.linspace(0, n, min(n, SIDE) + 1).round().astype(np.int64) for n in (spec.height, spec.width))
    squares = np.add.reduceat(np.add.reduceat(x.sum(1), down[:-1], 1), across[:-1], 2)
    pixels = np.outer(np.diff(down), np.diff(across)) * spec.channels
    return np.asarray(np.rint(squares / pixels).reshape(len(x), -1))


def keyed_hash(secret: bytes, kind: bytes, content: bytes) -> int:
    """Returns the first 8 bytes of a keyed hash."""
    return int.from_bytes(hmac.digest(secret, kind + b"\0" + content, "sha256")[:8], "big")


def even(keys: Keys) -> Keys:
    """Returns keys of neighbourhoods: even, and not 0."""
    return np.asarray(np.maximum(keys & ~np.uint64(1), np.uint64(2)))
