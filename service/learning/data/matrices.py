"""Matrices of one number a row and class: in one piece where they are small, else in parts and in float32.

Thousands of classes with a few rows each make hundreds of millions of numbers, of which most readers want the largest
of each row. A small matrix is computed at once, so its bits are those of one product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)
Array = NDArray[np.generic]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LARGE = 2**24
"""Numbers beyond which a matrix is made in parts and kept in float32: 128 MB of float64."""
PART = 2**20
"""Numbers in a part of a large matrix."""


def parts(rows: int, columns: int) -> list[slice]:
    """Returns the rows of a matrix: all at once, or a few at a time where it is large."""
    if rows * columns <= LARGE:
        return [slice(0, rows)]
    size = max(1, PART // columns)
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def matrix(rows: int, columns: int, make: Callable[[slice], Floats]) -> Floats:
    """Fills a matrix part by part: `make` returns the numbers of some rows. -> [rows, columns]"""
    places = parts(rows, columns)
    if len(places) == 1:
        return make(places[0])
    whole = blank(rows, columns)
    for place in places:
        whole[place] = make(place)
    return whole


def blank(rows: int, columns: int) -> Floats:
    """Returns a matrix of NaN. -> [rows, columns]"""
    kind = np.float32 if len(parts(rows, columns)) > 1 else np.float64
    return cast(Floats, np.full((rows, columns), np.nan, kind))


def row_by_row(numbers: Floats, of: Callable[[Floats], NDArray[T]]) -> NDArray[T]:
    """Applies `of`, which returns one value a row, to a few rows at a time. [n, C] -> [n]"""
    return np.concatenate([of(numbers[place]) for place in parts(*numbers.shape)])


Keys = NDArray[np.uint64]
Marks = NDArray[np.uint32]
