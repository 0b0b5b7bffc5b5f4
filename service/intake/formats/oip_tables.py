"""Rows of a table as tensors of the Open Inference Protocol: one a column, by its name, [n] or [n, 1].

Numbers are FP64, booleans BOOL, categories and dates BYTES; any other datatype is taken whose elements the column takes
as cells of JSON. Missing are null, NaN, an empty text, and a column that has no tensor.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from service.contract.body_limits import HIGHEST, BodyLimits
from service.contract.figures import row_number
from service.contract.tables import BooleanColumn, Column, NumberColumn, TableInput
from service.errors import InvalidContent
from service.intake.formats.oip_tensors import NUMBERS, Tensor, as_array, cut, shown, text_of
from service.intake.kinds.cells import CellFault, Names, cell_reader
from service.intake.kinds.numbers import word
from service.intake.kinds.rows import Named
from service.intake.kinds.tables import HERE_CELLS
from service.intake.near import near_matches

BYTES, BOOL = "BYTES", "BOOL"
_ROWS = re.compile(rb'"shape"\s*:\s*\[\s*(\d+)')


def datatype_of(column: Column) -> str:
    """The datatype of a column's tensor, as metadata name it."""
    if isinstance(column, NumberColumn):
        return "FP64"
    return BOOL if isinstance(column, BooleanColumn) else BYTES


def is_heavy(text: bytes, spec: TableInput) -> bool:
    """Whether tensors, whose JSON is `text`, may come to so many cells that the reading process reads them."""
    rows = max((int(digits[:12]) for digits in _ROWS.findall(text)), default=0)
    return b"\\" in text or rows * len(spec.columns) > HERE_CELLS


def read_columns(tensors: Sequence[Tensor], spec: TableInput, model: str, limits: BodyLimits = HIGHEST) -> Named:
    """-> rows [n, columns] float64, missing NaN, and the values of open categories. Raises InvalidContent."""
    given = _by_place(tensors, spec, model)
    cells = {place: _cells(tensor) for place, tensor in given.items()}
    counts = {place: len(column) for place, column in cells.items()}
    rows = next(iter(counts.values()))
    if (other := next((place for place, count in counts.items() if count != rows), None)) is not None:
        first = spec.columns[next(iter(counts))].name
        raise InvalidContent(
            f"{first[:100]} has {rows:,} rows, and {spec.columns[other].name[:100]} {counts[other]:,}."
        )
    limits.check_rows(rows, len(spec.columns))
    read = np.full((rows, len(spec.columns)), np.nan)
    names: dict[int, Names] = {place: {} for place in spec.growing}
    for place, column in cells.items():
        reader = cell_reader(spec.columns[place], names.get(place, {}), spec.gap_words)
        for k, cell in enumerate(column):
            try:
                read[k, place] = reader(cell)
            except CellFault as fault:
                raise InvalidContent(
                    f"Row {row_number(k)} of {spec.columns[place].name[:100]}: {fault.sentence}"
                ) from None
    return Named(read, names)


def _by_place(tensors: Sequence[Tensor], spec: TableInput, model: str) -> dict[int, Tensor]:
    """The tensors by the place of their column; at least one."""
    given: dict[int, Tensor] = {}
    for tensor in tensors:
        place, name = spec.places.get(tensor.name), tensor.name[:100]
        if place is None:
            near = near_matches([tensor.name], spec.places)[tensor.name]
            remedy = f'Near: "{near[0][:100]}".' if near else f"GET /v2/models/{model} names them."
            raise InvalidContent(f'"{name}" is no column of {model}, which takes a tensor for each. {remedy}')
        if place in given:
            raise InvalidContent(f"{name} is there more than once. Send it once.")
        given[place] = tensor
    if not given:
        raise InvalidContent(f"inputs is empty; {model} takes a tensor for each column.")
    return given


def _cells(tensor: Tensor) -> Sequence[Any]:
    """The elements of a tensor as cells, None where they are missing. Raises InvalidContent."""
    name, shape, data = tensor.name[:100], tuple(tensor.shape), tensor.data
    if tensor.datatype not in (*NUMBERS, BYTES, BOOL):
        raise InvalidContent(f"{name} has the datatype {tensor.datatype[:20]}, which is none of the protocol's.")
    if len(shape) not in (1, 2) or shape[1:] not in ((), (1,)) or not shape[0] > 0:
        raise InvalidContent(f"{name} has shape {shown(shape)}. A column has [n] or [n, 1], with one row at least.")
    if isinstance(data, memoryview):
        cells = _of_bytes(tensor, data)
    elif isinstance(data, np.ndarray):  # read at once
        cells = data.tolist()
    elif isinstance(data, list):
        cells = [cell[0] if isinstance(cell, list) and len(cell) == 1 else cell for cell in data]
    else:
        raise InvalidContent(f"data of {name} is {word(data)} where a list of its elements is due.")
    if len(cells) != shape[0]:
        raise InvalidContent(f"{name} has {len(cells):,} elements; shape {shown(shape)} has {shape[0]:,}.")
    return [None if cell == "" else cell for cell in cells] if tensor.datatype == BYTES else cells


def _of_bytes(tensor: Tensor, data: memoryview) -> Sequence[Any]:
    name = tensor.name[:100]
    if tensor.datatype == BYTES:
        return [text_of(element, k, f"{name}, row") for k, element in enumerate(cut(bytes(data), name))]
    if tensor.datatype == BOOL:
        if not set(bytes(data)) <= {0, 1}:
            raise InvalidContent(f"{name} has bytes other than 0 and 1, which BOOL has alone.")
        return [byte == 1 for byte in data]
    numbers = as_array(tensor.datatype, data, (tensor.shape[0],), name)
    return [None if number != number else number for number in numbers.tolist()]
