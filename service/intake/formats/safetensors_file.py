"""An uploaded safetensors file -> arrays and metadata, each claim of its header checked before it is used.

Layout: 8 bytes, little-endian: the length of a JSON header; the header: name -> {"dtype", "shape", "data_offsets"}, and
"__metadata__": text -> text; then the bytes of the tensors, without gaps. Nothing in it is ever executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import BrokenJSON, InvalidContent
from service.intake.json_body import pointer_to, read_value
from service.intake.kinds.numbers import from_bfloat16

AT = "/weights"
"""The pointer of faults of the file."""
HEADER_LIMIT = 16 * 2**20
MOST_TENSORS = 20_000
MOST_NAMES = 4 * MOST_TENSORS + 1000
"""Members of all objects of a header: a tensor has its name and three members; the rest is metadata."""
LARGEST = 2**48
"""Most of a size, of an offset, and of elements of a tensor."""
MOST_DIMENSIONS = 8
DOUBLES = ("scale/", "values/")
"""Parts whose doubles stay doubles: scales of tables and codes of values, to which float32 is too coarse."""
DTYPES: dict[str, str] = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "<i1",
    "U8": "<u1",
    "BOOL": "<u1",
}


@dataclass(frozen=True, eq=False)
class Weights:
    """The content of a file. Floating-point tensors are float32, whatever they were, but for doubles that stay so, and
    finite."""

    tensors: dict[str, NDArray[Any]]
    metadata: dict[str, str]


def read_weights(data: bytes, doubles: Sequence[str] = DOUBLES) -> Weights:
    """The tensors of a file; `doubles`: how the names begin of those whose doubles stay. Raises InvalidContent with the
    reason."""
    header, start = _header(data)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _broken("its __metadata__ is not text by name")
    if len(header) > MOST_TENSORS:
        raise _broken(f"it has more than {MOST_TENSORS:,} tensors")
    spans = {name: _span(name, entry) for name, entry in header.items()}
    at = 0
    for name, (_, _, begin, end) in sorted(spans.items(), key=lambda item: item[1][2:]):
        if begin != at:
            raise _broken("its tensors overlap or leave gaps", name)
        at = end
    if at != len(data) - start:
        raise _broken(f"its tensors take {at:,} bytes, and {len(data) - start:,} follow the header")
    view = memoryview(data)[start:]
    stays = tuple(doubles)
    arrays = {
        name: _array(view[begin:end], name, dtype, shape, name.startswith(stays))
        for name, (dtype, shape, begin, end) in spans.items()
    }
    return Weights(arrays, metadata)


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    """-> the parsed header, and where the tensors begin"""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > len(data) - 8:
        raise _broken("its bytes are too few for its header: it is another kind of file, or not all of it arrived")
    if size > HEADER_LIMIT:
        raise _broken(f"its header is over {HEADER_LIMIT:,} bytes")
    try:
        header = read_value(data[8 : 8 + size], AT, MOST_NAMES)
    except BrokenJSON as error:
        raise _broken(error.detail.replace("The body", "its header", 1).removesuffix(".")) from None
    if not isinstance(header, dict):
        raise _broken("its header is not an object")
    return header, 8 + size


def _span(name: str, entry: Any) -> tuple[str, tuple[int, ...], int, int]:
    """-> dtype, shape, first byte, byte after the last. Raises InvalidContent."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise _broken("it has no dtype, shape and data_offsets", name)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise _broken(f"its type is none of {', '.join(DTYPES)}", name)
    if not _counts(shape) or len(shape) > MOST_DIMENSIONS:
        raise _broken("its shape is not a short list of whole numbers", name)
    if not _counts(offsets) or len(offsets) != 2:
        raise _broken("its data_offsets are not two whole numbers", name)
    begin, end = offsets
    if end - begin != prod(shape) * np.dtype(DTYPES[dtype]).itemsize:
        raise _broken("its shape and its bytes do not agree", name)
    if prod(n for n in shape if n) > LARGEST:
        raise _broken("its shape is too large, though it has no elements", name)
    return dtype, tuple(shape), begin, end


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n <= LARGEST for n in value)


def _array(data: memoryview, name: str, dtype: str, shape: tuple[int, ...], stays: bool) -> NDArray[Any]:
    raw: NDArray[Any] = np.frombuffer(data, DTYPES[dtype])
    if dtype == "BF16":
        raw = from_bfloat16(raw)
    if raw.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            raw = raw.astype(np.float64 if dtype == "F64" and stays else np.float32)
        if not np.isfinite(raw).all():
            raise _broken("it holds numbers that are not finite, or beyond a float32", name)
    return raw.reshape(shape)


def _broken(why: str, tensor: str | None = None) -> InvalidContent:
    if tensor is None:
        return InvalidContent.at(AT, f"The safetensors file cannot be read: {why}.")
    sentence = f'The safetensors file cannot be read: tensor "{tensor[:100]}": {why}.'
    return InvalidContent.at(AT + pointer_to([tensor]), sentence)
