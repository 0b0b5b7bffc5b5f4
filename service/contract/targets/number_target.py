"""Targets that are numbers: what is learned of them, on which grid they are summed, what they are measured by."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from service.contract.enums import Expect
from service.contract.inputs import InputSpec, VectorInput, places_of
from service.contract.names import LONGEST_NAME, clean_names, clean_number_name
from service.contract.number_policy import NumberPolicy
from service.contract.strict import Listed, Strict
from service.contract.tables import TableInput, value_text
from service.contract.targets.kind import TargetKind
from service.errors import InvalidContent

MOST_NUMBERS_A_ROW = 16
"""Most numbers that are predicted of a row."""
NumberName = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
LEAST_LEVEL, MOST_LEVEL = 0.5, 0.99
Level = Annotated[float, Field(ge=LEAST_LEVEL, le=MOST_LEVEL)]
"""The share of rows to come whose value an interval is meant to hold."""
LARGEST_TARGET = 1e150
"""Largest size of a target: float64 holds the squares of such, and sums of them."""


class ColumnYardstick(Strict):
    """The value of a column of the row."""

    column: int = Field(
        ge=0,
        description="Place of the column, counted from 0; or, of a table, its name.",
        json_schema_extra={"type": ["integer", "string"], "maxLength": LONGEST_NAME},
    )


Yardstick = Literal["mean", "last"] | ColumnYardstick


class NumberTarget(TargetKind):
    """One number a row, or several: prices, temperatures, demand."""

    member: ClassVar = "targets"
    noun: ClassVar = "target"
    predicts: ClassVar = "numbers"
    has_classes: ClassVar = False
    measured: ClassVar = True
    suspects: ClassVar = "outliers"
    expects: ClassVar = Expect.MOVE
    changes: ClassVar = ("yardstick", "level")
    Policy: ClassVar = NumberPolicy

    model_config = ConfigDict(
        populate_by_name=True,
        serialize_by_alias=True,
        json_schema_extra={"examples": [{"kind": "number", "names": ["MW"], "from": 3, "level": 0.9}]},
    )

    kind: Literal["number"]
    size: int = Field(default=1, ge=1, le=MOST_NUMBERS_A_ROW, description="Numbers that are predicted of a row.")
    names: Listed[NumberName] | None = Field(
        default=None, max_length=MOST_NUMBERS_A_ROW, description="What they are called; by default value, value_2 ..."
    )
    range: tuple[float, float] | None = Field(
        default=None,
        description="Smallest and largest target that is expected (with from: difference). It fixes the grid on which "
        "targets are summed; without it and without step the grid is fitted on the first batch.",
        examples=[[0, 5000]],
    )
    step: float | None = Field(
        default=None,
        gt=0,
        le=LARGEST_TARGET,
        description="Step of the grid: 0.01 for money, so that sums hold the very cents.",
    )
    scale: Literal["linear", "log"] = Field(
        default="linear",
        description="log: the logarithm is learned, for targets above 0 that span decades; a value is then a median.",
    )
    from_: int | None = Field(
        default=None,
        alias="from",
        ge=0,
        description="A column of the row (its place, from 0; or its name, where it has one): the difference to it is "
        "learned, and it is added back. For levels that wander.",
        json_schema_extra={
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "maxLength": LONGEST_NAME},
                {"type": "null"},
            ]
        },
    )
    yardstick: Yardstick | None = Field(
        default=None,
        description="What skill is measured by: mean (of all learned targets), last (the mean of the latest batch), or "
        "a column of the row. By default the column of from, else mean.",
    )
    level: Level = Field(
        default=0.9,
        description="Share of rows to come that an interval is meant to hold; a prediction may ask another.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> NumberTarget:
        if self.names is not None and (len(self.names) != self.size or len(set(self.names)) != self.size):
            raise ValueError(f"names has a name of its own for each number of a row: give {self.size}, or another size")
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError("range is [lo, hi] with lo < hi")
        if self.range is not None and max(map(abs, self.range)) > LARGEST_TARGET:
            raise ValueError(f"range lies within {LARGEST_TARGET:g} of 0")
        if self.range is not None and self.step is not None:
            raise ValueError("give range or step, not both: each fixes the grid")
        if self.scale == "log" and self.from_ is not None:
            raise ValueError("give scale log or from, not both: a difference may be below 0 and has no logarithm")
        if self.scale == "log" and self.step is not None:
            raise ValueError("step is of the targets themselves; with scale log give range, or neither")
        if self.scale == "log" and self.range is not None and self.range[0] <= 0:
            raise ValueError("with scale log, range begins above 0")
        return self

    @property
    def columns(self) -> int:
        return self.size

    @property
    def named(self) -> tuple[str, ...]:
        return tuple(self.names or ())

    @property
    def fits_grid(self) -> bool:
        return self.range is None and self.step is None

    @property
    def called(self) -> tuple[str, ...]:
        """What each number is called, whether or not it was given a name."""
        return self.named or tuple("value" if k == 0 else f"value_{k + 1}" for k in range(self.size))

    @property
    def usual(self) -> Yardstick:
        """The yardstick, by default that of the column that is added back."""
        if self.yardstick is not None:
            return self.yardstick
        return "mean" if self.from_ is None else ColumnYardstick(column=self.from_)

    def with_clean_names(self) -> Self:
        names = self.names and clean_names(self.names, "/target/names", clean_number_name)
        return self.model_copy(update={"names": names})

    def check(self, spec: InputSpec) -> None:
        """Raises InvalidContent for a column that such rows do not have, or that is none of numbers; and where a number
        is called as a column of the table: in a CSV file nobody could tell them apart."""
        yardstick = self.yardstick.column if isinstance(self.yardstick, ColumnYardstick) else None
        for column, pointer in ((self.from_, "/target/from"), (yardstick, "/target/yardstick/column")):
            if column is not None:
                _check_column(column, spec, pointer)
        taken = places_of(spec)
        for k, name in enumerate(self.named):
            if (name := value_text(name)) in taken:
                member = "columns" if isinstance(spec, TableInput) else "names"
                sentence = (
                    f'"{name[:100]}" is a column of the inputs, too. If it is what is predicted, leave it out of '
                    f"`input.{member}`; else give one of them another name."
                )
                raise InvalidContent.at(f"/target/names/{k}", sentence)


def _check_column(column: int, spec: InputSpec, pointer: str) -> None:
    if not isinstance(spec, VectorInput | TableInput):
        sentence = f"Only vectors and tables have columns, and the inputs are {spec.kind}s. Leave it out."
        raise InvalidContent.at(pointer, sentence)
    [size] = spec.shape
    if column >= size:
        places = f"0 to {size - 1}" if size > 1 else "0 alone"
        raise InvalidContent.at(pointer, f"Rows have no column {column}: places are {places}.")
    if isinstance(spec, TableInput) and spec.columns[column].kind != "number":
        of = spec.columns[column]
        sentence = f"{of.name} is a column of kind {of.kind}, and a number is due. Name a column of numbers."
        raise InvalidContent.at(pointer, sentence)


def with_places(target: Any, spec: Any) -> Any:
    """A target as it was sent, or what changes of one, with places where it names columns. Raises InvalidContent for a
    name that no column has."""
    if not isinstance(spec, TableInput | VectorInput) or not spec.places or not isinstance(target, Mapping):
        return target
    placed = dict(target)
    if isinstance(name := placed.get("from"), str):
        placed["from"] = _place(name, spec, "/target/from")
    yardstick = placed.get("yardstick")
    if isinstance(yardstick, Mapping) and isinstance(name := yardstick.get("column"), str):
        placed["yardstick"] = {**yardstick, "column": _place(name, spec, "/target/yardstick/column")}
    return placed


def _place(name: str, spec: TableInput | VectorInput, pointer: str) -> int:
    place = spec.places.get(name) if name in spec.places else spec.places.get(value_text(name[:1000]))
    if place is None:
        near = get_close_matches(name[:100], [n[:100] for n in spec.places], n=1)
        member = "columns" if isinstance(spec, TableInput) else "names"
        known = f"Did you mean {near[0]}?" if near else f"Name one of `input.{member}`, or its place, from 0."
        raise InvalidContent.at(pointer, f'"{name[:100]}" is no column of this {spec.kind}. {known}')
    return place
