"""Predictions: a small dispatcher in front of the framework, whose own path costs half the throughput.

The same routes are declared in the framework too, for the description of the interface; both call `ask`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from service.api.bodies import prediction_bodies, row_bodies
from service.api.bodies.prediction_bodies import MOST_TOP, Rows, Wish
from service.api.context import Context, Shared
from service.api.limits.long_answers import MOST_SCORES, Told, check_scores
from service.api.limits.request_checks import Receive, Scope, unless_gone
from service.api.openapi import TIMEOUT, refusals, takes
from service.api.reader.spool import Spooled
from service.contract import requests, resources
from service.contract.media import JPEG, NPY, PNG, RAW
from service.intake.numbers import not_finite
from service.serving.answers import Answer, check_classes, is_long
from service.serving.batching.passes import NotFinite
from service.serving.loaded_versions import Loaded

routes = APIRouter(tags=["predictions"])

FEWER = "Ask for fewer (top), or send the rows in several requests."
PATH = re.compile(r"/v1/models/([^/]+)(?:/versions/([^/]+))?/predictions")


def asked(scope: Scope) -> tuple[str, str | None] | None:
    """The model and the version (null: the live one) that a request asks; null for any other request."""
    return prediction_bodies.asked_by(scope, ("GET", "POST"), PATH)


async def ask(
    shared: Context, name: str, version: str | None, scope: Scope, body: bytes | Spooled, receive: Receive
) -> Told:
    """Answer a GET or POST.

    Raises NotFound, NotLive, Erased, InvalidContent, BrokenJSON, TooLarge, UnsupportedMedia, Busy, DeadlinePassed,
    DiskFull, SenderGone.
    """
    until = prediction_bodies.deadline(scope)
    loaded = await prediction_bodies.in_time(shared.runtime.live.asked(name, version), until)
    shared.batcher.admit(loaded.predictor)
    body = row_bodies.spool_if_heavy(shared, scope, body, loaded.input)
    if isinstance(body, Spooled):
        inputs, wish = await row_bodies.question(shared, scope, body, loaded)
    else:
        inputs, wish = await prediction_bodies.read(scope, body, loaded)
    long, classes = is_long(loaded, len(inputs), wish.top), min(wish.top, len(loaded.predictor.names))
    if long:
        if classes > 1:
            check_scores(len(inputs), classes, MOST_SCORES, "/top", FEWER)
        shared.answers.admit(scope, len(inputs) * classes)
    found = await answered(shared, loaded, inputs, wish, until, receive)
    if not long:
        return Told(found.json(wish.top), [version_header(found)])
    return await shared.answers.told(scope, partial(found.pieces, wish.top), [version_header(found)])


def version_header(answer: Answer) -> tuple[bytes, bytes]:
    """Which version answered."""
    return b"tsuika-version", b"%d" % answer.version


async def answered(
    shared: Context, loaded: Loaded, inputs: Rows, wish: Wish, until: float | None, receive: Receive
) -> Answer:
    """Rows by a version, together with those of others. Raises NotLive, InvalidContent, Busy, DeadlinePassed,
    SenderGone."""
    check_classes(loaded)
    batcher = shared.batcher
    batcher.admit(loaded.predictor, len(inputs))
    waiting = batcher.ask(loaded.predictor, inputs, wish.source, until, wish.top)
    try:
        if batcher.crowded:
            await unless_gone(waiting, receive)
        return Answer(loaded, await waiting)
    except NotFinite as fault:
        raise not_finite(fault.row, fault.place, loaded.input) from None


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
        "description": "Best classes to list, where rows are the whole body; a JSON body says it itself.",
    },
    {
        "name": "source",
        "in": "query",
        "schema": {"type": "string", "maxLength": requests.LONGEST_SOURCE},
        "description": "Where rows come from, likewise: their own head answers where the version has one.",
    },
]
ASKED = {"parameters": [*QUERY, TIMEOUT]}
TOLD: dict[str, Any] = {
    "response_model": resources.Predictions,
    "responses": {
        200: {"description": "Best classes.", "headers": {"Tsuika-Version": {"schema": {"type": "integer"}}}},
        **refusals(404, 409, 410, 413, 504),
    },
}
BARE = {
    RAW: "Rows of little-endian float32, one after the other.",
    NPY: "A numpy file: float32, float64 or uint8, (rows, ...).",
    PNG: "One image, for a model of images.",
    JPEG: "One image, for a model of images.",
}


def _takes_rows() -> dict[str, Any]:
    """Bodies of a POST: JSON, or rows alone, whose `top` and `source` stand in the query."""
    extra = takes(requests.Predict, *QUERY[1:], TIMEOUT)
    content = extra["requestBody"]["content"]
    for media, what in BARE.items():
        content[media] = {"schema": {"type": "string", "format": "binary", "description": what}}
    return extra


TOLD_POST: dict[str, Any] = {
    **TOLD,
    "responses": {**TOLD["responses"], **refusals(404, 409, 410, 504, writes=True)},
    "openapi_extra": _takes_rows(),
}


@routes.get("/v1/models/{model}/predictions", openapi_extra=ASKED, **TOLD)
async def predict_row(request: Request, shared: Shared, model: str) -> Response:
    """Classify one row by the live version; for small inputs."""
    return response(await ask(shared, model, None, request.scope, b"", request.receive))


@routes.post("/v1/models/{model}/predictions", **TOLD_POST)
async def predict_rows(request: Request, shared: Shared, model: str) -> Response:
    """Classify rows by the live version."""
    return response(await ask(shared, model, None, request.scope, request.scope["tsuika.body"], request.receive))


@routes.get("/v1/models/{model}/versions/{version}/predictions", openapi_extra=ASKED, **TOLD)
async def predict_row_at(request: Request, shared: Shared, model: str, version: str) -> Response:
    """Classify one row by any version."""
    return response(await ask(shared, model, version, request.scope, b"", request.receive))


@routes.post("/v1/models/{model}/versions/{version}/predictions", **TOLD_POST)
async def predict_rows_at(request: Request, shared: Shared, model: str, version: str) -> Response:
    """Classify rows by any version."""
    return response(await ask(shared, model, version, request.scope, request.scope["tsuika.body"], request.receive))


def response(told: Told) -> Response:
    """An answer for the framework."""
    headers = {name.decode(): value.decode() for name, value in told.headers}
    if told.rest is None:
        return Response(told.data, 200, headers, told.media.decode())
    return StreamingResponse(_pieces(told), 200, headers, told.media.decode())


async def _pieces(told: Told) -> AsyncIterator[bytes]:
    yield told.data
    if told.rest is not None:
        async for piece in told.rest:
            yield piece
