"""Numbers: values with their intervals, as JSON, and as `value` FP64 [n, k] and `interval` FP64 [n, k, 2]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple

import msgspec
import numpy as np
from torch import Tensor

from service.errors import InvalidContent
from service.learning.data.rows import Array
from service.learning.data.target_grid import NumberGrid
from service.learning.network.checkpoint import Tensors
from service.learning.number_evaluation.bounds import bounds
from service.serving.kinds.kind import Floats, Kind, Listing, PredictOptions
from service.serving.kinds.output_tensors import FloatTensor, OutputShape, OutputTensor

VALUE, INTERVAL = "value", "interval"
SEND_FEWER = "Send the rows in several requests."
FEWER = {
    False: f"Ask for value alone, for interval as bytes (binary_data), or {SEND_FEWER[0].lower()}{SEND_FEWER[1:]}",
    True: SEND_FEWER,
}
"""What to do where an answer would have too many numbers, by whether they were wanted as bytes."""
NOTHING = np.empty((0, 0))


class _OneNumber(msgspec.Struct):
    value: float
    interval: list[float] | None


class _Numbers(msgspec.Struct):
    values: list[float]
    intervals: list[list[float]] | None


class Values(NamedTuple):
    """The k numbers that are predicted of each row.

    values: [n, k]. intervals: [n, k, 2] at `level`; None where they were not asked for, or the version has none.
    outside: rows with values outside the range that the model declares.
    given: what the head gave, in units of the grid [n, k]. added: the column of the rows that is added back [n, 1], if
    one is. Intervals of another level need both.
    """

    kind: NumberKind
    values: Floats
    given: Floats
    added: Array
    level: float | None = None
    intervals: Floats | None = None
    outside: frozenset[int] = frozenset()

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.given).all())

    def part(self, start: int, stop: int) -> Values:
        if start == 0 and stop == len(self.values):
            return self
        kind, values, given, added, level, intervals, outside = self
        if outside:
            outside = frozenset(k - start for k in outside if start <= k < stop)
        rows = slice(start, stop)
        intervals = None if intervals is None else intervals[rows]
        return Values(kind, values[rows], given[rows], added[rows], level, intervals, outside)

    def marked(self, outside: frozenset[int]) -> Values:
        return self._replace(outside=outside)

    def asked(self, options: PredictOptions) -> Values:
        """The same, with intervals of the level that is asked."""
        level = options.level
        if level == self.level or level is None:
            return self
        return self._replace(level=level, intervals=self.kind.intervals(self.given, self.added, level))

    def kept(self, options: PredictOptions) -> Values:
        intervals = None if self.intervals is None else self.intervals.copy()
        outside = frozenset(list(self.outside)[:1])
        return Values(self.kind, self.values.copy(), NOTHING, NOTHING, self.level, intervals, outside)

    def room(self, rows: int) -> Values:
        k = self.values.shape[1]
        intervals = None if self.intervals is None else np.empty((rows, k, 2))
        return Values(self.kind, np.empty((rows, k)), NOTHING, NOTHING, self.level, intervals)

    def put(self, part: Values, start: int, stop: int) -> Values:
        self.values[start:stop] = part.values
        if self.intervals is not None and part.intervals is not None:
            self.intervals[start:stop] = part.intervals
        if part.outside and not self.outside:
            return self.marked(frozenset(start + k for k in part.outside))
        return self

    @classmethod
    def concat(cls, parts: Sequence[Values]) -> Values:
        """Joins the rows of several parts, which have intervals of one level."""
        first = parts[0]
        if len(parts) == 1:
            return first
        starts = accumulate((len(p.values) for p in parts), initial=0)
        outside = frozenset(start + k for start, p in zip(starts, parts, strict=False) for k in p.outside)
        intervals = [p.intervals for p in parts if p.intervals is not None]
        return first._replace(
            values=np.concatenate([p.values for p in parts]),
            given=np.concatenate([p.given for p in parts]),
            added=np.concatenate([p.added for p in parts]),
            intervals=np.concatenate(intervals) if intervals else None,
            outside=outside,
        )


def shapes(columns: int, intervals: bool) -> list[OutputShape]:
    """The outputs of a version that predicts so many numbers a row."""
    value, interval = OutputShape(VALUE, "FP64", [-1, columns]), OutputShape(INTERVAL, "FP64", [-1, columns, 2])
    return [value, interval] if intervals else [value]


class NumberKind(Kind[Values]):
    """A version that predicts numbers. names: what the numbers of a row are called; none where it learned no row.
    interval: the part that intervals are read from; None where the version has none."""

    ignorance = "has learned no row"

    def __init__(self, grid: NumberGrid, names: Sequence[str], interval: Tensors | None) -> None:
        self.names, self.order = names, range(len(names))
        self.outputs = (VALUE,) if interval is None else (VALUE, INTERVAL)
        self._from = grid.from_
        self._grid = grid if grid.from_ is None else grid.model_copy(update={"from_": 0})  # answers keep that column
        self._unit, self._origin = grid.unit, np.array(grid.offset)
        self._interval = None if interval is None else {name: part.double().numpy() for name, part in interval.items()}

    def answers(self, given: Tensor, inputs: Array) -> Values:
        answers = given.numpy().astype(np.float64)
        added = NOTHING if self._from is None else inputs[:, self._from, None].copy()
        return Values(self, self._targets(answers, added), answers, added)

    def intervals(self, given: Floats, added: Array, level: float) -> Floats | None:
        """[n, k, 2] at this level, see `Values`; None where the version has none."""
        if self._interval is None:
            return None
        ends = self._targets(bounds(self._interval, given, level), added)
        return ends.transpose(1, 2, 0)

    def _targets(self, answers: Floats, added: Array) -> Floats:
        goals = answers * self._unit + self._origin  # `NumberGrid.value`, whose arrays are made once here
        return self._grid.targets(goals, added)

    def settled(self, options: PredictOptions, model: str, level: Callable[[], float]) -> PredictOptions:
        if options.top is not None:
            sentence = (
                f"{model} predicts numbers, and top is of classes. Intervals are asked for by level, 0.5 to 0.99."
            )
            raise InvalidContent.at("/top", sentence)
        return options if options.level is not None else PredictOptions(None, options.source, level())

    def scores(self, options: PredictOptions) -> int:
        """A number and its interval are one score."""
        return len(self.names)

    def limited(self, scores: int) -> bool:
        return len(self.names) > 1  # one number a row is always listed

    def listing(self) -> Listing:
        return Listing("numbers", "/inputs", SEND_FEWER)

    def members(self, options: PredictOptions) -> str:
        return f'"level":{options.level!r},'

    def rows(self, answers: Values, options: PredictOptions) -> str:
        """{"value", "interval"} of each row, or {"values", "intervals"} where it has several numbers."""
        n, k = answers.values.shape
        intervals = [None] * n if answers.intervals is None else answers.intervals.tolist()
        rows: list[_OneNumber] | list[_Numbers]
        if k == 1:
            pairs = zip(answers.values[:, 0].tolist(), intervals, strict=True)
            rows = [_OneNumber(value, None if interval is None else interval[0]) for value, interval in pairs]
        else:
            rows = [_Numbers(*row) for row in zip(answers.values.tolist(), intervals, strict=True)]
        return msgspec.json.encode(rows)[1:-1].decode()

    def width(self, output: str) -> int:
        return len(self.names) * (2 if output == INTERVAL else 1)

    def for_outputs(self, columns: int, options: PredictOptions) -> PredictOptions:
        return options

    def listing_of_outputs(self, binary: bool) -> Listing:
        return Listing("numbers", "/outputs", FEWER[binary])

    def tensor(self, output: str, answers: Values) -> OutputTensor:
        names = {"names": list(self.names)}
        if output == VALUE:
            return FloatTensor(VALUE, "FP64", answers.values, names)
        intervals = np.empty((0, 0, 2)) if answers.intervals is None else answers.intervals
        return FloatTensor(INTERVAL, "FP64", intervals, {**names, "level": answers.level})
