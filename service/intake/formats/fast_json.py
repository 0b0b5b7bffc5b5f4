"""A fast reader of the usual body of a prediction, {"inputs": [row, ...]} of numbers; and of flat lists.

simdjson parses a document and hands a list of numbers over as one buffer: less than half the time of a decoder that
makes a Python object a number (784 numbers: 8.6 against 19.8 microseconds). The reader refuses nothing: any other body
is None here, and the strict readers take or refuse it.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

import numpy as np
import simdjson
from numpy.typing import NDArray

from service.intake.kinds.numbers import narrowed

IN_NUMBERS = b"0123456789.-+eE \t\n\r"
"""Characters of numbers, and between them."""


class _Parsers(threading.local):
    """A parser a thread: it keeps its memory from one document to the next."""

    def __init__(self) -> None:
        self.parser = simdjson.Parser()


_parsers = _Parsers()

Usual = tuple[NDArray[Any], int | None, float | None]
"""Rows, `top` and `level`; None where the body does not say it."""


def read_usual(body: bytes, shape: tuple[int, ...]) -> Usual | None:
    """Reads a body of rows, alone or with `top` or `level`; rows [n, *shape] as `read_numbers` gives them. None for any
    other body.

    A number beyond float32 is infinite.
    """
    if (parsed := read_wide(body, shape)) is None:
        return None
    with np.errstate(over="ignore"):
        return narrowed(parsed[0]), parsed[1], parsed[2]


def read_wide(body: bytes, shape: tuple[int, ...]) -> Usual | None:
    """As `read_usual`, with rows as they were parsed: float64."""
    try:
        return _read(body, shape)
    except (ValueError, TypeError, KeyError, RuntimeError):  # no JSON, no numbers, no such member, a huge number
        _parsers.parser = simdjson.Parser()  # objects of the last document may live on in the error
        return None


def read_floats(text: bytes) -> NDArray[np.float64] | None:
    """A flat list of numbers -> [n] float64; None where it is anything else, or empty."""
    try:
        numbers = _parsers.parser.parse(text)
        if not isinstance(numbers, simdjson.Array) or not len(numbers) or text.count(b"[") != 1:
            return None
        return np.frombuffer(numbers.as_buffer(of_type="d"), np.float64)
    except (ValueError, TypeError, RuntimeError):
        _parsers.parser = simdjson.Parser()
        return None


def _read(body: bytes, shape: tuple[int, ...]) -> Usual | None:
    if not body.startswith(b"{"):  # a byte-order mark would pass
        return None
    document = _parsers.parser.parse(body)
    if not isinstance(document, simdjson.Object) or len(document) > 2:
        return None
    rows = document["inputs"]
    top: Any = None
    level: Any = None
    if len(document) == 2:
        top, level = document.get("top"), document.get("level")
        if type(top) is not int and type(level) is not float:  # another member, null, or rows twice
            return None
    if not isinstance(rows, simdjson.Array) or not (n := len(rows)):
        return None
    one_list = n == 1 and len(shape) == 1 and body.find(b"[", body.find(b"[") + 1) == body.rfind(b"[")
    if not one_list and not _are_rows_of(body, n, shape):  # the buffer is flat, whatever lists there are
        return None
    numbers = np.frombuffer(rows.as_buffer(of_type="d"), np.float64)
    return numbers.reshape(n, *shape), top, level  # ValueError where the one list has another length


def _are_rows_of(body: bytes, rows: int, shape: tuple[int, ...]) -> bool:
    """Whether the lists have the shape of the rows: the buffer is flat, but the text without its numbers shows it."""
    marks = body.translate(None, IN_NUMBERS)
    marks, row = marks[marks.index(b"[") : marks.rindex(b"]") + 1], _marks(shape)
    if len(marks) != rows * (len(row) + 1) + 1:  # rows of few numbers, where many are due, would come to gigabytes
        return False
    return marks == b"[%b]" % b",".join([row] * rows)


@lru_cache(maxsize=64)
def _marks(shape: tuple[int, ...]) -> bytes:
    """Brackets and commas of one row."""
    return b"[%b]" % b",".join([_marks(shape[1:])] * shape[0]) if shape else b""
