"""Predictions: a small dispatcher in front of the framework, whose own path costs half the throughput.

The same routes are declared in the framework too, for the description of the interface; both call `ask`.
"""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray

from service.api.context import Context, Shared, version_number
from service.api.describing import refusals, takes
from service.api.limits import Receive, Scope, header, unless_gone
from service.api.validation import validated
from service.contract import requests, resources
from service.errors import InvalidContent, TooLarge
from service.intake.json_body import JsonBody, read_object
from service.intake.numbers import not_finite
from service.intake.quick import read_vectors
from service.intake.rows import read_row, read_rows
from service.serving.answers import Answer, check_classes
from service.serving.batching import NotFinite
from service.serving.live import Loaded

routes = APIRouter(tags=["predictions"])

PATH = re.compile(r"/v1/models/([^/]+)(?:/versions/([^/]+))?/predictions")
QUERY_BYTES = 8 * 1024
SMALL_BODY_BYTES = 64 * 1024
"""A longer body is decoded beside the event loop, and so is one with pictures in it."""
MOST_TOP = 1000
MOST_SOURCE = 200
TIMEOUT = b"tsuika-timeout-ms"
"""Header: milliseconds from now on after which the sender wants no answer any more."""
MOST_DIGITS = 8

Rows = NDArray[Any]


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a prediction, but for its rows. What it lets pass, requests.Predict lets pass, too."""

    inputs: Any
    top: Annotated[int, msgspec.Meta(ge=1, le=MOST_TOP)] = 1
    source: Annotated[str, msgspec.Meta(max_length=MOST_SOURCE)] | None = None


class Wish(NamedTuple):
    """How rows are to be answered."""

    top: int
    source: str | None = None


class Told(NamedTuple):
    """A whole answer."""

    version: int
    data: bytes


def asked(scope: Scope) -> tuple[str, str | None] | None:
    """The model and the version (null: the live one) that a request asks; null for any other request."""
    if scope["method"] not in ("GET", "POST") or not scope["path"].endswith("/predictions"):
        return None
    found = PATH.fullmatch(scope["path"])
    return (found[1], found[2]) if found else None


async def ask(shared: Context, name: str, version: str | None, scope: Scope, body: bytes, receive: Receive) -> Told:
    """Answer a GET or POST.

    Raises NotFound, NotLive, Erased, InvalidContent, BrokenJSON, TooLarge, Busy, DeadlinePassed, SenderGone.
    """
    loaded = await _loaded(shared, name, version)
    shared.batcher.admit()
    until = deadline(scope)
    posted = scope["method"] == "POST"
    read, body = (read_question, body) if posted else (read_query, scope["query_string"])
    if len(body) > SMALL_BODY_BYTES or (loaded.input.kind == "image" and _holds_pictures(body, posted)):
        inputs, wish = await asyncio.to_thread(read, body, loaded)
    else:
        inputs, wish = read(body, loaded)
    found = await answered(shared, loaded, inputs, wish.source, until, receive)
    return Told(found.version, found.json(wish.top))


async def answered(
    shared: Context, loaded: Loaded, inputs: Rows, source: str | None, until: float | None, receive: Receive
) -> Answer:
    """Rows by a version, together with those of others. Raises NotLive, InvalidContent, DeadlinePassed, SenderGone."""
    check_classes(loaded)
    batcher = shared.batcher
    waiting = batcher.ask(loaded.predictor, inputs, source, until)
    try:
        if batcher.crowded:
            await unless_gone(waiting, receive)
        return Answer(loaded, await waiting)
    except NotFinite as fault:
        raise not_finite(fault.row, fault.place, loaded.input) from None


def deadline(scope: Scope) -> float | None:
    """When the sender wants no answer any more, on the clock of the loop. Raises InvalidContent."""
    told = header(scope, TIMEOUT)
    if told is None:
        return None
    if not (told.isascii() and told.isdigit() and len(told) <= MOST_DIGITS):
        raise InvalidContent(f"Tsuika-Timeout-Ms is a whole number of milliseconds, with at most {MOST_DIGITS} digits.")
    return asyncio.get_running_loop().time() + int(told) / 1000


def _holds_pictures(body: bytes, posted: bool) -> bool:
    """Whether there may be files to decode: an object within a body, or in a query."""
    return body.count(b"{") > 1 if posted else b"{" in body or b"%7B" in body.upper()


async def _loaded(shared: Context, name: str, version: str | None) -> Loaded:
    live, number = shared.runtime.live, version_number(version) if version is not None else None
    if (loaded := live.find(name, number)) is not None:
        return loaded
    return await asyncio.to_thread(live.get, name) if number is None else await asyncio.to_thread(live.at, name, number)


def read_question(data: bytes, loaded: Loaded) -> tuple[Rows, Wish]:
    """Rows of a body, and how to answer them. Raises BrokenJSON, InvalidContent."""
    if loaded.input.kind == "vector" and (quick := read_vectors(data, loaded.input.size)) is not None:
        rows, top = quick
        if 1 <= top <= MOST_TOP:
            return rows, Wish(top)
    body = read_object(data)
    wish = read_wish(body)
    return read_rows(body.rows, loaded.input, loaded.model), wish


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
    if len(query) > QUERY_BYTES:
        raise TooLarge(f"The query is over {QUERY_BYTES:,} bytes. POST the rows instead.")
    try:
        given = dict(parse_qsl(query.decode(), keep_blank_values=True, errors="strict"))
    except UnicodeDecodeError:
        raise InvalidContent.at("/input", "The query is not UTF-8 in percent signs. POST the row instead.") from None
    for name in given:
        if name not in ("input", "top", "source"):
            raise InvalidContent.at("", f"{name[:100]} is not known here. Known are input, top and source.")
    if "input" not in given:
        raise InvalidContent.at("/input", "input is missing: one row, ?input=[0,3,...] or ?input=text.")
    top = given.get("top", "1")
    if not (top.isascii() and top.isdigit() and 1 <= int(top[:5]) <= MOST_TOP):
        raise InvalidContent.at("/top", f"top is a whole number from 1 to {MOST_TOP:,}.")
    if len(given.get("source", "")) > MOST_SOURCE:
        raise InvalidContent.at("/source", f"source has at most {MOST_SOURCE} characters.")
    return read_row(given["input"], loaded.input, loaded.model), Wish(int(top), given.get("source"))


QUERY: list[dict[str, Any]] = [
    {
        "name": "input",
        "in": "query",
        "required": True,
        "schema": {"type": "string"},
        "description": 'One row as JSON: [0, 3, ...], [c][h][w] or {"png": base64} of an image; a text as it is.',
        "example": "[0,3,7,1]",
    },
    {
        "name": "top",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST_TOP, "default": 1},
        "description": "Best classes to list.",
    },
    {
        "name": "source",
        "in": "query",
        "schema": {"type": "string", "maxLength": MOST_SOURCE},
        "description": "Where the row comes from: its own head answers where the version has one.",
    },
]
TOLD: dict[str, Any] = {
    "response_model": resources.Predictions,
    "responses": {
        200: {"description": "Best classes.", "headers": {"Tsuika-Version": {"schema": {"type": "integer"}}}},
        **refusals(404, 409, 410, 413),
    },
}
TOLD_POST: dict[str, Any] = {
    **TOLD,
    "responses": {**TOLD["responses"], **refusals(404, 409, 410, writes=True)},
    "openapi_extra": takes(requests.Predict),
}


@routes.get("/v1/models/{model}/predictions", openapi_extra={"parameters": QUERY}, **TOLD)
async def predict_row(request: Request, shared: Shared, model: str) -> Response:
    """Classify one row by the live version; for small inputs."""
    return _told(await ask(shared, model, None, request.scope, b"", request.receive))


@routes.post("/v1/models/{model}/predictions", **TOLD_POST)
async def predict_rows(request: Request, shared: Shared, model: str) -> Response:
    """Classify rows by the live version."""
    return _told(await ask(shared, model, None, request.scope, request.scope["tsuika.body"], request.receive))


@routes.get("/v1/models/{model}/versions/{version}/predictions", openapi_extra={"parameters": QUERY}, **TOLD)
async def predict_row_at(request: Request, shared: Shared, model: str, version: str) -> Response:
    """Classify one row by any version."""
    return _told(await ask(shared, model, version, request.scope, b"", request.receive))


@routes.post("/v1/models/{model}/versions/{version}/predictions", **TOLD_POST)
async def predict_rows_at(request: Request, shared: Shared, model: str, version: str) -> Response:
    """Classify rows by any version."""
    return _told(await ask(shared, model, version, request.scope, request.scope["tsuika.body"], request.receive))


def _told(told: Told) -> Response:
    return Response(told.data, 200, {"Tsuika-Version": str(told.version)}, "application/json")
