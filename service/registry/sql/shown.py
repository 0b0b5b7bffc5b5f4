"""Rows of tables as the API shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeVar

from service.contract.resources import Resource
from service.registry.sql.base import Table

R = TypeVar("R", bound=Resource)


def shown(kind: type[R], row: Table, **others: Any) -> R:
    """The resource of a row: `others`, and all else as the row has it under the same name, times in UTC in place of
    seconds since the epoch."""
    same = {name: getattr(row, name) for name in kind.model_fields.keys() - others.keys()}
    times = {name: moment(value) for name, value in same.items() if name == "at" or name.endswith("_at")}
    return kind.model_validate({**same, **times, **others})


def moment(seconds: float | None) -> datetime | None:
    """A time in UTC, or None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
