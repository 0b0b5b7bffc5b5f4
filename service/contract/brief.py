"""Answers and reports as Python prints them: a line with what people look at first; `model_dump()` has all."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar

from pydantic import BaseModel

SHOWN = 8
"""Items of a list that are printed; of a method its name alone."""


class Brief(BaseModel):
    """`brief`: members that are printed, those that are None or empty left out; none named: all."""

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
