"""Routes of predictions as MLflow's scoring server answers them: its callers move over by changing the address.

A scoring server has one model. Here a model has the address /v1/models/{model}/invocations; /invocations alone is that
of the only model there is.
"""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from service import __version__
from service.api.bodies.csv_bodies import TO_PREDICT
from service.api.bodies.invocation_bodies import native_body, predictions_alone
from service.api.context import Context, Shared, access
from service.api.limits.bodies import charset, media_type
from service.api.limits.request_checks import HEADERS
from service.api.openapi import WORDS, WRITING, takes
from service.api.routes.predicting import predictions
from service.contract import predictions as contract
from service.contract.enums import CSV, JSON
from service.errors import Conflict, NotFound
from service.registry import models
from service.serving.answers import check_knows

routes = APIRouter(tags=["predictions"])

LISTED = 3
"""Models that a refusal names."""


def _takes_frames() -> dict[str, Any]:
    extra = takes(contract.Invocation, *TO_PREDICT)
    sentence = "A line of column names, then a row a line, as pandas.DataFrame.to_csv(index=False) writes it."
    extra["requestBody"]["content"][CSV] = {"schema": {"type": "string", "description": sentence}}
    return extra


INVOCATION: dict[str, Any] = {
    "response_model": contract.InvocationAnswer,
    "responses": {
        status: {"description": WORDS[status], "model": contract.InvocationError}
        for status in sorted({401, 403, 404, 409, 410, 414, 422, 429, 503, 504, *WRITING})
    },
    "openapi_extra": _takes_frames(),
}


@routes.post("/v1/models/{model}/invocations", **INVOCATION)
async def invoke(request: Request, shared: Shared, model: str) -> Response:
    """Predict rows by the live version, in the form of MLflow's scoring server."""
    return await _invoke(request, shared, model)


@routes.post("/invocations", **INVOCATION)
async def invoke_only(request: Request, shared: Shared) -> Response:
    """The same of the only model that there is for the key; 409 where there are several."""
    return await _invoke(request, shared, await run_in_threadpool(_only_model, request, shared))


@routes.get("/v1/models/{model}/ping", include_in_schema=False)
async def ping(shared: Shared, model: str) -> dict[str, str]:
    """200 where the live version answers, for which clients of a scoring server wait; refused as a prediction is."""
    check_knows(await shared.runtime.live.fetch(model, None))
    return {"status": "ready"}


@routes.get("/v1/models/{model}/version", include_in_schema=False)
def get_version(shared: Shared, model: str) -> dict[str, str]:
    """Which Tsuika this is: such a client asks it at the address of the model."""
    with shared.runtime.database.reading() as session:
        models.get(session, model)
    return {"version": __version__}


def _only_model(request: Request, shared: Context) -> str:
    """Raises NotFound where there is no model, Conflict where there are several."""
    with shared.runtime.database.reading() as session:
        newest, _ = models.page(session, LISTED, None, access(request).models)
        names = [model.name for model in newest]
    if not names:
        raise NotFound("There is no model yet. Make one at POST /v1/models.")
    if len(names) > 1:
        named = ", ".join(f"/v1/models/{name}/invocations" for name in names)
        raise Conflict(f"There are several models here, so the address names one, such as {named}.")
    return names[0]


async def _invoke(request: Request, shared: Context, name: str) -> Response:
    scope = request.scope
    loaded = await shared.runtime.live.fetch(name, None)
    media, body = media_type(scope), scope["tsuika.body"]
    if media != CSV:
        body = await asyncio.to_thread(native_body, body, loaded.input, loaded.limits.max_depth)
    headers = [header for header in scope["headers"] if header[0] not in (b"content-type", b"content-length")]
    letters = charset(scope) if media == CSV else None
    native = f"{CSV if media == CSV else JSON}{f';charset={letters}' if letters is not None else ''}"
    asked = {**scope, "headers": [*headers, (b"content-type", native.encode())]}
    asked["path"] = f"/v1/models/{name}/predictions"
    asked.pop(HEADERS, None)  # those of the request as it came
    try:
        answer = await predictions.ask(shared, name, None, asked, body, request.receive)
    finally:
        scope["tsuika.body"] = asked["tsuika.body"]  # on disk where it was heavy, and deleted with the request
    pieces = [answer.data]
    if answer.rest is not None:
        pieces += [piece async for piece in answer.rest]
    data = await asyncio.to_thread(predictions_alone, b"".join(pieces))
    return Response(data, 200, {key.decode(): value.decode() for key, value in answer.headers}, JSON)
