"""Numbers: values with their intervals, as JSON, and as `value` FP64 [n, k] and `interval` FP64 [n, k, 2]."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import repeat
from typing import NamedTuple, Self, TypeVar

import msgspec
import numpy as np
from torch import Tensor

from service.contract.targets.number_target import NumberTarget
from service.errors import InvalidContent
from service.learning.data.learned_values import LearnedValues
from service.learning.data.rows import Array, Bools, Floats
from service.learning.data.target_grid import NumberGrid
from service.learning.evaluation.numbers.bounds import GROUPS, INTERVAL, NO_ROWS, bounds
from service.learning.network.checkpoint import VALUES, Checkpoint, Tensors
from service.serving.kinds.kind import Kind, Listing, PredictOptions
from service.serving.kinds.output_tensors import FloatTensor, OutputShape, OutputTensor
from service.serving.unusual import LACKING, Marks, joined, of_any, some

T = TypeVar("T")

VALUE = "value"
SEND_FEWER = "Send the rows in several requests."
FEWER = {
    False: f"Ask for value alone, for interval as bytes (binary_data), or {SEND_FEWER[0].lower()}{SEND_FEWER[1:]}",
    True: SEND_FEWER,
}
"""What to do where an answer would have too many numbers, by whether they were wanted as bytes."""
NOTHING = np.empty((0, 0))
FEW = 4
"""Rows whose cells are looked up one by one."""


class _OneNumber(msgspec.Struct):
    value: float
    interval: tuple[float, float] | None


class _Numbers(msgspec.Struct):
    values: list[float]
    intervals: list[list[float]] | None


class Values(NamedTuple):
    """The k numbers that are predicted of each row.

    numbers: values, lower and upper ends of their intervals at `level` [3, n, k]; values alone [1, n, k] where no level
    was asked for, or the version has no intervals. Ends of rows that lack what hardly any learned row lacked are NaN.
    given: what the head gave, in units of the grid [n, k]. added: the column of the rows that is added back [n, 1], if
    one is. novel: rows with a value of a category that was never learned [n], where these have intervals of their own.
    Intervals of another level need all three.
    marks: what is unusual of the rows.
    """

    kind: NumberKind
    numbers: Floats
    given: Floats
    added: Array
    level: float | None = None
    marks: Marks | None = None
    novel: Bools = NO_ROWS

    @property
    def values(self) -> Floats:
        """[n, k]"""
        values: Floats = self.numbers[0]
        return values

    @property
    def intervals(self) -> Floats | None:
        """[n, k, 2]"""
        return self.numbers[1:].transpose(1, 2, 0) if len(self.numbers) > 1 else None

    @property
    def lacking(self) -> list[bool] | None:
        """Rows without an interval, where others have one; None: there are none."""
        if self.marks is None or len(self.numbers) == 1:
            return None
        return list(np.isnan(self.numbers[1, :, 0]).tolist())

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.given).all())

    def part(self, start: int, stop: int, options: PredictOptions) -> Values:
        kind, numbers, given, added, level, marks, novel = self
        same = options.level is None or options.level == level
        if same and start == 0 and stop == numbers.shape[1]:
            return self
        rows = slice(start, stop)
        given, added, novel = given[rows], added[rows], novel[rows]
        marks = some(marks, start, stop)
        if same:
            return Values(kind, numbers[:, rows], given, added, level, marks, novel)
        part = Values(kind, kind.numbers(given, added, options.level, novel), given, added, options.level, None, novel)
        return part if marks is None else part.marked(marks)

    def marked(self, marks: Marks) -> Values:
        self.numbers[1:, (marks & LACKING).any(1)] = np.nan
        return self._replace(marks=marks)

    def kept(self, options: PredictOptions) -> Values:
        return Values(self.kind, self.numbers.copy(), NOTHING, NOTHING, self.level, of_any(self.marks))

    def room(self, rows: int) -> Values:
        columns, _, k = self.numbers.shape
        return Values(self.kind, np.empty((columns, rows, k)), NOTHING, NOTHING, self.level)

    def put(self, part: Values, start: int, stop: int) -> Values:
        self.numbers[:, start:stop] = part.numbers
        return self if part.marks is None else self._replace(marks=of_any(self.marks, part.marks))

    @classmethod
    def concat(cls, parts: Sequence[Values]) -> Values:
        """Joins the rows of several parts, which have intervals of one level."""
        first = parts[0]
        if len(parts) == 1:
            return first
        return first._replace(
            numbers=np.concatenate([p.numbers for p in parts], 1),
            given=np.concatenate([p.given for p in parts]),
            added=np.concatenate([p.added for p in parts]),
            novel=np.concatenate([p.novel for p in parts]),
            marks=joined((len(p.values), p.marks) for p in parts),
        )


class NumberKind(Kind[Values]):
    """A version that predicts numbers. names: what the numbers of a row are called; none where it learned no row.
    interval: the part that intervals are read from; None where the version has none. values: that it has learned; None
    where all count. reach: least and largest answer of each number, in units; none: no end."""

    ignorance = "has learned no row"

    def __init__(
        self,
        grid: NumberGrid,
        names: Sequence[str],
        interval: Tensors | None,
        values: LearnedValues | None = None,
        reach: Sequence[tuple[float, float]] = (),
    ) -> None:
        self.names, self.order = names, range(len(names))
        self.outputs = (VALUE,) if interval is None else (VALUE, INTERVAL)
        self._from = self.added_back = grid.from_
        self._grid = grid if grid.from_ is None else grid.model_copy(update={"from_": 0})  # answers keep that column
        self._unit, self._origin = grid.unit, np.array(grid.offset)
        self._ends = np.array(reach).T if reach else None
        self._interval = None if interval is None else {name: part.double().numpy() for name, part in interval.items()}
        apart = self._interval is not None and self._interval["quantiles"].shape[1] > GROUPS
        self.unlearned_lacks = self._interval is not None and not apart
        self._values = values if apart else None
        self._known = (
            {place: frozenset(codes.tolist()) for place, codes in values.codes.items()} if apart and values else {}
        )

    @classmethod
    def of(cls, version: Checkpoint) -> Self:
        layout = version.layout
        if layout.numbers is None:
            raise ValueError("a version of numbers has a grid")
        values = version.learned_values() if VALUES in version.parts else None
        reach = layout.exact.reach if layout.exact is not None else ()
        return cls(layout.numbers, version.outputs, version.parts.get(INTERVAL), values, reach)

    @staticmethod
    def shapes(target: NumberTarget, known: int, parts: Collection[str] | None) -> list[OutputShape]:
        value = OutputShape(VALUE, "FP64", [-1, target.size])
        interval = OutputShape(INTERVAL, "FP64", [-1, target.size, 2])
        return [value, interval] if parts is None or INTERVAL in parts else [value]

    def answers(self, given: Tensor, inputs: Array, options: PredictOptions) -> Values:
        answers = given.numpy().astype(np.float64)
        if self._ends is not None:
            answers.clip(*self._ends, out=answers)
        added = NOTHING if self._from is None else inputs[:, self._from, None].copy()
        novel = self._novel(inputs)
        numbers = self.numbers(answers, added, options.level, novel)
        return Values(self, numbers, answers, added, options.level, novel=novel)

    def _novel(self, inputs: Array) -> Bools:
        if self._values is None:
            return NO_ROWS
        if len(inputs) > FEW:
            return self._values.novel(inputs)
        rows = zip(*(inputs[:, place].tolist() for place in self._known), strict=True)
        learned = self._known.values()
        return np.array([any(c not in codes and c == c for c, codes in zip(row, learned, strict=True)) for row in rows])

    def numbers(self, given: Floats, added: Array, level: float | None, novel: Bools) -> Floats:
        """[3, n, k], or [1, n, k], see `Values`."""
        part = self._interval
        answers = given[None] if part is None or level is None else bounds(part, given, level, novel)
        goals = answers * self._unit + self._origin  # `NumberGrid.value`, whose arrays are made once here
        return self._grid.targets(goals, added)

    def settled(self, options: PredictOptions, model: str, level: Callable[[], float]) -> PredictOptions:
        if options.top is not None:
            sentence = (
                f"{model} predicts numbers, and top is of classes. Intervals are asked for by level, 0.5 to 0.99."
            )
            raise InvalidContent.at("/top", sentence)
        return options if options.level is not None else options._replace(level=level())

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
        numbers, intervals = answers.numbers, answers.intervals
        rows: Iterable[_OneNumber | _Numbers]
        if numbers.shape[2] == 1:
            values, *ends = numbers[:, :, 0].tolist()
            rows = map(_OneNumber, values, _but(answers.lacking, zip(*ends, strict=True)) if ends else repeat(None))
        else:
            given = repeat(None) if intervals is None else _but(answers.lacking, intervals.tolist())
            rows = map(_Numbers, numbers[0].tolist(), given)
        return msgspec.json.encode(list(rows))[1:-1].decode()

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


def _but(lacking: list[bool] | None, intervals: Iterable[T]) -> Iterable[T | None]:
    """None in the place of those that are lacking."""
    if lacking is None:
        return intervals
    return (None if none else interval for none, interval in zip(lacking, intervals, strict=True))
