"""What a prediction asks: rows, as JSON, raw numbers, an array or an image, and how they are to be answered."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from typing import Annotated, Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl

import msgspec
from numpy.typing import NDArray

from service.api.limits.request_checks import Scope, check_query, header, media_type
from service.api.validation import validated
from service.contract import requests
from service.contract.media import JPEG, PNG
from service.contract.requests import LONGEST_SOURCE
from service.errors import DeadlinePassed, InvalidContent
from service.intake.fast_json import read_usual, read_wide
from service.intake.json_body import JsonBody, read_object
from service.intake.raw import READERS
from service.intake.rows import read_row, read_rows
from service.serving.loaded_versions import Loaded

SMALL_BODY_BYTES = 64 * 1024
"""A longer body is decoded beside the event loop, and so is one with pictures in it."""
STRICT_BODY_BYTES = 16 * 1024
"""The same of JSON that the quick reader does not take: the strict ones take half a microsecond a byte where a row is
wrong."""
MOST_TOP = 1000
TIMEOUT = b"tsuika-timeout-ms"
"""Header: milliseconds from now on after which the sender wants no answer any more."""
MOST_DIGITS = 8
READ = "tsuika.question"
"""In the scope: what `read` gives, where it was read before the answer turned out to be long."""

Rows = NDArray[Any]
T = TypeVar("T")


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a prediction, but for its rows. What it lets pass, requests.Predict lets pass, too."""

    inputs: Any
    top: Annotated[int, msgspec.Meta(ge=1, le=MOST_TOP)] = 1
    source: Annotated[str, msgspec.Meta(max_length=LONGEST_SOURCE)] | None = None


class Wish(NamedTuple):
    """How rows are to be answered."""

    top: int
    source: str | None = None


def asked_by(scope: Scope, methods: tuple[str, ...], path: re.Pattern[str]) -> tuple[str, str | None] | None:
    """The model and the version (null: the live one) that a path of two groups names; null for any other request."""
    found = path.fullmatch(scope["path"]) if scope["method"] in methods else None
    return (found[1], found[2]) if found else None


async def read(scope: Scope, body: bytes, loaded: Loaded) -> tuple[Rows, Wish]:
    """The question of a GET or POST, if nobody has read it yet; a large one is decoded beside the event loop.

    Raises BrokenJSON, InvalidContent, TooLarge, UnsupportedMedia.
    """
    found = scope.pop(READ, None) or read_at_once(scope, body, loaded)
    return found if found is not None else await asyncio.to_thread(_read, scope, media_type(scope), body, loaded)


def read_at_once(scope: Scope, body: bytes, loaded: Loaded) -> tuple[Rows, Wish] | None:
    """The same, where that takes less time than a thread; else null."""
    media = media_type(scope)
    if _is_long(scope, media, body, loaded):
        return None
    if len(body) > STRICT_BODY_BYTES and media not in READERS:
        no_query(scope["query_string"])
        return _read_quickly(body, loaded)
    return _read(scope, media, body, loaded)


def _is_long(scope: Scope, media: str, body: bytes, loaded: Loaded) -> bool:
    """Whether decoding takes so long that others would notice."""
    images = loaded.input.kind == "image"
    if scope["method"] != "POST":
        query: bytes = scope["query_string"]
        return images and (b"{" in query or b"%7B" in query.upper())
    if media in READERS:
        return media in (PNG, JPEG)
    return len(body) > SMALL_BODY_BYTES or (images and body.count(b"{") > 1)


def _read(scope: Scope, media: str, body: bytes, loaded: Loaded) -> tuple[Rows, Wish]:
    if scope["method"] != "POST":
        return read_query(scope["query_string"], loaded)
    reader = READERS.get(media)
    if reader is None:
        no_query(scope["query_string"])
        return read_question(body, loaded)
    wish = read_wish_of_query(scope["query_string"])
    return reader(body, loaded.input, loaded.model), wish


def read_question(data: bytes, loaded: Loaded) -> tuple[Rows, Wish]:
    """Rows of a JSON body, and how to answer them; usual vectors stay float64 until they pass together. Raises
    BrokenJSON, InvalidContent."""
    if (quick := _read_quickly(data, loaded)) is not None:
        return quick
    body = read_object(data)
    wish = read_wish(body)
    return read_rows(body.rows, loaded.input, loaded.model), wish


def _read_quickly(data: bytes, loaded: Loaded) -> tuple[Rows, Wish] | None:
    """The same of the usual body; null of any other."""
    if loaded.input.kind == "text":
        return None
    read_quickly = read_wide if loaded.input.kind == "vector" else read_usual
    quick = read_quickly(data, loaded.input.shape)
    return (quick[0], Wish(quick[1])) if quick is not None and 1 <= quick[1] <= MOST_TOP else None


def read_wish(body: JsonBody) -> Wish:
    """`top` and `source` of a body. The quick reader only ever says yes; what it does not take, pydantic explains."""
    try:
        quick = msgspec.convert(body.members, Question)
        return Wish(quick.top, quick.source)
    except msgspec.ValidationError:
        slow = validated(requests.Predict, body)
        return Wish(slow.top, slow.source)


def read_query(query: bytes, loaded: Loaded) -> tuple[Rows, Wish]:
    """Row of a query, and how to answer it. Raises InvalidContent, TooLarge."""
    given = _members(query, ("input", "top", "source"))
    if "input" not in given:
        raise InvalidContent.at("/input", "input is missing: one row, ?input=[0,3,...] or ?input=text.")
    wish = _wish(given)
    return read_row(given["input"], loaded.input, loaded.model), wish


def read_wish_of_query(query: bytes) -> Wish:
    """How to answer rows that are the whole body. Raises InvalidContent, TooLarge."""
    return _wish(_members(query, ("top", "source"))) if query else Wish(1)


def no_query(query: bytes) -> None:
    """A JSON body says all itself. Raises InvalidContent, TooLarge where the query says something, too."""
    for name in _members(query, ("top", "source")) if query else ():
        raise InvalidContent.at(f"/{name}", f"A JSON body says {name} itself: put it there, not into the query.")


def _members(query: bytes, known: tuple[str, ...]) -> dict[str, str]:
    """The members of a query by name. Raises InvalidContent, TooLarge."""
    check_query(query)
    try:
        said = parse_qsl(query.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        told = "The query is not UTF-8 in percent signs. POST the row instead."
        raise InvalidContent.at(f"/{known[0]}", told) from None
    given = dict(said)
    if len(given) < len(said):
        raise InvalidContent.at("", "The query says something twice.")
    for name in given:
        if name not in known:
            listed = f"{', '.join(known[:-1])} and {known[-1]}"
            raise InvalidContent.at("", f"{name[:100]} is not known here. Known are {listed}.")
    return given


def _wish(given: dict[str, str]) -> Wish:
    """Raises InvalidContent."""
    top = given.get("top", "1")
    if not (top.isascii() and top.isdigit() and len(top) <= MOST_DIGITS and 1 <= int(top) <= MOST_TOP):
        raise InvalidContent.at("/top", f"top is a whole number from 1 to {MOST_TOP:,}.")
    if len(given.get("source", "")) > LONGEST_SOURCE:
        raise InvalidContent.at("/source", f"source has at most {LONGEST_SOURCE} characters.")
    return Wish(int(top), given.get("source"))


async def in_time(what: Awaitable[T], until: float | None) -> T:
    """What is waited for, but no longer than the sender waits. Raises DeadlinePassed."""
    limit = asyncio.timeout_at(until)
    try:
        async with limit:
            return await what
    except TimeoutError:
        if not limit.expired():
            raise
        raise DeadlinePassed("The time that the request gave was over before the version was loaded.") from None


def deadline(scope: Scope) -> float | None:
    """When the sender wants no answer any more, on the clock of the loop. Raises InvalidContent."""
    told = header(scope, TIMEOUT)
    if told is None:
        return None
    if not (told.isascii() and told.isdigit() and len(told) <= MOST_DIGITS):
        raise InvalidContent(f"Tsuika-Timeout-Ms is a whole number of milliseconds, with at most {MOST_DIGITS} digits.")
    return asyncio.get_running_loop().time() + int(told) / 1000
