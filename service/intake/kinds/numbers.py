"""Rows of numbers as nested JSON lists -> one array, or the place of the first fault with its remedy.

Good rows are decoded and converted without a Python step a number; only faulty ones are walked.
"""

from __future__ import annotations

from math import prod
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.contract.figures import row_number
from service.contract.inputs import ImageInput, InputSpec, VectorInput
from service.errors import InvalidContent
from service.intake.json_body import read_value

Vectors = list[list[float]]
Images = list[list[list[list[float]]]]

LARGEST = float(np.finfo(np.float32).max)
TOO_LARGE = "This number is beyond what a float32 can hold (3.4e38)."


def read_numbers(rows: msgspec.Raw | Any, spec: VectorInput | ImageInput, model: str) -> NDArray[Any]:
    """`inputs` -> float32 [n, size], or images [n, c, h, w]: uint8 where all are whole numbers in 0..255, else float32.

    Raises InvalidContent with the pointer of the first fault.
    """
    shape = spec.shape
    try:
        numbers = np.array(_converted(rows, Images if len(shape) == 3 else Vectors), np.float64)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise fault_of_rows(rows, spec, model) from None
    if not len(numbers) or numbers.shape[1:] != shape:
        raise fault_of_rows(rows, spec, model)
    if not (np.abs(numbers).max() <= LARGEST):
        first = np.argwhere(~(np.abs(numbers) <= LARGEST))[0]
        raise InvalidContent.at("/inputs/" + "/".join(str(k) for k in first), TOO_LARGE)
    return narrowed(numbers)


def narrowed(numbers: NDArray[Any]) -> NDArray[Any]:
    """Rows as they are kept: images [n, c, h, w] of whole numbers in 0..255 as uint8, all else as float32."""
    if numbers.ndim == 4 and _are_bytes(numbers[0, 0, 0]) and _are_bytes(numbers):  # a line of pixels mostly tells
        return numbers.astype(np.uint8)
    return numbers.astype(np.float32, copy=False)


def _are_bytes(numbers: NDArray[Any]) -> bool:
    return bool(numbers.min() >= 0 and numbers.max() <= 255 and (numbers == np.rint(numbers)).all())


def not_finite(row: int, place: int, spec: InputSpec) -> InvalidContent:
    """The refusal of a row whose number `place`, counted through the row, is NaN, infinite or beyond a float32."""
    at = "/".join(str(k) for k in np.unravel_index(place, spec.shape))
    sentence = f"Row {row_number(row)} has a number that is NaN, infinite or beyond what a float32 can hold (3.4e38)."
    return InvalidContent.at(f"/inputs/{row}/{at}", sentence)


def _converted(rows: msgspec.Raw | Any, kind: type[Vectors] | type[Images]) -> Any:
    if isinstance(rows, msgspec.Raw):
        return msgspec.json.decode(rows, type=kind)
    return msgspec.convert(rows, kind)


def fault_of_rows(rows: msgspec.Raw | Any, spec: VectorInput | ImageInput, model: str) -> InvalidContent:
    """The refusal of rows that could not be converted."""
    value = read_value(bytes(rows), "/inputs") if isinstance(rows, msgspec.Raw) else rows
    rows_due = "images, each [c][h][w] or a PNG or JPEG," if isinstance(spec, ImageInput) else "rows of numbers"
    if not isinstance(value, list):
        return InvalidContent.at("/inputs", f"inputs is a list of {rows_due}: [[...], ...].")
    if not value:
        return InvalidContent.at("/inputs", "inputs is empty. Send at least one row.")
    if _is_bare(value, len(spec.shape)):
        return InvalidContent.at(
            "/inputs", "This is one bare row, and a list of rows is due: put it in brackets, [row]."
        )
    for k, row in enumerate(value):
        if fault_in_row := fault_of_row(row, spec.shape, f"/inputs/{k}", f"Row {row_number(k)}", model):
            return fault_in_row
    return InvalidContent.at(
        "/inputs", f"inputs is a list of {rows_due}; {model} takes {prod(spec.shape)} numbers a row."
    )


def _is_bare(value: Any, depth: int) -> bool:
    """Whether the value is one bare row: its first number lies `depth` lists deep."""
    while depth and isinstance(value, list) and value:
        value, depth = value[0], depth - 1
    return not depth and isinstance(value, int | float)


def fault_of_row(row: Any, shape: tuple[int, ...], at: str, name: str, model: str) -> InvalidContent | None:
    """The refusal of a row that is not nested lists of that shape; None where it is."""
    if not shape:
        if isinstance(row, int | float) and not isinstance(row, bool):
            return InvalidContent.at(at, TOO_LARGE) if abs(row) > LARGEST else None
        return InvalidContent.at(
            at, f"{name} has {word(row)} where a number is due. Send numbers, or leave the row out."
        )
    due = {1: "numbers", 2: "lines", 3: "channels"}[len(shape)]
    if not isinstance(row, list):
        return InvalidContent.at(at, f"{name} has {word(row)} where a list of {shape[0]} {due} is due.")
    if len(row) != shape[0]:
        wanted = shape[0] if len(shape) == 1 else f"{shape[0]} (in all [{']['.join(str(s) for s in shape)}])"
        return InvalidContent.at(at, f"{name} has {len(row)} {due}; {model} takes {wanted}.")
    if len(shape) == 1 and {int, float}.issuperset(map(type, row)) and max(row) <= LARGEST and min(row) >= -LARGEST:
        return None
    for k, item in enumerate(row):
        if fault_in_item := fault_of_row(item, shape[1:], f"{at}/{k}", name, model):
            return fault_in_item
    return None


def depth(value: Any) -> int:
    """How many lists deep the first number lies."""
    depth = 0
    while isinstance(value, list) and value:
        value, depth = value[0], depth + 1
    return depth


def word(value: Any) -> str:
    """Names the type of a JSON value; of values themselves a refusal shows the text of a cell alone, cut short."""
    if value is None:
        return "null"
    words = {bool: "true or false", str: "text", dict: "an object", list: "a list"}
    return words.get(type(value), "a number")


def from_bfloat16(bits: NDArray[Any]) -> NDArray[np.float32]:
    """Numbers of bfloat16, which is the upper half of a float32, by their bits, uint16."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
