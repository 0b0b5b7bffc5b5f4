"""Rows of a table -> the first matrix behind them, without the many zeros of their fixed features.

Of a column's indicators one at most is 1, so a matrix over them is a sum of a few of its columns. The other features
are computed for all columns of a kind at once. Values that a version never learned add nothing: to look them up takes
the place of hashing them. The same sums as those of `TableScale` and the layers behind it, to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from math import pi
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from service.contract.tables import (
    DATE_PARTS,
    BooleanColumn,
    CategoryColumn,
    DateColumn,
    NumberColumn,
    TableInput,
    value_code,
    value_text,
)
from service.learning.data.learned_values import LearnedValues
from service.learning.data.matrices import Floats
from service.learning.network.lifts import Lift
from service.learning.network.table_scale import (
    CLIP,
    DAY,
    FIRST_WEEKDAY,
    INDICATOR_BITS,
    ODD,
    YEAR,
    TableScale,
    indicator_of,
)
from service.serving.compute.alignment import aligned
from service.serving.compute.onednn import PackedMatrix

Singles = NDArray[np.float32]
Integers = NDArray[np.int64]
Places = tuple[Sequence[int], Sequence[int]]
"""Where `TableScale` has the dense features, and the indicators."""

FEW = 4
"""Rows whose cells are looked up one by one."""
STRIDE = 2**53
"""Between the keys of two columns: codes are smaller, and those of a thousand columns fit an int64."""
MISSING = -(2.0**52)
"""In the place of a code or of seconds: no code is negative, and no date is so old."""
TURNS, PHASES = 2 * pi * np.array([1.0, 1.0, 2.0, 2.0]), pi / 2 * np.array([0.0, 1.0, 0.0, 1.0])
"""Of the four features of a turn: sine and cosine, of one and of two turns."""


class Encoded(NamedTuple):
    """The fixed features of n rows. dense: those that are no indicators [n, d] float32. at: which indicators are 1
    [n, k]; the place behind the last indicator stands for none."""

    dense: Tensor
    at: Integers


class TableEncoder:
    """Rows [n, columns] float64, missing NaN -> `Encoded`. values: those that were learned; None: all count."""

    def __init__(self, scale: TableScale, values: LearnedValues | None) -> None:
        self._dense, self._indicators = _Dense(scale), _Indicators(scale, {} if values is None else values.codes)
        self.places = self._dense.places, self._indicators.places

    def __call__(self, rows: Tensor) -> Encoded:
        cells = rows.numpy()
        return Encoded(aligned(torch.from_numpy(self._dense(cells))), self._indicators(cells))


class _Dense:
    """Flags of missing numbers, turns of dates, scaled numbers and booleans, pieces of numbers, in this order: pieces
    weigh nothing in random features, which leave out what is last.

    What is scaled is clipped before: clip((x - mean) / std, -8, 8) = (clip(x, mean - 8 std, mean + 8 std) - mean) / std
    never passes the largest number. A piece is the same between two knots."""

    def __init__(self, scale: TableScale) -> None:
        spec, starts = scale.spec, _starts(scale.spec)
        numbers, booleans = _of_kind(spec, NumberColumn), _of_kind(spec, BooleanColumn)
        mean, std, knots = (t.numpy() for t in (scale.mean, scale.std, scale.knots))
        low, high = knots[:, :-1].ravel(), knots[:, 1:].ravel()
        ones = np.ones(len(booleans))  # (x - 1/2) / (1/2) = 2 x - 1
        self._least = np.concatenate([mean - CLIP * std, 0 * ones, low])
        self._most = np.concatenate([mean + CLIP * std, ones, high])
        self._from = np.concatenate([mean, ones / 2, low])
        self._units = np.concatenate([std, ones / 2, np.where(high > low, high - low, np.inf)])
        self._columns = np.array([*numbers, *booleans, *np.repeat(numbers, spec.pieces)], np.int64)
        self._numbers = len(numbers)
        turns = [(place, part, start) for place, part, start in _parts(spec, starts) if part != "weekday"]
        self._dates = np.array([place for place, _, _ in turns], np.int64)
        self._yearly = np.array([part == "year" for _, part, _ in turns], bool)
        self.places = [
            *(starts[place] + 1 for place in numbers),
            *(start + k for _, _, start in turns for k in range(len(TURNS))),
            *(starts[place] for place in numbers + booleans),
            *(starts[place] + 2 + k for place in numbers for k in range(spec.pieces)),
        ]

    def __call__(self, rows: Floats) -> Singles:
        n, numbers = len(rows), self._numbers
        features = np.empty((n, len(self.places)), np.float32)
        at = numbers
        if self._dates.size:
            days = rows.take(self._dates, 1) / DAY
            turns = np.where(self._yearly, np.floor(days) / YEAR, days)
            turns -= np.floor(turns)
            at += len(TURNS) * self._dates.size
            np.sin(
                (turns[:, :, None] * TURNS + PHASES).reshape(n, -1), out=features[:, numbers:at], casting="same_kind"
            )
        x = rows.take(self._columns, 1)
        np.maximum(x, self._least, out=x)
        np.minimum(x, self._most, out=x)
        np.subtract(x, self._from, out=x)
        np.divide(x, self._units, out=features[:, at:], casting="same_kind")
        np.isnan(x[:, :numbers], out=features[:, :numbers])
        np.copyto(features, 0, where=np.isnan(features))  # of what is missing
        return features


class _Indicators:
    """Indicators of categories and weekdays. Listed and learned values are looked up, those of the other columns are
    hashed. A key is a column and a code of it."""

    def __init__(self, scale: TableScale, learned: Mapping[int, Floats]) -> None:
        spec, starts = scale.spec, _starts(scale.spec)
        self.places: list[int] = []
        shared = self._room(starts[-1], spec.indicators if spec.growing else 0)
        known: list[tuple[int, Floats, Integers]] = []  # column, codes, their indicators
        hashed: list[tuple[int, int, int, int]] = []  # column, salt, width, first indicator
        for place, column in enumerate(spec.columns):
            if not isinstance(column, CategoryColumn):
                continue
            salt, width = scale.salts[place], spec.widths[place]
            first = self._room(starts[place], width) if width else shared
            if column.values is not None:
                codes = np.array([value_code(value_text(value)) for value in column.values])
                known.append((place, codes, first + np.arange(width)))
            elif place in learned:
                codes = learned[place]
                known.append((place, codes, first + indicator_of(codes.astype(np.int64), salt, spec.indicators)))
            else:
                hashed.append((place, salt, width or spec.indicators, first))
        weekdays = [(place, start) for place, part, start in _parts(spec, starts) if part == "weekday"]
        self._mondays = np.array([self._room(start, DATE_PARTS["weekday"]) for _, start in weekdays], np.int64)
        looked_up = np.array([place for place, _, _ in known], np.int64)
        self._offsets = looked_up * STRIDE
        keys = np.concatenate([looked_up[:0], *(codes.astype(np.int64) + place * STRIDE for place, codes, _ in known)])
        order = np.argsort(keys)
        self._keys = np.append(keys[order], np.iinfo(np.int64).max)
        self._at = np.append(np.concatenate([looked_up[:0], *(at for _, _, at in known)])[order], self.none)
        columns, self._salts, self._widths, self._firsts = np.array(hashed, np.int64).reshape(-1, 4).T
        self._columns = np.array([*looked_up, *columns, *(place for place, _ in weekdays)], np.int64)
        # of one cell, by column
        self._finders = [
            *(_looked_up(codes, at, self.none) for _, codes, at in known),
            *(_hashed(salt, width, first, self.none) for _, salt, width, first in hashed),
            *(_weekday(monday, self.none) for monday in self._mondays.tolist()),
        ]

    @property
    def none(self) -> int:
        """The place behind the last indicator."""
        return len(self.places)

    def _room(self, start: int, width: int) -> int:
        """The first of so many more indicators."""
        first = self.none
        self.places += range(start, start + width)
        return first

    def __call__(self, rows: Floats) -> Integers:
        if len(rows) <= FEW:  # an array for each step takes longer than a few cells one by one
            of_rows = rows.take(self._columns, 1).tolist()
            return np.array(
                [[find(c) for find, c in zip(self._finders, row, strict=True)] for row in of_rows], np.int64
            )
        cells = np.floor(np.fmax(rows.take(self._columns, 1), MISSING)).astype(np.int64)
        known, weekdays = self._offsets.size, self._mondays.size
        blocks: list[Integers] = []
        if known:
            keys = cells[:, :known] + self._offsets
            at = self._keys.searchsorted(keys)
            blocks.append(np.where(self._keys.take(at) == keys, self._at.take(at), self.none))
        if self._salts.size:
            hashed = cells[:, known : cells.shape[1] - weekdays]
            at = indicator_of(hashed, self._salts, self._widths) + self._firsts
            blocks.append(np.where(hashed == MISSING, self.none, at))
        if weekdays:
            seconds = cells[:, -weekdays:]
            weekday = (seconds // int(DAY) + FIRST_WEEKDAY) % DATE_PARTS["weekday"]
            blocks.append(np.where(seconds == MISSING, self.none, weekday + self._mondays))
        return blocks[0] if len(blocks) == 1 else np.concatenate([cells[:, :0], *blocks], 1)


Finder = Callable[[float], int]
"""Finds the indicator of a cell."""


def _looked_up(codes: Floats, at: Integers, none: int) -> Finder:
    places = dict(zip(codes.tolist(), at.tolist(), strict=True))
    return lambda cell: places.get(cell, none)


def _hashed(salt: int, width: int, first: int, none: int) -> Finder:
    """As `indicator_of`."""
    shift, last = 63 - INDICATOR_BITS, 2**INDICATOR_BITS - 1
    return lambda cell: first + ((int(cell) ^ salt) * ODD >> shift & last) % width if cell == cell else none


def _weekday(monday: int, none: int) -> Finder:
    days = DATE_PARTS["weekday"]
    return lambda cell: monday + int(cell // DAY + FIRST_WEEKDAY) % days if cell == cell else none


class TableMatrix:
    """A dense layer whose inputs are fixed features, from column `first` on, and others beside them: -> [n, out].

    places: of the encoder; empty where no input is a fixed feature."""

    def __init__(self, layer: PackedMatrix, places: Places, first: int = 0) -> None:
        weight, (dense, indicators) = layer.weight, (torch.tensor(of, dtype=torch.int64) + first for of in places)
        seen = first + len(dense) + len(indicators)
        if not weight.shape[1]:  # of a head from which every batch was taken back
            weight = weight.new_zeros(len(weight), seen)
        behind = torch.arange(seen, weight.shape[1])
        kept = weight[:, torch.cat([torch.arange(first), dense, behind])]
        weighted = torch.nonzero(kept.any(0))
        self._inputs = int(weighted[-1]) + 1 if len(weighted) else 0  # the last ones may weigh nothing
        self.matrix = PackedMatrix(kept[:, : self._inputs].contiguous(), layer.bias)
        self._activated = layer.activated
        none = torch.zeros(1, len(weight))
        self._of_indicators = torch.cat([weight[:, indicators].T, none]) if len(indicators) else None

    def __call__(self, x: Tensor, at: Integers) -> Tensor:
        """x [n, in] without the indicators; these are `at`, see `Encoded`."""
        y = self.matrix(x[:, : self._inputs])
        if (weights := self._of_indicators) is not None:
            if len(at) == 1:
                y += torch.from_numpy(weights.numpy().take(at[0], 0).sum(0))  # a third of a bag's time
            else:
                y += F.embedding_bag(torch.from_numpy(at), weights, mode="sum")
        return y.relu_() if self._activated else y


class TableLift:
    """A lift of fixed features that is a matrix and a function of each of its outputs; `none` gives the dense ones."""

    def __init__(self, lift: Lift, places: Places) -> None:
        self._cosine, self._bound = lift.kind == "fourier", lift.bound
        layer = PackedMatrix(lift.weight, lift.bias if self._cosine else None)
        self._least = -self._bound if self._cosine else 0.0
        self.matrix = None if lift.kind == "none" else TableMatrix(layer, places)

    def __call__(self, encoded: Encoded) -> Tensor:
        if self.matrix is None:
            return encoded.dense
        h = self.matrix(*encoded)
        return (h.cos_() if self._cosine else h).clamp_(self._least, self._bound)


class TableStep:
    """From rows to what the first layer gives that is no lift. lifts: side by side; none: the layer sees the fixed
    features. [n, columns] float64 -> [n, out]"""

    def __init__(self, encoder: TableEncoder, lifts: Sequence[TableLift], layer: TableMatrix) -> None:
        self._encoder, self._lifts, self._layer = encoder, lifts, layer

    def __call__(self, rows: Tensor) -> Tensor:
        encoded = self._encoder(rows)
        lifted = [lift(encoded) for lift in self._lifts] or [encoded.dense]
        return self._layer(lifted[0] if len(lifted) == 1 else torch.cat(lifted, 1), encoded.at)

    @property
    def steps(self) -> list[PackedMatrix]:
        return [self._layer.matrix, *(lift.matrix.matrix for lift in self._lifts if lift.matrix is not None)]


def table_steps(
    scale: TableScale, values: LearnedValues | None, lifts: Sequence[Lift], layers: Sequence[PackedMatrix]
) -> list[TableStep]:
    """The first steps of forward passes, one for each of these layers, which see the same lifts."""
    encoder = TableEncoder(scale, values)
    compiled = [TableLift(lift, encoder.places) for lift in lifts]
    starts = dict(
        zip([lift.kind for lift in lifts], accumulate((lift.width for lift in lifts), initial=0), strict=False)
    )
    first = starts.get("none") if lifts else 0
    fixed = ((), ()) if first is None else encoder.places
    return [TableStep(encoder, compiled, TableMatrix(layer, fixed, first or 0)) for layer in layers]


def _starts(spec: TableInput) -> list[int]:
    """The first feature of each column, then that of the shared indicators."""
    return list(accumulate(spec.widths, initial=0))


def _of_kind(spec: TableInput, kind: type[NumberColumn | BooleanColumn]) -> list[int]:
    return [place for place, column in enumerate(spec.columns) if isinstance(column, kind)]


def _parts(spec: TableInput, starts: Sequence[int]) -> Iterator[tuple[int, str, int]]:
    """Yields the column, the part and the first feature of each part of dates."""
    for place, column in enumerate(spec.columns):
        if isinstance(column, DateColumn):
            widths = accumulate((DATE_PARTS[part] for part in column.parts), initial=starts[place])
            yield from ((place, part, start) for part, start in zip(column.parts, widths, strict=False))
