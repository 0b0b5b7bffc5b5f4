"""What a version cannot have learned of a row: a cell that hardly any learned row lacked, most cells, where hardly
any learned row did, and a number that is cut.

Asked without a column that every learned row had, a head still answers, and its intervals stay as they were: of a model
of rents they held 92 % of whole rows, and 9 % of rows without their size. A number beyond eight spreads counts as the
end of these, whatever it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.contract.inputs import InputSpec, RangeScale
from service.contract.tables import SPARSE_ROW, NumberColumn
from service.learning.data.learned_values import LACKING_ROWS, LearnedValues
from service.learning.data.rows import Array, Floats
from service.learning.network.input_scale import CLIP, IMAGE_RANGE, AnyScale, InputScale
from service.learning.network.table_scale import TableScale
from service.serving.compute.forward import Extremes

Marks = NDArray[np.int8]
"""Of rows [n, columns of a table], of others [n, 1]: bits `BEYOND` and `LACKING`, in the first column `SPARSE`."""
BEYOND, LACKING, SPARSE = 1, 2, 4

PIXELS = RangeScale(range=IMAGE_RANGE)
"""The scale of images whose model declares none."""


def declared_range(spec: InputSpec) -> RangeScale | None:
    """The range of values that a model declares for its inputs; images have a default one."""
    scale = PIXELS if spec.kind == "image" and spec.scale is None else spec.scale
    return scale if isinstance(scale, RangeScale) else None


class Usual:
    """What rows are held against. low, high: ends of the declared range, or where the scale cuts: of each column of a
    table, of each number of a vector, or of all."""

    def __init__(self, spec: InputSpec, scale: AnyScale, values: LearnedValues | None) -> None:
        declared, self._never = declared_range(spec), np.zeros(0, bool)
        if declared is not None:  # rounded as the rows are, so that a value at the end of the range is inside it
            self.low, self.high = np.array(declared.range, np.float32)[:, None]
        else:
            self.low, self.high = _ends(scale)
        if isinstance(scale, TableScale):
            lacked = values.lacked if values is not None else None
            self._never = np.zeros(len(scale.spec.columns), bool) if lacked is None else lacked < LACKING_ROWS
        sparse = values.sparse if values is not None else None
        self._never_sparse = sparse is not None and bool(sparse.sum() < LACKING_ROWS)
        self._within = float(self.low.max()), float(self.high.min())

    def marks(self, rows: Array, extremes: Extremes) -> Marks | None:
        """What is unusual of raw rows; None where nothing is. `extremes`: their smallest and largest number, where they
        are no tables."""
        cells: Any = rows
        if not self._never.size:
            if self._within[0] <= extremes[0] and extremes[1] <= self._within[1]:
                return None
            beyond = ((cells < self.low) | (cells > self.high)).reshape(len(rows), -1).any(1)[:, None]
        elif ((cells >= self.low) & (cells <= self.high)).all():
            return None
        else:
            beyond = (cells < self.low) | (cells > self.high)
        marks: Marks = np.where(beyond, BEYOND, 0).astype(np.int8)
        if self._never.size:
            missing = np.isnan(cells)
            marks[missing & self._never] = LACKING
            if self._never_sparse:  # where a cell says so already, that says more
                marks[(missing.mean(1) > SPARSE_ROW) & ~(missing & self._never).any(1), 0] |= SPARSE
        return marks if marks.any() else None


def _ends(scale: AnyScale) -> tuple[Floats, Floats]:
    """Where numbers are cut."""
    mean, reach = scale.mean.double().numpy(), CLIP * scale.std.double().numpy()
    low, high = mean - reach, mean + reach
    if isinstance(scale, InputScale):
        return low.astype(np.float32), high.astype(np.float32)  # rounded as the rows are
    numbers = [place for place, column in enumerate(scale.spec.columns) if isinstance(column, NumberColumn)]
    ends = np.full((len(scale.spec.columns), 2), (-np.inf, np.inf))
    ends[numbers, 0], ends[numbers, 1] = low, high
    return ends[:, 0], ends[:, 1]


def some(marks: Marks | None, start: int, stop: int) -> Marks | None:
    """The marks of some rows; None where nothing of them is unusual."""
    of_rows = None if marks is None else marks[start:stop]
    return None if of_rows is None or not of_rows.any() else of_rows


def joined(parts: Iterable[tuple[int, Marks | None]]) -> Marks | None:
    """The marks of several parts, each of so many rows."""
    several = list(parts)
    width = next((marks.shape[1] for _, marks in several if marks is not None), None)
    if width is None:
        return None
    return np.concatenate([np.zeros((n, width), np.int8) if marks is None else marks for n, marks in several])


def of_any(*several: Marks | None) -> Marks | None:
    """Marks of one row, which have of each column what any row has."""
    marked = [marks for marks in several if marks is not None]
    return np.bitwise_or.reduce(np.concatenate(marked))[None] if marked else None
