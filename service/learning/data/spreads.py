"""The unit of each column of a row, about the spread of its values: declared by the model, or settled by a batch."""

from __future__ import annotations

import base64
import binascii
import zlib

import numpy as np

from service.contract.inputs import ImageInput, InputSpec, MomentsScale, RangeScale
from service.contract.tables import NumberColumn, TableInput
from service.learning.data.matrices import Array, Floats, Ints

LEAST_SHARE = 2
"""A column counts as if its spread were at least the usual one divided by this."""


def declared_unit(spec: InputSpec) -> Floats | None:
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


def units_of(spec: InputSpec, stored: str | None, width: int) -> Floats:
    """Returns the unit of each of so many columns, one for all of them where the model declares it. stored: what a
    batch has settled, else"""
    declared = declared_unit(spec)
    return declared if declared is not None else _unpacked(stored or "", width)


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
    for place in projected(spec):
        column, x = spec.columns[place], inputs[:, place].astype(np.float64)
        if isinstance(column, NumberColumn) and column.scale is not None:
            low, high = column.scale.range
            powers.append(int(np.rint(np.log2(np.clip((high - low) / 4, 2.0**-120, 2.0**120)))))
        else:
            powers.append(int(spreads(x[~np.isnan(x), None])[0]) if not np.isnan(x).all() else 0)
    return np.array(powers, np.int64)


def projected(spec: TableInput) -> list[int]:
    """Returns the places of numbers and dates."""
    return [place for place, column in enumerate(spec.columns) if column.kind in ("number", "date")]


def packed(powers: Ints) -> str:
    return base64.b64encode(zlib.compress(powers.astype("<i2").tobytes(), 9)).decode()


def _unpacked(text: str, width: int) -> Floats:
    try:
        powers = np.frombuffer(zlib.decompress(base64.b64decode(text)), "<i2")
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"the units of the folds cannot be read: {error}") from error
    if len(powers) != width:
        raise ValueError(f"there are units of {len(powers)} columns, and rows have {width}")
    return np.exp2(powers.astype(np.float64))
