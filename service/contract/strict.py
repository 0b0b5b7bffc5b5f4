"""What shapes of requests and answers are made of: bodies that refuse unknown fields, lists that stop at their first
fault, answers that print in a line; and how such values are read once they are stored."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter
from pydantic_core import SchemaValidator

T = TypeVar("T")

Listed = Annotated[list[T], Field(fail_fast=True)]
"""A list of which the first fault alone is reported: each takes five hundred times the text of the item."""
Chance = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]

DEVICE = r"^(auto|cpu|mps|cuda(:[0-9]{1,2})?)$"


def _device(name: str) -> str:
    if re.fullmatch(DEVICE, name) is None:
        raise ValueError(
            "device is cpu, cuda (the first GPU), cuda:1 and so on, mps, or auto, the fastest that is there"
        )
    return name


Device = Annotated[str, AfterValidator(_device), Field(json_schema_extra={"pattern": DEVICE, "maxLength": 7})]
"""The name of a device."""

KeepVersions = Annotated[
    int,
    Field(
        ge=0,
        le=100_000,
        description="Newest versions whose parts are kept, 0: of all. Parts of older ones are deleted for good, but of "
        "the live version, the one live before it, those with an alias and imported ones. All reports stay.",
    ),
]

LEAST_RATE = 0.001
"""Requests a second: one in 17 minutes."""


def _usable(rate: float) -> float:
    if rate < LEAST_RATE:
        raise ValueError(
            f"rate is at least {LEAST_RATE:g}, a request in {1 / LEAST_RATE / 60:.0f} minutes: a key of less is as "
            "good as revoked. Leave it out for no limit of its own"
        )
    return rate


Rate = Annotated[
    float, Field(le=1e6, allow_inf_nan=False, json_schema_extra={"minimum": LEAST_RATE}), AfterValidator(_usable)
]
"""Most requests a second of a key."""


class Strict(BaseModel):
    """A body that refuses fields it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Unlimited(Generic[T]):
    """Reads values of a type as they were stored: the shape alone is checked, no length, size, pattern or validator.

    What is stored met the limits of the release that took it; a later one with narrower limits must read it still.
    """

    def __init__(self, kind: Any) -> None:
        self._validator = SchemaValidator(_unlimited(TypeAdapter(kind).core_schema), _use_prebuilt=False)

    def as_stored(self, stored: Any) -> T:
        """The value. Raises ValidationError where it has another shape."""
        value: T = self._validator.validate_python(stored)
        return value


LIMITS = {"ge", "gt", "le", "lt", "min_length", "max_length", "pattern"}
LIMITED = ("int", "float", "str", "list")
"""Types of pydantic's schemas (`pydantic_core.core_schema`) that have limits."""


def _unlimited(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_unlimited(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "function-after":  # a validator: what it wraps takes its place, and its reference
        return _unlimited(schema["schema"]) | {key: schema[key] for key in ("ref",) if key in schema}
    dropped = LIMITS if schema.get("type") in LIMITED else ()
    return {key: _unlimited(value) for key, value in schema.items() if key not in dropped}


SHOWN = 8
"""Items of a list that are printed; of a method its name alone."""


class Brief(BaseModel):
    """An answer that Python prints in a line; `model_dump()` has all. `brief`: members that are printed, those
    that are None or empty left out; none named: all."""

    brief: ClassVar[tuple[str, ...]] = ()

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        if not self.brief:
            return super().__repr_args__()
        values = ((name, getattr(self, name)) for name in self.brief)
        return [(name, _short(value)) for name, value in values if value is not None and value != []]

    def __str__(self) -> str:
        return repr(self)


def _short(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat(" ", "minutes")
    if isinstance(value, dict) and "name" in value:
        return value["name"]
    if isinstance(value, list) and len(value) > SHOWN:
        return [*value[:SHOWN], f"and {len(value) - SHOWN:,} more"]
    return value
