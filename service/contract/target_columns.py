"""Columns of a table that a target names: the name becomes the place, by which rows are read."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from service.contract.tables import TableInput, value_text
from service.errors import InvalidContent


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
