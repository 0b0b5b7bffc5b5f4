"""What a model predicts: a class, or numbers. Each kind is a concept of its own, with its own words over HTTP, and has
a policy of its own by which the gate judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, model_validator

from service.contract.names import LONGEST_NAME
from service.contract.number_policy import NumberPolicy
from service.contract.policy import GatePolicy
from service.contract.strict import Listed, Strict, Unlimited
from service.contract.tables import TableInput, value_text
from service.errors import InvalidContent

MOST_NUMBERS_A_ROW = 16
"""Most numbers that are predicted of a row."""
NumberName = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
LEAST_LEVEL, MOST_LEVEL = 0.5, 0.99
Level = Annotated[float, Field(ge=LEAST_LEVEL, le=MOST_LEVEL)]
"""The share of rows to come whose value an interval is meant to hold."""
LARGEST_TARGET = 1e150
"""Largest size of a target: float64 holds the squares of such, and sums of them."""


class ClassTarget(Strict):
    """One class a row, out of a vocabulary that may grow."""

    kind: Literal["class"] = "class"


class ColumnYardstick(Strict):
    """The value of a column of the row."""

    column: int = Field(
        ge=0,
        description="Place of the column, counted from 0; or, of a table, its name.",
        json_schema_extra={"type": ["integer", "string"], "maxLength": LONGEST_NAME},
    )


Yardstick = Literal["mean", "last"] | ColumnYardstick


class NumberTarget(Strict):
    """One number a row, or several: prices, temperatures, demand."""

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
        description="A column of the row (its place, from 0; of a table, its name, too): the difference to it is "
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
            raise ValueError(f"names lists each of the {self.size} numbers of a row once")
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
    def called(self) -> tuple[str, ...]:
        if self.names is not None:
            return tuple(self.names)
        return tuple("value" if k == 0 else f"value_{k + 1}" for k in range(self.size))

    @property
    def usual(self) -> Yardstick:
        """The yardstick, by default that of the column that is added back."""
        if self.yardstick is not None:
            return self.yardstick
        return "mean" if self.from_ is None else ColumnYardstick(column=self.from_)


Target = Annotated[ClassTarget | NumberTarget, Field(discriminator="kind")]
TARGET: TypeAdapter[Target] = TypeAdapter(Target)
STORED_TARGET: Unlimited[Target] = Unlimited(Target)
"""Reads a stored target."""


def with_places(target: Any, spec: Any) -> Any:
    """A target as it was sent, or what changes of one, with places where it names columns of a table. Raises
    InvalidContent for a name that no column has."""
    if not isinstance(spec, TableInput) or not isinstance(target, Mapping):
        return target
    placed = dict(target)
    if isinstance(name := placed.get("from"), str):
        placed["from"] = _place(name, spec, "/target/from")
    yardstick = placed.get("yardstick")
    if isinstance(yardstick, Mapping) and isinstance(name := yardstick.get("column"), str):
        placed["yardstick"] = {**yardstick, "column": _place(name, spec, "/target/yardstick/column")}
    return placed


def _place(name: str, spec: TableInput, pointer: str) -> int:
    place = spec.places.get(name) if name in spec.places else spec.places.get(value_text(name[:1000]))
    if place is None:
        near = get_close_matches(name[:100], [n[:100] for n in spec.places], n=1)
        known = f"Did you mean {near[0]}?" if near else "Name one of `input.columns`, or its place, from 0."
        raise InvalidContent.at(pointer, f'"{name[:100]}" is no column of this table. {known}')
    return place


AnyPolicy = GatePolicy | NumberPolicy


def policy_kind(target: Target) -> type[GatePolicy] | type[NumberPolicy]:
    return NumberPolicy if target.kind == "number" else GatePolicy


CLASS_POLICY: Unlimited[GatePolicy] = Unlimited(GatePolicy)
NUMBER_POLICY: Unlimited[NumberPolicy] = Unlimited(NumberPolicy)
"""Read stored policies."""


def policy_of(target: Target, stored: Mapping[str, Any]) -> AnyPolicy:
    return NUMBER_POLICY.as_stored(stored) if target.kind == "number" else CLASS_POLICY.as_stored(stored)


def of_one_kind(path: Sequence[str]) -> str | None:
    """The sentence that only models which predict classes, or numbers, have the rule or threshold at this path of the
    gate; None where both have it, or none."""
    classes, numbers = _has(GatePolicy, path), _has(NumberPolicy, path)
    if classes == numbers:
        return None
    having, lacking = ("classes", NumberPolicy) if classes else ("numbers", GatePolicy)
    rules = ", ".join(lacking.model_fields)
    return f"{'.'.join(path)} is of models that predict {having}. This one has {rules}: GET it for their thresholds."


def _has(policy: Any, path: Sequence[str]) -> bool:
    for name in path:
        if name not in getattr(policy, "model_fields", {}):
            return False
        policy = policy.model_fields[name].annotation
    return True
