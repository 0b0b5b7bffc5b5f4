"""Rows of numbers as objects, by the names of a model's columns -> lists in the order of the model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from service.contract.figures import row_number
from service.errors import InvalidContent
from service.intake.json_body import pointer_to
from service.intake.kinds.numbers import LARGEST, TOO_LARGE, word
from service.intake.kinds.tables import decoded, listed, renamed

_BEGINS = re.compile(rb"\{")
_ROWS = msgspec.json.Decoder(list[msgspec.Raw])


def in_order(rows: msgspec.Raw | Any, places: Mapping[str, int], model: str) -> list[Any] | None:
    """Rows each of which may be an object -> lists, those that are lists as they are; None where none is an object.
    Raises InvalidContent with row and column of the first fault, BrokenJSON."""
    each: Any = rows
    if isinstance(rows, msgspec.Raw):
        if _BEGINS.search(rows) is None:  # in place: bytes(rows) would copy them
            return None
        try:
            each = _ROWS.decode(rows)
        except msgspec.DecodeError:
            return None  # no list, which is refused elsewhere
    if not isinstance(each, Sequence) or not any(map(_is_object, each)):
        return None
    read = (decoded(row, k) if isinstance(row, msgspec.Raw) else row for k, row in enumerate(each))
    return [_numbers(row, k, places, model) if isinstance(row, dict) else row for k, row in enumerate(read)]


def _is_object(row: Any) -> bool:
    return bytes(row)[:1] == b"{" if isinstance(row, msgspec.Raw) else isinstance(row, dict)


def _numbers(row: dict[str, Any], k: int, places: Mapping[str, int], model: str) -> list[Any]:
    if row.keys() != places.keys():
        row = renamed(row, k, model, places)
        if missing := [name for name in places if name not in row]:
            are = "is" if len(missing) == 1 else "are"
            sentence = (
                f"Row {row_number(k)}: {listed(missing)} {are} missing. Add what is missing, or leave the row out."
            )
            raise InvalidContent.at(f"/inputs/{k}", sentence)
    numbers = [row[name] for name in places]
    if {int, float}.issuperset(map(type, numbers)) and min(numbers) >= -LARGEST and max(numbers) <= LARGEST:
        return numbers
    for name, number in zip(places, numbers, strict=True):
        at = f"/inputs/{k}{pointer_to([name])}"
        if type(number) not in (int, float):
            sentence = f"This is {word(number)}: a number is due. Fill it in, or leave the row out."
            raise InvalidContent.at(at, f"Row {row_number(k)}, {listed([name])}: {sentence}")
        if not abs(number) <= LARGEST:
            raise InvalidContent.at(at, TOO_LARGE)
    return numbers
