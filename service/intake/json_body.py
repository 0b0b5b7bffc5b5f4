"""A JSON body, read strictly: what the standard decoders let pass in silence is refused here, with a pointer.

Refused: NaN, Infinity and numbers beyond a double, a member that is there twice, half of a surrogate pair, bytes that
are not UTF-8, nesting without end. Rows are most of a body and are left as raw bytes for a fast decoder; the rest is
small.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from service.errors import BrokenJSON, InvalidContent

ROWS = "inputs"
"""The member that holds rows."""
LEFT_RAW_BYTES = 256
"""Rows shorter than this are not worth cutting out."""
_HALF = re.compile(rb"\\u[dD][89abcdefABCDEF]")


@dataclass(frozen=True)
class JsonBody:
    """A checked object. `text` is JSON of all its members; rows that were cut out stand there as an empty list."""

    members: dict[str, Any]
    text: bytes
    rows: msgspec.Raw | Any = None


def read_object(data: bytes) -> JsonBody:
    """The object that a body holds. Raises BrokenJSON, InvalidContent."""
    try:
        raws = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        members = _checked(data)  # says what is wrong, or knows better
        return JsonBody(members, data, members.get(ROWS))
    rows = raws.get(ROWS)
    if rows is None or len(bytes_of := memoryview(rows)) < LEFT_RAW_BYTES:
        members = _checked(data)
        return JsonBody(members, data, members.get(ROWS))
    start = _address(bytes_of) - _address(data)
    text = b"".join((data[:start], b"[]", data[start + len(bytes_of) :]))
    return JsonBody(_checked(text), text, rows)


def read_value(data: bytes, pointer: str) -> Any:
    """Any JSON value, checked the same way. Raises BrokenJSON, InvalidContent."""
    return _parsed(data, pointer)


def _address(data: bytes | memoryview) -> int:
    return int(np.frombuffer(data, np.uint8).__array_interface__["data"][0])


def _checked(data: bytes) -> dict[str, Any]:
    value = _parsed(data, "")
    if not isinstance(value, dict):
        raise InvalidContent("The body is a JSON object: {...}.", [("", "An object is due here.")])
    return value


class _Twice(dict[str, Any]):
    """An object that names a member twice."""

    name: str


class _Hooks:
    """What json.loads calls back; `suspicious` once anything passed that must not."""

    def __init__(self, suspicious: bool) -> None:
        self.suspicious = suspicious

    def constant(self, _word: str) -> float:
        self.suspicious = True
        return math.nan

    def number(self, text: str) -> float:
        value = float(text)
        self.suspicious = self.suspicious or not math.isfinite(value)
        return value

    def object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) == len(pairs):
            return made
        self.suspicious = True
        names = [name for name, _ in pairs]
        twice = _Twice(made)
        twice.name = next(n for n in names if names.count(n) > 1)
        return twice


def _parsed(data: bytes, at: str) -> Any:
    hooks = _Hooks(bool(_HALF.search(data)))
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=hooks.object,
            parse_constant=hooks.constant,
            parse_float=hooks.number,
        )
        if hooks.suspicious:
            for pointer, sentence in _faults(value, at):
                raise InvalidContent.at(pointer, sentence)
    except UnicodeDecodeError as error:
        raise BrokenJSON(f"The body is not UTF-8: byte {error.start} begins no character.") from None
    except json.JSONDecodeError as error:
        raise BrokenJSON(f"The body is not JSON: {error.msg}, line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise BrokenJSON("The body is nested too deeply.") from None
    except ValueError:
        raise BrokenJSON("The body has a whole number of more than 4,300 digits.") from None
    return value


def _faults(value: Any, at: str) -> Iterator[tuple[str, str]]:
    """Where something stands that JSON or text must not hold, depth first."""
    if isinstance(value, float) and not math.isfinite(value):
        yield at, "A finite number is due here: JSON has no NaN and no Infinity, and 1e999 is beyond a double."
    elif isinstance(value, str) and not _is_text(value):
        yield at, "This text holds half of a surrogate pair. Send whole characters."
    elif isinstance(value, list):
        for k, item in enumerate(value):
            yield from _faults(item, f"{at}/{k}")
    elif isinstance(value, dict):
        if isinstance(value, _Twice):
            yield _into(at, value.name), "This member is there twice. Send it once."
        for name, item in value.items():
            if not _is_text(name):
                yield at, "The name of a member holds half of a surrogate pair. Send whole characters."
            else:
                yield from _faults(item, _into(at, name))


def _into(at: str, name: str) -> str:
    """The JSON pointer of a member (RFC 6901); a name beyond reason is cut."""
    shown = name.encode("utf-8", "replace").decode()[:100]
    return f"{at}/{shown.replace('~', '~0').replace('/', '~1')}"


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
