"""Inputs of stored rows as they could be sent, for people who look at what a batch holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, time, timedelta
from typing import Any

from service.contract.inputs import InputSpec
from service.contract.tables import BooleanColumn, Column, DateColumn, NumberColumn, TableInput, value_code
from service.learning.data.rows import Array

EPOCH = datetime(1970, 1, 1)
"""Dates are seconds since then, by the clock as it was written."""
LATEST = datetime.max - EPOCH
"""The last microsecond of the year 9999, which files write for "never": as float64 seconds it is the year 10000."""


def shown_inputs(inputs: Array, spec: InputSpec, values: Mapping[str, Iterable[str]]) -> list[Any]:
    """inputs [n, ...] -> a value of JSON for each row: of a table an object without what is missing. values: of open
    categories, by the name of the column."""
    if not isinstance(spec, TableInput):
        return list(inputs.tolist())
    readers = [(column.name, _reader(column, values.get(column.name, ()))) for column in spec.columns]
    return [
        {name: read(cell) for (name, read), cell in zip(readers, row, strict=True) if not math.isnan(cell)}
        for row in inputs.tolist()
    ]


def _reader(column: Column, values: Iterable[str]) -> Callable[[float], Any]:
    """Makes of the number that a cell is what it says."""
    if isinstance(column, NumberColumn):
        return lambda cell: int(cell) if cell.is_integer() else cell
    if isinstance(column, BooleanColumn):
        return bool
    if isinstance(column, DateColumn):
        return _moment
    names = {value_code(text): text for text in column.values or values}
    return lambda code: names.get(code, f"#{int(code):x}")


def _moment(seconds: float) -> str:
    at = EPOCH + min(timedelta(seconds=seconds), LATEST)
    return at.date().isoformat() if at.time() == time.min else at.isoformat(" ")
