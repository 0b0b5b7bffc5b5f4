"""Input tensors of the Open Inference Protocol -> one array: numbers, image files or texts, as JSON or as bytes.

Numbers of any datatype become float32, exactly or rounded; the shape is checked before they are converted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from math import prod
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.contract.body_limits import HIGHEST, BodyLimits
from service.contract.figures import row_number
from service.contract.inputs import ImageInput, InputSpec, TextInput, VectorInput
from service.errors import InvalidContent
from service.intake.formats.raw import owned
from service.intake.kinds.images import read_base64, read_file
from service.intake.kinds.numbers import LARGEST, from_bfloat16, word
from service.intake.kinds.texts import read_texts

NAME = "input"
"""Name of the one tensor that a model takes."""
NUMBERS = {
    "FP32": "<f4",
    "FP64": "<f8",
    "FP16": "<f2",
    "BF16": "<u2",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
}
"""Datatypes that are taken -> how numpy reads their bytes."""
FLOATS = ("FP32", "FP64")
HALVES = ("FP16", "BF16")
"""Datatypes that JSON has no form for."""
LENGTH_BYTES = 4
"""Bytes of the length in front of each element of a BYTES tensor."""
MOST_DIMENSIONS = 8
Word = Annotated[str, msgspec.Meta(max_length=1000)]
Parameters = Annotated[dict[Word, str | bool | int | float], msgspec.Meta(max_length=100)]
Side = Annotated[int, msgspec.Meta(ge=-1, le=2**62)]


class Tensor(msgspec.Struct):
    """An input tensor: `data` as JSON, or as bytes once they are cut out of the body; None: neither."""

    name: Word
    shape: Annotated[list[Side], msgspec.Meta(max_length=MOST_DIMENSIONS)]
    datatype: Word
    parameters: Parameters = {}
    data: Any = None

    @property
    def binary_size(self) -> int | None:
        """How many of its bytes follow the JSON; None without that parameter. Raises InvalidContent."""
        size = self.parameters.get("binary_data_size")
        if size is None:
            return None
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise InvalidContent(f"binary_data_size of {self.name[:100]} is a whole number of bytes, 0 or more.")
        return size


def read_tensor(
    tensor: Tensor, spec: VectorInput | ImageInput | TextInput, model: str, limits: BodyLimits = HIGHEST
) -> NDArray[Any]:
    """The rows of `input`: vectors float32 [n, size], images float32 or uint8 [n, c, h, w], texts an object array [n].

    A number beyond float32 is infinite. Raises InvalidContent.
    """
    if tensor.datatype == "BYTES" and not isinstance(spec, VectorInput):
        return _from_bytes(tensor, spec, model, limits)
    if tensor.datatype not in NUMBERS or isinstance(spec, TextInput):
        raise InvalidContent(f"{model} takes no {tensor.datatype[:20]} as {NAME}. {_due(spec)}")
    shape = tuple(tensor.shape)
    if shape == spec.shape:
        raise InvalidContent(f"{NAME} is one bare row, and rows are due: its shape is {[1, *shape]}.")
    if len(shape) != 1 + len(spec.shape) or shape[1:] != spec.shape:
        raise InvalidContent(f"{NAME} has shape {shown(shape)}; {model} takes {[-1, *spec.shape]}.")
    _check_rows(shape)
    read = as_array if isinstance(tensor.data, memoryview) else _json_numbers
    numbers = read(tensor.datatype, tensor.data, shape)
    if numbers.dtype.itemsize <= 4:  # nothing overflows; arming numpy against it takes as long as the rest
        return owned(numbers, np.uint8 if numbers.dtype == np.uint8 and isinstance(spec, ImageInput) else np.float32)
    with np.errstate(over="ignore"):
        return owned(numbers, np.float32)


def as_array(datatype: str, data: memoryview, shape: tuple[int, ...], name: str = NAME) -> NDArray[Any]:
    """The numbers of a tensor as bytes. Raises InvalidContent."""
    kind = np.dtype(NUMBERS[datatype])
    due = prod(shape) * kind.itemsize
    if len(data) != due:
        raise InvalidContent(f"{name} has {len(data):,} bytes; {datatype} of shape {shown(shape)} has {due:,}.")
    numbers = np.frombuffer(data, kind).reshape(shape)
    return from_bfloat16(numbers) if datatype == "BF16" else numbers


def _json_numbers(datatype: str, data: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """Numbers of a flat list, or of lists nested as the shape is. Raises InvalidContent."""
    if isinstance(data, np.ndarray):  # read at once, a float64 each
        if data.size != prod(shape):
            raise _other_count(data.size, shape)
        return data.reshape(shape)
    if datatype in HALVES:
        raise InvalidContent(f"JSON has no form for {datatype}. Send {NAME} as binary data, or as FP32.")
    _check_list(data)
    whole, due = "INT" in datatype, prod(shape)
    nested = isinstance(data[0], list)
    if not nested and len(data) != due:
        raise _other_count(len(data), shape)
    try:
        lists = msgspec.convert(data, _lists(int if whole else float, len(shape) if nested else 1))
        numbers = np.array(lists, NUMBERS[datatype] if whole else np.float64)
    except (msgspec.ValidationError, ValueError, OverflowError):
        raise _faulty(datatype, data, shape) from None
    if nested and numbers.shape != shape:
        raise _faulty(datatype, data, shape)
    return numbers.reshape(shape)


@cache
def _lists(kind: type, depth: int) -> Any:
    return kind if depth == 0 else list[_lists(kind, depth - 1)]  # type: ignore[misc]


def _from_bytes(tensor: Tensor, spec: ImageInput | TextInput, model: str, limits: BodyLimits) -> NDArray[Any]:
    """Image files or texts, one an element. Raises InvalidContent."""
    shape = tuple(tensor.shape)
    if len(shape) not in (1, 2) or shape[1:] not in ((), (1,)):
        raise InvalidContent(f"{NAME} has shape {shown(shape)}; BYTES of {model} have [-1].")
    _check_rows(shape)
    if isinstance(spec, ImageInput):
        limits.check_pictures(shape[0], spec)
    data = tensor.data
    elements: Sequence[str | bytes] = cut(bytes(data)) if isinstance(data, memoryview) else _strings(data)
    if len(elements) != shape[0]:
        raise _other_count(len(elements), shape)
    if isinstance(spec, TextInput):
        return read_texts([text_of(element, k) for k, element in enumerate(elements)], spec, model)
    read = np.empty((len(elements), *spec.shape), np.uint8)
    for k, element in enumerate(elements):
        name = f"Row {row_number(k)}"
        file = element if isinstance(element, bytes) else read_base64(element, "", name)
        read[k] = read_file(file, spec, "", name, model)
    return read


def _strings(data: Any) -> list[str]:
    _check_list(data)
    elements = [item[0] if isinstance(item, list) and len(item) == 1 else item for item in data]
    for k, element in enumerate(elements):
        if not isinstance(element, str):
            raise InvalidContent(f"Row {row_number(k)} of {NAME} has {word(element)} where a string is due.")
    return elements


def cut(data: bytes, name: str = NAME) -> Sequence[bytes]:
    """The elements of a BYTES tensor: each a length in 4 bytes, little-endian, then so many bytes. Raises
    InvalidContent."""
    elements: list[bytes] = []
    at = 0
    while at < len(data):
        start = at + LENGTH_BYTES
        stop = start + int.from_bytes(data[at:start], "little")
        if start > len(data) or stop > len(data):
            raise InvalidContent(
                f"Row {row_number(len(elements))} of {name} is cut short: its length goes beyond the data."
            )
        elements.append(data[start:stop])
        at = stop
    return elements


def text_of(element: str | bytes, k: int, name: str = "Text") -> str:
    """An element of a BYTES tensor as text; k: its row. Raises InvalidContent."""
    if isinstance(element, str):
        return element
    try:
        return element.decode()
    except UnicodeDecodeError as error:
        raise InvalidContent(f"{name} {row_number(k)} is not UTF-8: byte {error.start} begins no character.") from None


def _check_rows(shape: tuple[int, ...]) -> None:
    if not shape[0] > 0:
        raise InvalidContent(f"{NAME} has shape {shown(shape)}. Send at least one row.")


def _check_list(data: Any) -> None:
    if not isinstance(data, list) or not data:
        received = "an empty list" if data == [] else word(data)
        raise InvalidContent(f"data of {NAME} is {received} where a list of its elements is due.")


def _other_count(count: int, shape: tuple[int, ...]) -> InvalidContent:
    return InvalidContent(f"{NAME} has {count:,} elements; shape {shown(shape)} has {prod(shape):,}.")


def _faulty(datatype: str, data: list[Any], shape: tuple[int, ...]) -> InvalidContent:
    """The refusal of numbers that could not be converted: the first wrong one, else how they are nested."""
    whole, a_row = "INT" in datatype, prod(shape[1:])
    limits = np.iinfo(NUMBERS[datatype]) if whole else None
    least, most = (int(limits.min), int(limits.max)) if limits else (-LARGEST, LARGEST)
    for k, leaf in enumerate(_leaves(data)):
        if type(leaf) in (int, float) and least <= leaf <= most and not (whole and type(leaf) is float):
            continue
        row = f"Row {row_number(k // a_row)} of {NAME}"
        if type(leaf) not in (int, float):
            return InvalidContent(f"{row} has {word(leaf)} where {'a whole number' if whole else 'a number'} is due.")
        if whole:
            return InvalidContent(f"{row} has a number that is no {datatype}. Send FP32, or numbers in its range.")
        if type(leaf) is int:
            return InvalidContent(f"{row} has a number beyond what a float32 can hold (3.4e38).")
    return InvalidContent(f"data of {NAME} is neither a flat list nor lists nested as its shape {shown(shape)} says.")


def _leaves(data: list[Any]) -> Iterator[Any]:
    waiting: list[Any] = [data]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(reversed(item))
        else:
            yield item


def _due(spec: InputSpec) -> str:
    if isinstance(spec, TextInput):
        return "Send texts as BYTES, [-1]."
    files = ", or BYTES that hold PNG or JPEG files, [-1]" if isinstance(spec, ImageInput) else ""
    return f"Send FP32, {[-1, *spec.shape]}{files}."


def shown(shape: Sequence[int]) -> str:
    """A shape in a refusal."""
    return str(list(shape))[:100]
