"""Rows as JSON -> one array: numbers, images or texts, as the model takes them."""

from __future__ import annotations

from typing import Any

import msgspec
from numpy.typing import NDArray

from service.contract.inputs import InputSpec
from service.errors import BrokenJSON, InvalidContent
from service.intake.json_body import read_value
from service.intake.kinds.images import read_images
from service.intake.kinds.numbers import depth, read_numbers
from service.intake.kinds.tables import read_table
from service.intake.kinds.texts import read_texts


def read_rows(rows: msgspec.Raw | Any, spec: InputSpec, model: str) -> NDArray[Any]:
    """`inputs` -> vectors float32 [n, size], images uint8 or float32 [n, c, h, w], texts: an object array of str [n].

    Raises InvalidContent with the pointer of the first fault.
    """
    if spec.kind == "vector":  # first, and by a string: the cheapest test on the busiest path
        return read_numbers(rows, spec, model)
    if spec.kind == "image":
        return read_images(rows, spec, model)
    if spec.kind == "table":
        return read_table(rows, spec, model)
    return read_texts(rows, spec, model)


def read_row(text: str, spec: InputSpec, model: str) -> NDArray[Any]:
    """One bare row, as the query of a GET holds it: JSON, or a text as it is. Raises InvalidContent."""
    if spec.kind == "text":
        return _alone(text, spec, model)
    try:
        row = read_value(text.encode("utf-8", "replace"), "/input")
    except BrokenJSON as error:
        raise InvalidContent.at("/input", error.detail.replace("The body", "input", 1)) from None
    picture = spec.kind == "image"
    if not isinstance(row, list) and not (picture and isinstance(row, dict)):
        kinds = 'nested lists [c][h][w] of numbers, or {"png": base64}' if picture else "a list of numbers, [...]"
        raise InvalidContent.at("/input", f"input is one row: {kinds}.")
    if isinstance(row, list) and len(row) == 1 and depth(row) == len(spec.shape) + 1:
        raise InvalidContent.at(
            "/input", "input is one bare row. POST a list of rows, or leave out the outer brackets."
        )
    return _alone(row, spec, model)


def _alone(row: Any, spec: InputSpec, model: str) -> NDArray[Any]:
    """Reads one row; faults point into `input`. Raises InvalidContent."""
    try:
        return read_rows([row], spec, model)
    except InvalidContent as error:
        moved = [
            ("/input" + p.removeprefix("/inputs/0").removeprefix("/inputs"), sentence) for p, sentence in error.errors
        ]
        raise InvalidContent(error.detail, moved) from None
