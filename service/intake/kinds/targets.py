"""Targets as JSON -> numbers, NaN where a row's target is not known; or the place of the first fault with its remedy.

Good targets become numbers without a Python step a number; only faulty ones, and those of small bodies, are walked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.contract.figures import row_number
from service.contract.targets.number_target import LARGEST_TARGET, NumberTarget
from service.errors import InvalidContent
from service.intake.formats.fast_json import read_floats, read_wide
from service.intake.json_body import TARGETS, read_value
from service.intake.kinds.cells import text_for_number
from service.intake.kinds.numbers import word

Floats = NDArray[np.float64]


def read_targets(targets: msgspec.Raw | Sequence[Any] | Floats, rows: int, target: NumberTarget) -> Floats:
    """The numbers of each row: one, bare or in a list, or lists of `size`; NaN for null; or numbers that were read
    already. -> [n, size]

    Raises InvalidContent with the pointer of the first fault.
    """
    if isinstance(targets, np.ndarray):
        numbers: Floats | None = targets
    else:
        numbers = _quick(bytes(targets), target.size) if isinstance(targets, msgspec.Raw) else None
    if numbers is None:
        listed: Any = read_value(bytes(targets), f"/{TARGETS}") if isinstance(targets, msgspec.Raw) else targets
        _check_count(len(listed), rows)
        numbers = _walked(listed, target.size)
    _check_count(len(numbers), rows)
    if len(beyond := np.argwhere(np.abs(numbers) > LARGEST_TARGET)):
        sentence = f"Beyond {LARGEST_TARGET:g} on either side of 0 the square of a target is none. Take a larger unit."
        raise InvalidContent.at(pointer_of(beyond[0], target.size), sentence)
    if target.scale == "log" and len(low := np.argwhere(numbers <= 0)):
        sentence = 'With "scale": "log" a target is above 0. Leave the row out, or make a model with "scale": "linear".'
        raise InvalidContent.at(pointer_of(low[0], target.size), sentence)
    return numbers


def pointer_of(place: NDArray[np.intp], size: int) -> str:
    """The pointer to number [row, column] of the targets."""
    return f"/{TARGETS}/{place[0]}" + (f"/{place[1]}" if size > 1 else "")


def _check_count(targets: int, rows: int) -> None:
    if targets != rows:
        sent = f"{'is 1 row' if rows == 1 else f'are {rows} rows'} and {targets} target{'s'[: targets != 1]}"
        raise InvalidContent.at(f"/{TARGETS}", f"There {sent}. Each row needs one, or null.")


def _quick(text: bytes, size: int) -> Floats | None:
    """The numbers of a list that holds numbers, or lists of `size`, and null; None where it holds anything else."""
    if b"null" not in text:
        return _numbers(text, size)
    try:
        each = msgspec.json.decode(text, type=list[msgspec.Raw])
    except msgspec.DecodeError:
        return None
    known = np.fromiter((bytes(row) != b"null" for row in each), bool, len(each))
    numbers = np.full((len(each), size), np.nan)
    if known.any():
        there = _numbers(b"[%b]" % b",".join(row for row, is_known in zip(each, known, strict=True) if is_known), size)
        if there is None:
            return None
        numbers[known] = there
    return numbers


def _numbers(text: bytes, size: int) -> Floats | None:
    if size == 1 and (flat := read_floats(text)) is not None:
        return flat[:, None]
    wide = read_wide(b'{"inputs":%b}' % text, (size,))
    return None if wide is None else wide[0]


def _walked(targets: Sequence[Any], size: int) -> Floats:
    numbers = np.full((len(targets), size), np.nan)
    for row, value in enumerate(targets):
        if value is not None:
            numbers[row] = _row(value, size, row)
    return numbers


def _row(value: Any, size: int, row: int) -> list[float]:
    at = f"/{TARGETS}/{row}"
    if size == 1 and not isinstance(value, list):
        return [_number(value, at, row)]
    if not isinstance(value, list):
        raise InvalidContent.at(
            at, f"Target {row_number(row)} is {word(value)}; a list of {size} numbers is due, or null."
        )
    if len(value) != size:
        due = "one number" if size == 1 else f"{size} numbers"
        raise InvalidContent.at(at, f"Target {row_number(row)} has {len(value)}; {due} a row is due, or null.")
    return [_number(number, f"{at}/{k}", row) for k, number in enumerate(value)]


def _number(value: Any, at: str, row: int) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return float("inf")  # beyond what is taken, and refused as such
    if isinstance(value, str):
        raise InvalidContent.at(at, f"Target {row_number(row)}: {text_for_number(value)}")
    remedy = "a number is due, or null in place of the row's target."
    if value is None:
        remedy = "null stands in place of the whole row's target."
    raise InvalidContent.at(at, f"Target {row_number(row)} has {word(value)}: {remedy}")
