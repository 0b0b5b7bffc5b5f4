"""A strict reader of JSON bodies: what the standard decoders accept silently is refused here, with a pointer.

Refused are NaN, Infinity and numbers beyond a double, repeated members, half of a surrogate pair, bytes that are not
UTF-8, deep nesting, and thousands of objects and lists, or long lists, where a few are due. Rows are most of a body and
are left as raw bytes for a fast decoder; the rest is small.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from service.contract.body_limits import MOST_DEPTH, MOST_ROWS
from service.contract.inputs import MOST_NUMBERS
from service.errors import BrokenJSON, InvalidContent

ROWS, LABELS, TARGETS, GROUPS = "inputs", "labels", "targets", "groups"
"""The members that hold rows, their labels or targets, and their groups."""
IS_CSV = "Is this a CSV file? Send Content-Type: text/csv."
MOST_MEMBERS = 1_000
"""Members of all objects of a body together, and lists in it, but for its rows: each takes a hundred times its text in
memory, and no well-meant body comes near."""
MODEL_MEMBERS = 10_000
"""The same of a body that makes a model, which may describe a thousand columns."""
CORRECTION_MEMBERS = 20_100
"""The same of a body that corrects 10,000 rows, each of which may have a list of targets."""
MOST_VALUES = 20_000
"""Values of all lists of a body together, but for its rows, labels and targets: 10,000 names or ids are the most that
is asked for. A value of a list that is refused takes up to 350 bytes."""
MODEL_VALUES = 220_000
"""The same of a body that makes a model: two numbers for each of 100,000 columns, and 10,000 classes."""
LEFT_RAW_BYTES = 256
"""Rows shorter than this are not worth cutting out."""
_HALF = re.compile(rb"\\u[dD][89abcdefABCDEF]")


@dataclass(frozen=True)
class JsonBody:
    """A checked object. `text`: JSON of all its members; those that were cut out, rows, labels, targets or groups, are
    empty lists there."""

    members: dict[str, Any]
    text: bytes
    rows: msgspec.Raw | Any = None
    labels: msgspec.Raw | Any = None
    targets: msgspec.Raw | Any = None
    groups: msgspec.Raw | Any = None


def read_object_or_csv(data: bytes, apart: tuple[str, ...] = (ROWS,), depth: int = MOST_DEPTH) -> JsonBody:
    """As `read_object`, where rows may come as a CSV file, too. Raises BrokenJSON, InvalidContent."""
    try:
        return read_object(data, apart, depth=depth)
    except BrokenJSON as broken:
        begins = data[:LEFT_RAW_BYTES].removeprefix(codecs.BOM_UTF8).lstrip()[:1]
        if not begins or begins in b"{[":
            raise
        raise BrokenJSON(f"{broken.detail} {IS_CSV}") from None


def read_object(
    data: bytes,
    apart: tuple[str, ...] = (ROWS,),
    most: int = MOST_MEMBERS,
    values: int = MOST_VALUES,
    depth: int = MOST_DEPTH,
) -> JsonBody:
    """The object that a body holds; long members that are named in `apart` are cut out. What is left has at most so
    many members of objects, and lists, and so many values of lists, and so many of them within one another.

    Raises BrokenJSON, InvalidContent.
    """
    try:
        raws = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        members = _read_checked(data, MOST_ROWS)  # finds the fault, or takes what msgspec does not
        check_depth(data, members, depth)
        check_few(data, members, most=most, values=values)
        return JsonBody(members, data, *map(members.get, (ROWS, LABELS, TARGETS, GROUPS)))
    cut = {name: raws[name] for name in apart if name in raws and _is_worth_cutting(name, raws[name])}
    text = _without(data, cut)
    members = _read_checked(text, most)
    check_depth(text, members, depth)
    check_few(text, members, most=most, values=values)
    whole = {**members, **cut}
    return JsonBody(members, text, *map(whole.get, (ROWS, LABELS, TARGETS, GROUPS)))


def read_value(data: bytes, pointer: str, most: int = MOST_ROWS) -> Any:
    """A JSON value, checked strictly, with `most` members of objects at most. Raises BrokenJSON, InvalidContent."""
    hooks = _Hooks(bool(_HALF.search(data)), most, pointer)
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=hooks.object,
            parse_constant=hooks.constant,
            parse_float=hooks.number,
        )
    except UnicodeDecodeError as error:
        raise BrokenJSON(f"The body is not UTF-8: byte {error.start} begins no character.") from None
    except json.JSONDecodeError as error:
        raise BrokenJSON(f"The body is not JSON: {error.msg}, line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise BrokenJSON("The body is nested too deeply.") from None
    except ValueError:
        raise BrokenJSON("The body has a whole number of more than 4,300 digits.") from None
    if hooks.suspicious and (fault := _first_fault(value, pointer)) is not None:
        raise fault
    return value


def pointer_to(steps: Iterable[int | str]) -> str:
    """The JSON pointer (RFC 6901) to a place; the names of its steps are cut after 100 characters."""
    names = (str(step).encode("utf-8", "replace").decode()[:100] for step in steps)
    return "".join(f"/{name.replace('~', '~0').replace('/', '~1')}" for name in names)


def hash_of(value: Any) -> str:
    """SHA-256 of a parsed JSON value in canonical form: white space and the order of members do not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _is_worth_cutting(name: str, raw: msgspec.Raw) -> bool:
    """Whether a member is long: rows of any type, the others where they are a list."""
    text = memoryview(raw)
    return len(text) >= LEFT_RAW_BYTES and (name == ROWS or text.tobytes().startswith(b"["))


def check_few(text: bytes, value: Any, pointer: str = "", most: int = MOST_MEMBERS, values: int = MOST_VALUES) -> None:
    """Raises InvalidContent where a value, parsed from `text`, has more members or lists, or more values in them, than
    any body needs."""
    few = text.count(b",") < min(values, MOST_NUMBERS)
    if few and text.count(b"[") <= most and text.count(b":") <= most:
        return
    lists = members = listed = 0
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            lists, listed, children = lists + 1, listed + len(item), item
            if listed > values or len(item) > MOST_NUMBERS:
                raise _too_long(values, pointer)
        elif isinstance(item, dict):
            members, children = members + len(item), list(item.values())
        else:
            continue
        if max(lists, members) > most:
            raise _too_many(most, pointer)
        pending += [child for child in children if isinstance(child, list | dict)]


def _too_many(most: int, pointer: str) -> InvalidContent:
    sentence = (
        f"This has more than {most:,} members of objects, or lists, beside its rows. Send what is asked for alone."
    )
    return InvalidContent.at(pointer, sentence)


def _too_long(values: int, pointer: str) -> InvalidContent:
    in_one = f", or {MOST_NUMBERS:,} in one of them" if values > MOST_NUMBERS else ""
    sentence = f"Its lists have more than {values:,} values{in_one}, beside its rows. Send what is asked for alone."
    return InvalidContent.at(pointer, sentence)


def _without(data: bytes, cut: Mapping[str, msgspec.Raw]) -> bytes:
    """The text with an empty list in place of each value that is cut out."""
    if not cut:
        return data
    begin, pieces, at = _address(data), list[bytes](), 0
    texts = [memoryview(raw) for raw in cut.values()]
    for address, length in sorted((_address(text), len(text)) for text in texts):
        pieces += [data[at : address - begin], b"[]"]
        at = address - begin + length
    return b"".join((*pieces, data[at:]))


def _address(data: bytes | memoryview) -> int:
    return int(np.frombuffer(data, np.uint8).__array_interface__["data"][0])


def _read_checked(data: bytes, most: int) -> dict[str, Any]:
    value = read_value(data, "", most)
    if not isinstance(value, dict):
        raise InvalidContent("The body is a JSON object: {...}.", [("", "An object is due here.")])
    return value


def check_depth(text: bytes, value: Any, depth: int) -> None:
    """Raises BrokenJSON where a value, parsed from `text`, has more than `depth` lists and objects within one
    another."""
    if text.count(b"[") + text.count(b"{") <= depth:
        return
    level = [value]
    for _ in range(depth):
        children = (child for item in level for child in (item.values() if isinstance(item, dict) else item))
        if not (level := [child for child in children if isinstance(child, list | dict)]):
            return
    raise BrokenJSON(f"The body is nested too deeply: {depth} lists and objects within one another are the most.")


class _Twice(dict[str, Any]):
    """An object that names a member twice."""

    name: str


class _Hooks:
    """The hooks of json.loads; `suspicious` once anything passed that must be refused."""

    def __init__(self, suspicious: bool, most: int, pointer: str) -> None:
        self.suspicious = suspicious
        self._left, self._most, self._at = most, most, pointer

    def constant(self, _word: str) -> float:
        self.suspicious = True
        return math.nan

    def number(self, text: str) -> float:
        value = float(text)
        self.suspicious = self.suspicious or not math.isfinite(value)
        return value

    def object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self._left -= len(pairs) or 1
        if self._left < 0:
            raise _too_many(self._most, self._at)
        made = dict(pairs)
        if len(made) == len(pairs):
            return made
        self.suspicious = True
        times = Counter(name for name, _ in pairs)
        twice = _Twice(made)
        twice.name = next(name for name in times if times[name] > 1)
        return twice


def _first_fault(value: Any, at: str) -> InvalidContent | None:
    """The refusal of the first thing, depth first, that JSON or text must not hold."""
    steps: list[str] = []
    waiting: list[Iterator[tuple[str | int, Any]]] = []
    while True:
        if (fault := _fault_of(value)) is not None:
            place = [*steps, fault[0]] if fault[0] is not None else steps
            return InvalidContent.at(at + pointer_to(place), fault[1])
        if isinstance(value, list | dict):
            waiting.append(iter(value.items() if isinstance(value, dict) else enumerate(value)))
            steps.append("")
        while waiting and (following := next(waiting[-1], None)) is None:
            waiting.pop()
            steps.pop()
        if not waiting:
            return None
        assert following is not None
        steps[-1], value = str(following[0]), following[1]


def _fault_of(value: Any) -> tuple[str | None, str] | None:
    """-> the member at fault, if it is one, and the sentence; None where nothing is wrong with the value itself."""
    if isinstance(value, float) and not math.isfinite(value):
        return None, "A finite number is due here: JSON has no NaN and no Infinity, and 1e999 is beyond a double."
    if isinstance(value, str) and not is_text(value):
        return None, "This text holds half of a surrogate pair. Send whole characters."
    if isinstance(value, _Twice):
        return value.name, "This member is there twice. Send it once."
    if isinstance(value, dict) and not all(map(is_text, value)):
        return None, "The name of a member holds half of a surrogate pair. Send whole characters."
    return None


def is_text(value: str) -> bool:
    """Whether bytes can encode it: it holds no half of a surrogate pair."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
