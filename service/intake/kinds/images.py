"""Images -> one array: nested lists, {"png": base64} and {"jpeg": base64}, in any mixture; and bare files."""

from __future__ import annotations

import binascii
from math import prod
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.contract.body_limits import HIGHEST, BodyLimits
from service.contract.figures import row_number
from service.contract.inputs import ImageInput, RangeScale
from service.errors import InvalidContent
from service.intake.json_body import read_value
from service.intake.kinds.numbers import fault_of_row, read_numbers, word
from service.intake.kinds.pictures import MODES, NoPicture, kind_of, read_picture

KINDS = {"png": "PNG", "jpeg": "JPEG"}
HERE_BYTES = 16 * 2**20
"""Pixels of one body that are decoded in the process that serves: more of them are decoded in the reading process."""
WHITE = 255


def read_images(rows: msgspec.Raw | Any, spec: ImageInput, model: str, limits: BodyLimits = HIGHEST) -> NDArray[Any]:
    """`inputs` -> [n, c, h, w]: uint8 where all are whole numbers in 0..255, else float32.

    Raises InvalidContent with the pointer of the first fault.
    """
    if isinstance(rows, msgspec.Raw):
        if b"{" not in memoryview(rows).tobytes():
            return read_numbers(rows, spec, model)
        rows = read_value(bytes(rows), "/inputs")
    if isinstance(rows, dict) and rows.keys() & KINDS.keys():
        raise InvalidContent.at(
            "/inputs", "This is one bare image, and a list of images is due: put it in brackets, [image]."
        )
    if not isinstance(rows, list) or not any(isinstance(row, dict) for row in rows):
        return read_numbers(rows, spec, model)
    limits.check_pictures(sum(isinstance(row, dict) for row in rows), spec)
    return _mixed(rows, spec, model)


def _mixed(rows: list[Any], spec: ImageInput, model: str) -> NDArray[Any]:
    """Pictures and nested lists, in their order."""
    pictures = [k for k, row in enumerate(rows) if isinstance(row, dict)]
    lists = [row for row in rows if not isinstance(row, dict)]
    numbers = _lists(rows, lists, spec, model) if lists else np.zeros((0, *spec.shape), np.uint8)
    read = np.empty((len(rows), *spec.shape), numbers.dtype)
    read[[k for k, row in enumerate(rows) if not isinstance(row, dict)]] = numbers
    for k in pictures:
        read[k] = _picture(rows[k], spec, f"/inputs/{k}", f"Row {row_number(k)}", model)
    return read


def _lists(rows: list[Any], lists: list[Any], spec: ImageInput, model: str) -> NDArray[Any]:
    """The images that are nested lists. Raises InvalidContent, whose pointer counts the pictures, too."""
    try:
        return read_numbers(lists, spec, model)
    except InvalidContent:
        for k, row in enumerate(rows):
            if not isinstance(row, dict):
                fault = fault_of_row(row, spec.shape, f"/inputs/{k}", f"Row {row_number(k)}", model)
                if fault:
                    raise fault from None
        raise


def _picture(row: dict[str, Any], spec: ImageInput, at: str, name: str, model: str) -> NDArray[np.uint8]:
    """One {"png": base64} or {"jpeg": base64}. Raises InvalidContent."""
    if len(row) != 1 or not row.keys() <= KINDS.keys():
        raise InvalidContent.at(
            at, f'{name} is no image: send {{"png": base64}}, {{"jpeg": base64}}, or nested lists [c][h][w] of numbers.'
        )
    [(key, text)] = row.items()
    kind, at = KINDS[key], f"{at}/{key}"
    _check_takes_files(spec, kind, at, model)
    return _pixels(read_base64(text, at, name), kind, spec, at, name, model)


def read_base64(text: Any, at: str, name: str) -> bytes:
    """A file in base64. Raises InvalidContent."""
    if not isinstance(text, str):
        raise InvalidContent.at(at, f"{name} has {word(text)} where the file in base64 is due.")
    try:
        return binascii.a2b_base64(text.encode(), strict_mode=True)
    except (ValueError, UnicodeEncodeError):
        begins = "without what comes before the comma" if text.startswith("data:") else "without spaces and line breaks"
        raise InvalidContent.at(at, f"{name} is not base64. Send the file in base64, padded, {begins}.") from None


def read_file(
    data: bytes, spec: ImageInput, at: str, name: str, model: str, sent_as: str | None = None
) -> NDArray[np.uint8]:
    """A PNG or JPEG file -> uint8 [c, h, w]. `sent_as`: the kind that it must be. Raises InvalidContent."""
    kind = kind_of(data)
    if kind is None:
        raise InvalidContent.at(at, f"{name} is no image: its first bytes are those of neither a PNG nor a JPEG.")
    if sent_as is not None and kind != sent_as:
        raise InvalidContent.at(at, f"{name} is a {kind}, and was sent as {sent_as}.")
    _check_takes_files(spec, kind, at, model)
    return _pixels(data, kind, spec, at, name, model)


def is_heavy(pictures: int, spec: ImageInput) -> bool:
    """Whether so many pictures are decoded in the reading process."""
    return pictures * prod(spec.shape) > max(HERE_BYTES, prod(spec.shape))


def _check_takes_files(spec: ImageInput, kind: str, at: str, model: str) -> None:
    """Raises InvalidContent where the pixels of a file are not what the model takes."""
    if spec.channels not in MODES:
        raise InvalidContent.at(
            at, f"{model} takes {spec.channels} channels, and a {kind} has 1, 3 or 4. Send nested lists [c][h][w]."
        )
    if isinstance(spec.scale, RangeScale) and (spec.scale.range[1] < WHITE or spec.scale.range[0] > 0):
        low, high = spec.scale.range
        raise InvalidContent.at(
            at,
            f"{model} takes numbers from {low:g} to {high:g}, and the pixels of a {kind} go from 0 to 255. Send nested "
            'lists, or make a model whose scale is {"range": [0, 255]}.',
        )


def _pixels(data: bytes, kind: str, spec: ImageInput, at: str, name: str, model: str) -> NDArray[np.uint8]:
    try:
        return read_picture(data, kind, spec.shape, model)
    except NoPicture as reason:
        raise InvalidContent.at(at, f"{name}: this {kind} {reason}") from None
