"""All routes as one application, and the refusals of the framework told our way."""

from __future__ import annotations

import json
import logging
from functools import cached_property
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from service import __version__
from service.api import openapi, problems
from service.api.context import Context
from service.api.idempotent_posts import Posts
from service.api.limits import table
from service.api.limits.downloads import Downloads
from service.api.limits.long_answers import LongAnswers
from service.api.limits.turns import Turns
from service.api.queries import check_query
from service.api.reader.process import Reader
from service.api.routes import (
    aliases,
    batches,
    deployments,
    inference,
    methods,
    models,
    pages,
    predictions,
    retractions,
    update_events,
    updates,
    versions,
)
from service.api.routes.health import Health
from service.api.update_watcher import Watcher
from service.api.validation import invalid
from service.errors import NotFound, TsuikaError
from service.runtime import Runtime
from service.serving.batching.batcher import Batcher

log = logging.getLogger("tsuika.requests")

ROOMS = (
    models,
    batches,
    updates,
    update_events,
    retractions,
    versions,
    aliases,
    deployments,
    predictions,
    inference,
    methods,
    table,
    pages,
)
ELSEWHERE = (inference, pages)
"""Not of /v1: other people's clients and probes may send what they like."""

INSTEAD = (
    (":predict", "Predictions are at POST /v1/models/{model}/predictions."),
    ("/predict", "Predictions are at POST /v1/models/{model}/predictions."),
    ("/invocations", "Predictions are at POST /v1/models/{model}/predictions."),
    ("/infer", "The Open Inference Protocol is at POST /v2/models/{model}/infer."),
    ("/metrics", "There are no metrics yet."),
    ("/v1", "The models are at /v1/models; the whole interface is at /docs."),
    ("/", "The interface is described at /docs."),
)
"""Ends of paths that people try, and where the thing is."""


class Described(FastAPI):
    """An application that is described with examples and every error."""

    def openapi(self) -> dict[str, Any]:
        return openapi.describe(self)

    @cached_property
    def written_description(self) -> bytes:
        """The same as JSON."""
        return json.dumps(self.openapi(), ensure_ascii=False, separators=(",", ":")).encode()

    @cached_property
    def written_page(self) -> str:
        """The same as a page."""
        return pages.page(self.openapi())


def build(runtime: Runtime, health: Health | None = None) -> FastAPI:
    """The application of a process; whoever calls it starts the worker."""
    app = Described(
        title="Tsuika", version=__version__, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    health = health or Health()
    health.troubles, health.storage = runtime.live.troubles, runtime.trouble
    posts = Posts(runtime.database, runtime.crash)
    settings = runtime.settings
    app.state.context = Context(
        runtime=runtime,
        health=health,
        watcher=Watcher(runtime),
        posts=posts,
        batcher=Batcher(settings.queue_seconds),
        reader=Reader(settings),
        answers=LongAnswers(),
        turns=Turns(),
        downloads=Downloads(settings.data / "spool"),
    )
    for room in ROOMS:
        app.include_router(room.routes, dependencies=[] if room in ELSEWHERE else [Depends(check_query)])
    app.add_exception_handler(TsuikaError, _refused)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _no_such_call)
    app.add_exception_handler(Exception, _failed)
    return app


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, TsuikaError)
    if problems.status_of(type(error)) == 500:
        raise error
    status, body, headers = problems.problem(error, request.scope["tsuika.request_id"])
    return _problem(request, status, body, {k.decode(): v.decode() for k, v in headers})


async def _not_valid(request: Request, error: Exception) -> Response:
    """A query parameter that is none; bodies are checked by the handlers."""
    assert isinstance(error, RequestValidationError)
    found = [{**fault, "loc": fault["loc"][1:]} for fault in error.errors()]
    return await _refused(request, invalid(found, dict(request.query_params)))


async def _no_such_call(request: Request, error: Exception) -> Response:
    """No such path, or no such method on it."""
    assert isinstance(error, HTTPException)
    path, request_id = request.url.path, request.scope["tsuika.request_id"]
    if error.status_code != 405 or path.endswith(":predict"):
        told = next(told for end, told in INSTEAD if path.endswith(end) or end == "/")
        return await _refused(request, NotFound(f"There is nothing at this address. {told}"))
    allowed = ", ".join(sorted(_methods(request)))
    told = f"This address does not take {request.method}. It takes {allowed}."
    body = problems.plain_problem(405, "method-not-allowed", "No such call", told, request_id)
    return _problem(request, 405, body, {"Allow": allowed})


def _methods(request: Request) -> set[str]:
    """What can be called at an address."""
    found: set[str] = set()
    for route in (route for room in ROOMS for route in room.routes.routes if isinstance(route, Route)):
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return found


async def _failed(request: Request, _error: Exception) -> Response:
    """Anything unexpected; the door writes the log."""
    return _problem(request, 500, problems.fault(request.scope["tsuika.request_id"]), {})


def _problem(request: Request, status: int, body: dict[str, Any], headers: dict[str, str]) -> Response:
    media, data = problems.written(request.url.path, body)
    return Response(data, status, headers, media.decode())
