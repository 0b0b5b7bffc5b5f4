"""Rows of a table as JSON -> one float64 a column."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.contract.tables import BooleanColumn, Column, DateColumn, NumberColumn, TableInput, value_code, value_text
from service.errors import InvalidContent


def read_table(rows: msgspec.Raw | Any, spec: TableInput, model: str) -> NDArray[np.float64]:
    """`inputs`: objects, or lists in the order of the columns -> [n, columns], missing NaN. Raises InvalidContent."""
    value = msgspec.json.decode(rows) if isinstance(rows, msgspec.Raw) else rows
    read = np.full((len(value), len(spec.columns)), np.nan)
    for k, row in enumerate(value):
        cells = row.items() if isinstance(row, dict) else zip(spec.places, row, strict=True)
        for name, cell in cells:
            place = spec.places[name]
            if cell is not None and cell != "":
                read[k, place] = read_cell(spec.columns[place], cell, f"/inputs/{k}/{name}")
    return read


def read_cell(column: Column, cell: Any, at: str) -> float:
    """One value of a column. Raises InvalidContent."""
    if isinstance(column, NumberColumn | BooleanColumn):
        return float(cell)
    if isinstance(column, DateColumn):
        raise InvalidContent.at(at, "dates are not read yet")
    return value_code(value_text(str(cell)))
