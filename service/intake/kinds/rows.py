"""Rows as JSON -> one array: numbers, images, texts or rows of a table, as the model takes them."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.contract.body_limits import HIGHEST, BodyLimits
from service.contract.inputs import InputSpec, VectorInput, places_of
from service.errors import BrokenJSON, InvalidContent
from service.intake.json_body import read_value
from service.intake.kinds.images import read_images
from service.intake.kinds.named_vectors import in_order
from service.intake.kinds.numbers import depth, read_numbers
from service.intake.kinds.tables import ValueNames, read_table
from service.intake.kinds.texts import read_texts

OBJECTS = {
    "image": 'nested lists [c][h][w] of numbers, or {"png": base64}',
    "table": "an object, {...}, or a list in the order of the columns, [...]",
}
"""Kinds of input whose rows may be objects, and what such a row is."""
NO_NAMES: ValueNames = {}
"""Of rows that are no tables."""


class Named(NamedTuple):
    """Decoded rows, and the values of open categories in them, where they are tables."""

    rows: NDArray[Any]
    names: ValueNames = NO_NAMES


def read_rows(rows: msgspec.Raw | Any, spec: InputSpec, model: str) -> NDArray[Any]:
    """`inputs` -> vectors float32 [n, size], images uint8 or float32 [n, c, h, w], texts: an object array of str [n],
    rows of a table float64 [n, columns].

    Raises InvalidContent with the pointer of the first fault.
    """
    return read_named_rows(rows, spec, model).rows


def read_named_rows(rows: msgspec.Raw | Any, spec: InputSpec, model: str, limits: BodyLimits = HIGHEST) -> Named:
    """As `read_rows`, with the values of categories by name. Rows that are an array were read before."""
    if spec.kind == "vector":  # first, and by a string: the cheapest test on the busiest path
        return Named(rows if isinstance(rows, np.ndarray) else _read_vectors(rows, spec, model))
    if isinstance(rows, np.ndarray):
        return Named(rows)
    if spec.kind == "image":
        return Named(read_images(rows, spec, model, limits))
    if spec.kind == "table":
        return Named(*read_table(rows, spec, model, limits))
    return Named(read_texts(rows, spec, model))


def _read_vectors(rows: msgspec.Raw | Any, spec: VectorInput, model: str) -> NDArray[Any]:
    """Lists by position; objects too, where the columns have names. Raises InvalidContent."""
    by_name = in_order(rows, spec.places, model) if spec.names is not None else None
    return read_numbers(rows if by_name is None else by_name, spec, model)


def read_row(text: str, spec: InputSpec, model: str) -> Named:
    """One bare row, as the query of a GET holds it: JSON, or a text as it is. Raises InvalidContent."""
    if spec.kind == "text":
        return _alone(text, spec, model)
    try:
        row = read_value(text.encode("utf-8", "replace"), "/input")
    except BrokenJSON as error:
        sentence = (
            f"{error.detail.replace('The body', 'input', 1)} With curl, say -g: it takes brackets and braces out."
        )
        raise InvalidContent.at("/input", sentence) from None
    objects = spec.kind in OBJECTS or bool(places_of(spec))
    if not isinstance(row, list) and not (objects and isinstance(row, dict)):
        raise InvalidContent.at("/input", f"input is one row: {OBJECTS.get(spec.kind, 'a list of numbers, [...]')}.")
    if isinstance(row, list) and _is_list_of_rows(row, spec):
        raise InvalidContent.at(
            "/input", "input is one bare row. POST a list of rows, or leave out the outer brackets."
        )
    return _alone(row, spec, model)


def _is_list_of_rows(listed: list[Any], spec: InputSpec) -> bool:
    """Whether a list has rows in it; no cell of a table is a list or an object."""
    if spec.kind == "table":
        return bool(listed) and isinstance(listed[0], list | dict)
    return len(listed) == 1 and depth(listed) == len(spec.shape) + 1


def _alone(row: Any, spec: InputSpec, model: str) -> Named:
    """Reads one row; faults point into `input`. Raises InvalidContent."""
    try:
        return read_named_rows([row], spec, model)
    except InvalidContent as error:
        moved = [
            ("/input" + p.removeprefix("/inputs/0").removeprefix("/inputs"), sentence) for p, sentence in error.errors
        ]
        raise InvalidContent(error.detail, moved) from None
