"""Routes of predictions, declared for the description of the interface.

The dispatcher in front of the framework, whose own path costs half the throughput, calls the same `ask`.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope

from service.api.bodies import large_questions, prediction_bodies
from service.api.bodies.csv_bodies import TO_PREDICT
from service.api.bodies.heavy_bodies import spool_if_heavy
from service.api.bodies.prediction_bodies import MOST_TOP, Question
from service.api.context import Context, Shared
from service.api.limits.long_answers import MOST_SCORES, WrittenAnswer, check_scores
from service.api.limits.request_checks import unless_gone
from service.api.openapi import TIMEOUT, in_query, refusals, takes
from service.api.reader.spool import Spooled
from service.contract import requests
from service.contract.enums import CSV, JPEG, NPY, PNG, RAW
from service.contract.predictions import AnyPredictions
from service.contract.targets.number_target import LEAST_LEVEL, MOST_LEVEL
from service.intake.kinds.numbers import not_finite
from service.serving.answers import Answer, check_knows, is_long
from service.serving.loaded_versions import Loaded
from service.serving.passes import NotFinite

routes = APIRouter(tags=["predictions"])

PATH = re.compile(r"/v1/models/([^/]+)(?:/versions/([^/]+))?/predictions")
ROUTES = "/v1/models/{model}/predictions", "/v1/models/{model}/versions/{version}/predictions"
"""As the framework writes them: of the live version, of any."""


def target(scope: Scope) -> tuple[str, str | None] | None:
    """The model and the version (None: the live one) that a prediction asks; None for any other request."""
    return prediction_bodies.target_of(scope, ("GET", "POST"), PATH)


async def ask(
    shared: Context, name: str, version: str | None, scope: Scope, body: bytes | Spooled, receive: Receive
) -> WrittenAnswer:
    """Answers a GET or POST of a prediction.

    Raises NotFound, NotLive, Erased, InvalidContent, BrokenJSON, TooLarge, UnsupportedMedia, Busy, DeadlinePassed,
    DiskFull, SenderGone.
    """
    until = prediction_bodies.deadline(scope)
    loaded = await prediction_bodies.in_time(shared.runtime.live.fetch(name, version), until)
    shared.batcher.admit(loaded.predictor)
    body = spool_if_heavy(shared, scope, body, loaded.input)
    if isinstance(body, Spooled):
        question = await large_questions.question(shared, scope, body, loaded)
    else:
        question = await prediction_bodies.read(scope, body, loaded)
    inputs, kind = question.rows, loaded.predictor.kind
    options = loaded.settled(question.options, question.names)
    loaded.limits.check_rows_of(loaded.input, len(inputs))
    long, scores = is_long(loaded, len(inputs), options), kind.scores(options)
    if long:
        if kind.limited(scores):
            check_scores(len(inputs), scores, MOST_SCORES, kind.listing())
        shared.answers.admit(scope, len(inputs) * scores)
    answer = await answered(shared, loaded, question._replace(options=options), until, receive)
    if not long:
        return WrittenAnswer(answer.json(), [version_header(answer)])
    return await shared.answers.written(scope, answer.pieces, [version_header(answer)])


def version_header(answer: Answer) -> tuple[bytes, bytes]:
    """The header that names the version that answered."""
    return b"tsuika-version", b"%d" % answer.version


async def answered(
    shared: Context, loaded: Loaded, question: Question, until: float | None, receive: Receive
) -> Answer:
    """Classifies rows by a version, batched with those of other requests.

    Raises NotLive, InvalidContent, Busy, DeadlinePassed, SenderGone.
    """
    check_knows(loaded)
    batcher, (inputs, options, names, notes) = shared.batcher, question
    batcher.admit(loaded.predictor, len(inputs))
    waiting = batcher.ask(loaded.predictor, inputs, options, until)
    try:
        if batcher.crowded:
            await unless_gone(waiting, receive)
        answer = Answer(loaded, await waiting, options, names, notes)
        loaded.answered += 1
        return answer
    except NotFinite as fault:
        raise not_finite(fault.row, fault.place, loaded.input) from None


QUERY = (
    in_query(
        "input",
        {"type": "string"},
        'One row as JSON: [0, 3, ...], [c][h][w] or {"png": base64} of an image, {"city": "Osaka", ...} of a table; a '
        "text as it is.",
        required=True,
        example="[0,3,7,1]",
    ),
    in_query(
        "top",
        {"type": "integer", "minimum": 1, "maximum": MOST_TOP, "default": 1},
        "Best classes to list, where rows are the whole body; a JSON body says it itself.",
    ),
    in_query(
        "level",
        {"type": "number", "minimum": LEAST_LEVEL, "maximum": MOST_LEVEL},
        "Level of the intervals of numbers, likewise; the model's where it is left out.",
    ),
    in_query(
        "source",
        {"type": "string", "maxLength": requests.LONGEST_SOURCE},
        "Where rows come from, likewise: their own head answers where the version has one.",
    ),
)
PARAMETERS = {"parameters": [*QUERY, TIMEOUT]}
ANSWERS: dict[str, Any] = {
    "response_model": AnyPredictions,
    "responses": {
        200: {
            "description": "Best classes, or numbers with their intervals.",
            "headers": {"Tsuika-Version": {"schema": {"type": "integer"}}},
        },
        **refusals(404, 409, 410, 413, 504),
    },
}
ROWS_ALONE = {
    RAW: "Rows of little-endian float32, one after the other.",
    NPY: "A numpy file: float32, float64 or uint8, (rows, ...).",
    PNG: "One image, for a model of images.",
    JPEG: "One image, for a model of images.",
    CSV: "Rows of a table, of numbers or texts in UTF-8: a line of column names, then a row a line.",
}


def _takes_rows() -> dict[str, Any]:
    """Describes the bodies of a POST: JSON, or rows alone, whose `top`, `level` and `source` stand in the query."""
    extra = takes(requests.Predict, *QUERY[1:], *TO_PREDICT, TIMEOUT)
    content = extra["requestBody"]["content"]
    for media, description in ROWS_ALONE.items():
        content[media] = {"schema": {"type": "string", "format": "binary", "description": description}}
    return extra


ANSWERS_TO_POST: dict[str, Any] = {
    **ANSWERS,
    "responses": {**ANSWERS["responses"], **refusals(404, 409, 410, 504, writes=True)},
    "openapi_extra": _takes_rows(),
}


@routes.get("/v1/models/{model}/predictions", openapi_extra=PARAMETERS, **ANSWERS)
async def predict_row(request: Request, shared: Shared, model: str) -> Response:
    """Predict one row by the live version; for small inputs."""
    return response(await ask(shared, model, None, request.scope, b"", request.receive))


@routes.post("/v1/models/{model}/predictions", **ANSWERS_TO_POST)
async def predict_rows(request: Request, shared: Shared, model: str) -> Response:
    """Predict rows by the live version."""
    return response(await ask(shared, model, None, request.scope, request.scope["tsuika.body"], request.receive))


@routes.get("/v1/models/{model}/versions/{version}/predictions", openapi_extra=PARAMETERS, **ANSWERS)
async def predict_row_at(request: Request, shared: Shared, model: str, version: str) -> Response:
    """Predict one row by any version."""
    return response(await ask(shared, model, version, request.scope, b"", request.receive))


@routes.post("/v1/models/{model}/versions/{version}/predictions", **ANSWERS_TO_POST)
async def predict_rows_at(request: Request, shared: Shared, model: str, version: str) -> Response:
    """Predict rows by any version."""
    return response(await ask(shared, model, version, request.scope, request.scope["tsuika.body"], request.receive))


def response(answer: WrittenAnswer) -> Response:
    """An answer as the framework sends it."""
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    if answer.rest is None:
        return Response(answer.data, 200, headers, answer.media.decode())
    return StreamingResponse(_pieces(answer), 200, headers, answer.media.decode())


async def _pieces(answer: WrittenAnswer) -> AsyncIterator[bytes]:
    yield answer.data
    if answer.rest is not None:
        async for piece in answer.rest:
            yield piece
