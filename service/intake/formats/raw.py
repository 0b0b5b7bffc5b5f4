"""Rows without JSON around them: raw float32, a numpy file, or one PNG or JPEG file -> one array."""

from __future__ import annotations

import ast
import mmap
from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.contract.enums import CSV, JPEG, JSON, NPY, PNG, RAW
from service.contract.inputs import ImageInput, InputSpec, TextInput
from service.contract.tables import TableInput
from service.errors import InvalidContent, UnsupportedMedia
from service.intake.kinds import images

HEADER_BYTES = 1024
"""Most bytes of the header of a numpy file: that of a plain array has about a hundred."""
SIZE_BYTES = {b"\x93NUMPY\x01\x00": 2, b"\x93NUMPY\x02\x00": 4}
"""First bytes of a numpy file -> bytes that hold the length of its header."""
Body = bytes | mmap.mmap
"""In memory, or on disk and mapped."""
ROWS = {"vector": "rows of numbers", "text": "texts", "table": "rows of a table"}
"""What a model takes that takes no images."""
TAKEN = ("<f4", ">f4", "<f8", ">f8", "|u1")
"""Types of numbers that a numpy file may hold, as its header names them."""


def read_raw(body: Body, spec: InputSpec, model: str) -> NDArray[Any]:
    """float32, little-endian, one row after the other -> float32 [n, ...]. Raises InvalidContent, UnsupportedMedia."""
    shape = _shape(spec, model)
    row = 4 * prod(shape)
    rows, rest = divmod(len(body), row)
    if rest or not rows:
        raise InvalidContent.at(
            "", f"The body has {len(body):,} bytes. {model} takes rows of {prod(shape):,} float32, {row:,} bytes each."
        )
    return owned(np.frombuffer(body, "<f4").reshape(rows, *shape), np.float32)


def read_npy(body: Body, spec: InputSpec, model: str) -> NDArray[Any]:
    """A numpy file of float32, float64 or uint8 -> float32 [n, ...], or uint8 of images.

    Nothing is made before the header fits the model and the length of the body. A number beyond float32 is infinite.
    Raises InvalidContent, UnsupportedMedia.
    """
    shape_of_row = _shape(spec, model)
    try:
        shape, fortran, numbers, start = _header(body)
    except (KeyError, ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        sentence = (
            "The body is no numpy file, or its header is broken or long. Send what numpy.save writes of one array."
        )
        raise InvalidContent.at("", sentence) from None
    if numbers not in TAKEN:
        raise InvalidContent.at("", f"An array of {str(numbers)[:60]} is not taken. Send float32, float64 or uint8.")
    check_shape(shape, shape_of_row, model)
    dtype = np.dtype(numbers)
    data, needed = memoryview(body)[start:], prod(shape) * dtype.itemsize
    if len(data) != needed:
        raise InvalidContent.at("", f"The array needs {needed:,} bytes, and {len(data):,} follow its header.")
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    with np.errstate(over="ignore"):
        return owned(array, np.uint8 if dtype.kind == "u" and isinstance(spec, ImageInput) else np.float32)


def check_shape(shape: tuple[int, ...], of_row: tuple[int, ...], model: str) -> None:
    """Raises InvalidContent where an array is not one of such rows."""
    if shape == of_row:
        raise InvalidContent.at("", "This is one bare row, and an array of rows is due: send row[None].")
    if len(shape) != 1 + len(of_row) or shape[1:] != of_row or not shape[0] > 0:
        wanted = ", ".join(str(k) for k in of_row)
        raise InvalidContent.at("", f"The array has shape {str(shape)[:100]}; {model} takes (rows, {wanted}).")


def owned(numbers: NDArray[Any], kind: type[np.generic]) -> NDArray[Any]:
    """A copy of a body's numbers as that type. A mapped body of that type is private already and is not copied."""
    if numbers.flags.writeable and numbers.dtype == kind and numbers.flags.c_contiguous:
        return numbers
    return numbers.astype(kind, order="C")


def read_file(kind: str, body: Body, spec: InputSpec, model: str) -> NDArray[Any]:
    """One PNG or JPEG file -> uint8 [1, c, h, w]. Raises InvalidContent, UnsupportedMedia."""
    if not isinstance(spec, ImageInput):
        raise UnsupportedMedia(f"{model} takes {ROWS[spec.kind]}, not images. Send {JSON} or {CSV}.")
    return images.read_file(body[:], spec, "", "The body", model, kind)[None]


READERS: dict[str, Callable[[Body, InputSpec, str], NDArray[Any]]] = {
    RAW: read_raw,
    NPY: read_npy,
    PNG: partial(read_file, "PNG"),
    JPEG: partial(read_file, "JPEG"),
}
"""Content type -> its reader."""


def _header(body: Body) -> tuple[tuple[int, ...], bool, Any, int]:
    """-> shape, whether columns come first, the type of the numbers, and where the data begins.

    Not numpy's own reader: that one also tries to make sense of what Python 2 wrote. Raises KeyError, ValueError and
    what literal_eval raises.
    """
    digits = SIZE_BYTES[body[:8]]
    start = 8 + digits + int.from_bytes(body[8 : 8 + digits], "little")
    if not 8 + digits < start <= min(len(body), HEADER_BYTES):
        raise ValueError
    header = ast.literal_eval(body[8 + digits : start].decode("latin-1").strip())
    if not isinstance(header, dict) or header.keys() != {"descr", "fortran_order", "shape"}:
        raise ValueError
    shape = header["shape"]
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError
    fortran_order = header["fortran_order"]
    if type(fortran_order) is not bool:
        raise ValueError
    return shape, fortran_order, header["descr"], start


def _shape(spec: InputSpec, model: str) -> tuple[int, ...]:
    if isinstance(spec, TextInput | TableInput):
        raise UnsupportedMedia(f"{model} takes {ROWS[spec.kind]}. Send them as {JSON} or {CSV}.")
    return spec.shape
