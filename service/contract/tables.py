"""Rows of a table: named columns of numbers, categories, dates and booleans, any of them missing.

A row travels as one float64 a column. A number is itself, a boolean 0 or 1, a date its seconds since 1970 by the clock
as it was written, the value of a category a code that its text alone decides, and what is missing NaN. So a batch of
tables is an array as a batch of vectors is, and no table of codes has to be agreed upon.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from service.contract.enums import NewValues
from service.contract.names import LONGEST_NAME, LONGEST_SPELT, NO_UNSEEN, has_unseen
from service.contract.strict import Listed, Strict

MOST_COLUMNS = 1000
"""Most columns of a table."""
MOST_GAPS = 1000
"""Most words for gaps of a model."""
MOST_VALUES = 2000
"""Most values of all categories of a model together, without those of columns of many values."""
LACKED = ""
"""In the place of a column, among counts of values: how many rows lack which cell. No column is called so."""
SPARSE_ROW = 0.5
"""A row that lacks a larger part of its cells is a sparse one."""
LARGEST_CELL = 1e150
"""Largest size of a number: float64 holds the squares of such, and sums of them."""
LEAST_PART = 1e-9
"""Least width of a declared range, as a part of its larger end: float64 keeps a million steps within it."""
CODE_BITS = 52
"""Bits of a code: float64 holds every such integer."""

PIECES, FEWEST_PIECES = 16, 4
"""Pieces that a number is cut into, between quantiles of the first batch: of many numbers fewer, and less than these
few only where there is no room."""
MOST_PIECES = 1024
"""Pieces of all numbers together."""
MOST_FEATURES = 3996
"""Most features of a row: exact sums are kept of 4,096, and some random ones stand beside them."""
INDICATORS, MANY_COLUMNS = 512, 256
"""Indicators that the values of open categories share by default, and those of one column of many values."""
DATE_PARTS = {"hour": 4, "weekday": 7, "year": 4}
"""Features of each part of a date: hour and year as sine and cosine of one and two turns, a flag for each weekday."""


def _cleaned(subject: str) -> Callable[[str], str]:
    def clean(name: str) -> str:
        cleaned = value_text(name)
        if not cleaned:
            raise ValueError(f"{subject} is not blank")
        if has_unseen(cleaned):
            raise ValueError(f"{subject} {NO_UNSEEN}")
        return cleaned

    return clean


def value_text(value: str) -> str:
    """The value of a category, or the name of a column, as it is kept: NFC, trimmed. What is too long to be either
    stays as it is spelt: to put k combining marks in order takes k x k steps."""
    text = value.strip()
    return unicodedata.normalize("NFC", text) if len(text) <= LONGEST_SPELT else text


ColumnName = Annotated[
    str, Field(min_length=1, max_length=LONGEST_NAME), AfterValidator(_cleaned("the name of a column"))
]
LeftOut = Annotated[Listed[ColumnName], Field(max_length=MOST_COLUMNS)]
"""Columns of files that a model does not look at."""
GapWord = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME), AfterValidator(_cleaned("a word for a gap"))]
DeclaredValue = Annotated[
    str, Field(min_length=1, max_length=LONGEST_NAME), AfterValidator(_cleaned("the value of a category"))
]


class ColumnRange(Strict):
    """Numbers lie in [lo, hi]."""

    range: tuple[float, float] = Field(description="Smallest and largest number.", examples=[[0, 110]])

    @model_validator(mode="after")
    def _ordered(self) -> ColumnRange:
        low, high = self.range
        if not low < high:
            raise ValueError("range is [lo, hi] with lo < hi")
        if max(-low, high) > LARGEST_CELL:
            raise ValueError(f"range lies within {LARGEST_CELL:g} of 0")
        if high - low < max(LEAST_PART * max(-low, high), 1 / LARGEST_CELL):
            raise ValueError("lo and hi of range are so near to each other that rounding blurs what lies between them")
        return self


class NumberColumn(Strict):
    """Numbers, with gaps."""

    kind: Literal["number"]
    name: ColumnName
    scale: ColumnRange | None = Field(default=None, description="Declared range; else fitted on the first batch.")


class CategoryColumn(Strict):
    """Values out of a set without an order. New ones may appear."""

    kind: Literal["category"]
    name: ColumnName
    values: Listed[DeclaredValue] | None = Field(
        default=None, min_length=1, max_length=MOST_VALUES, description="All there are: any other is refused."
    )
    many: bool = Field(
        default=False,
        description="For identifiers, of which there are more than anybody lists: their values share 256 indicators.",
    )
    new_values: NewValues = Field(
        default=NewValues.TAKE,
        description="Whether values that no batch has had yet are taken, and told in the report; a request may say "
        "otherwise.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> CategoryColumn:
        if self.values is not None and self.many:
            raise ValueError("give values or many, not both: many is for values that nobody lists")
        if self.values is not None and len(set(self.values)) != len(self.values):
            raise ValueError("values lists each value once")
        return self


class DateColumn(Strict):
    """Dates and times."""

    kind: Literal["date"]
    name: ColumnName
    parts: Listed[Literal["hour", "weekday", "year"]] = Field(
        default=["hour", "weekday", "year"],
        min_length=1,
        max_length=3,
        description="What of a date is looked at: the time of the day, the day of the week, the season.",
    )


class BooleanColumn(Strict):
    """True or false."""

    kind: Literal["boolean"]
    name: ColumnName


Column = Annotated[NumberColumn | CategoryColumn | DateColumn | BooleanColumn, Field(discriminator="kind")]


class TableInput(Strict):
    """Rows of a table: one object a row, or a list in the order of the columns; CSV, too."""

    kind: Literal["table"]
    columns: Listed[Column] = Field(min_length=1, max_length=MOST_COLUMNS)
    indicators: int = Field(
        default=INDICATORS,
        ge=64,
        le=2048,
        description="Indicators that the values of all categories without a list share. Two values may fall on one; "
        "where categories have many hundreds of values, more indicators keep them apart, and updates take longer.",
    )
    gaps: Listed[GapWord] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_GAPS,
        exclude_if=lambda gaps: gaps is None,  # what was stored before tables had them stays to the byte
        description="What cells say where nothing is known, such as NA: such a cell is missing, however rows come.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> TableInput:
        check_each_once([column.name for column in self.columns])
        values = {v for c in self.columns if isinstance(c, CategoryColumn) for v in c.values or ()}
        if both := values & self.gap_words:
            raise ValueError(f'"{min(both)}" stands in gaps and in values: a cell means one of them')
        return self

    @property
    def scale(self) -> None:
        """Each column has its own."""
        return None

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.columns),)

    @cached_property
    def gap_words(self) -> frozenset[str]:
        """What cells say where nothing is known."""
        return frozenset(self.gaps or ())

    @cached_property
    def places(self) -> dict[str, int]:
        """Place of each column by its name."""
        return {column.name: k for k, column in enumerate(self.columns)}

    @cached_property
    def growing(self) -> dict[int, CategoryColumn]:
        """Columns by place whose learned values are known by name: categories without a list and not of many values."""
        return {
            k: column
            for k, column in enumerate(self.columns)
            if isinstance(column, CategoryColumn) and column.values is None and not column.many
        }

    @cached_property
    def pieces(self) -> int:
        """Pieces that each number is cut into: fewer where there are many numbers, and as few as one where no more
        have room."""
        numbers = sum(isinstance(column, NumberColumn) for column in self.columns)
        if not numbers:
            return PIECES
        others = sum(0 if isinstance(column, NumberColumn) else self._width(column) for column in self.columns)
        room = (MOST_FEATURES - others - self._shared) // numbers - 2
        return max(min(PIECES, max(MOST_PIECES // numbers, FEWEST_PIECES), room), 1)

    @cached_property
    def widths(self) -> list[int]:
        """Features of each column: numbers have one, a flag for missing, and pieces; those that share have none."""
        return [self._width(column) for column in self.columns]

    @property
    def features(self) -> int:
        """Features of a row before any lift, the shared indicators last; see `TableScale`."""
        return sum(self.widths) + self._shared

    @property
    def _shared(self) -> int:
        return self.indicators if self.growing else 0

    def _width(self, column: Column) -> int:
        if isinstance(column, NumberColumn):
            return 2 + self.pieces
        if isinstance(column, DateColumn):
            return sum(DATE_PARTS[part] for part in column.parts)
        if isinstance(column, BooleanColumn):
            return 1
        if column.values is not None:
            return len(column.values)
        return MANY_COLUMNS if column.many else 0


def check_each_once(names: Sequence[str]) -> None:
    """Raises ValueError for a name of two columns."""
    if len(set(names)) != len(names):
        twice = Counter(names).most_common(1)[0][0]
        first, second, *_ = (place for place, name in enumerate(names, 1) if name == twice)
        raise ValueError(f'columns {first:,} and {second:,} are both called "{twice}": each has a name of its own')


def table_facts(spec: object) -> object:
    """What of a table decides its features: not whether values that are new are taken."""
    if not isinstance(spec, TableInput):
        return None
    columns = [column.model_dump(mode="json", exclude={"new_values"}) for column in spec.columns]
    return {"columns": columns, "indicators": spec.indicators}


def value_code(text: str) -> float:
    """The code of a cleaned value: the first 52 bits of its SHA-256, a whole number that float64 holds."""
    return float(int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") >> (56 - CODE_BITS))
