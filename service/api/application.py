"""All routes as one application; refusals of the framework get the form of the others."""

from __future__ import annotations

import json
import logging
import re
from functools import cache, cached_property
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from service import __version__
from service.api import openapi, problems
from service.api.access.keyring import Keyring
from service.api.access.scopes import check_access
from service.api.context import Context
from service.api.health import Health
from service.api.idempotent_posts import Posts
from service.api.limits.downloads import Downloads
from service.api.limits.long_answers import LongAnswers
from service.api.limits.request_checks import READS_AGAIN
from service.api.limits.turns import Turns
from service.api.queries import check_query
from service.api.reader.process import Reader
from service.api.routes import (
    abilities,
    around,
    batches,
    callers,
    corrections,
    deployments,
    disputes,
    ledgers,
    models,
    retractions,
    updates,
    versions,
)
from service.api.routes.predicting import inference, invocations, predictions
from service.api.update_watcher import Watcher
from service.api.validation import invalid
from service.errors import NotFound, TsuikaError
from service.runtime import Runtime
from service.serving.batcher import Batcher

log = logging.getLogger("tsuika.requests")

ROUTERS = (
    models.routes,
    batches.routes,
    updates.routes,
    retractions.routes,
    corrections.routes,
    disputes.routes,
    versions.routes,
    ledgers.routes,
    deployments.routes,
    callers.routes,
    predictions.routes,
    inference.routes,
    invocations.routes,
    abilities.routes,
    around.routes,
)
ANY_QUERY = (inference.routes, around.routes)
"""Not of /v1: other people's clients and probes may send what they like."""
ALL = APIRouter()
"""The routes of every application: what FastAPI derives from them, and their document, is made once a process."""
for router in ROUTERS:
    checks = [check_access] if router in ANY_QUERY else [check_access, check_query]
    ALL.include_router(router, dependencies=[Depends(check) for check in checks])
PATHS = list(dict.fromkeys(route.path for router in ROUTERS for route in router.routes if isinstance(route, Route)))
_AT = re.compile("|".join("({})".format(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))) for path in PATHS))

_CALLED = re.compile(r".*:(predict|predict_proba|classify|regress|score)", re.DOTALL)
"""Calls of a model as TensorFlow Serving has them. No name of a model has a colon."""
_NAMED = re.compile(r"/models/([a-z0-9][a-z0-9._-]{0,99})(?=[:/])")
HINTS = (
    (r".*[:/](predict|predict_proba|classify|regress|score)", "POST /v1/models/{model}/predictions predicts rows."),
    (r".*/predictions(/.*)?", "POST /v1/models/{model}/predictions predicts rows."),
    (r".*/(invocations|invoke)", "POST /v1/models/{model}/invocations takes what MLflow's scoring server takes."),
    (r".*/infer", "The Open Inference Protocol is at POST /v2/models/{model}/infer."),
    (r".*/(docs|openapi|swagger)\.(json|ya?ml)", "The interface is described at /openapi.json, for people at /docs."),
    (r"/(v1|models|api)(/.*)?", "The models are at /v1/models; the whole interface is at /docs."),
    (r".*", "The interface is described at /docs."),
)
"""Patterns of paths that people try, as other servers have them, and where they find it here, of the model that a path
names."""


def route_at(path: str) -> str:
    """The route at an address, for a request that is refused before its route is asked; "" where there is none."""
    match = _AT.fullmatch(path)
    return PATHS[match.lastindex - 1] if match and match.lastindex else ""


class Application(FastAPI):
    """An application whose OpenAPI document has the bodies that handlers read themselves; written once."""

    def openapi(self) -> dict[str, Any]:
        return _description()

    @cached_property
    def written_description(self) -> bytes:
        """The document as JSON."""
        return json.dumps(self.openapi(), ensure_ascii=False, separators=(",", ":")).encode()


@cache
def _description() -> dict[str, Any]:
    return openapi.describe(ALL.routes)


def build(runtime: Runtime, health: Health | None = None) -> FastAPI:
    """Builds the application of a process; the caller starts the worker."""
    app = Application(
        title="Tsuika",
        version=__version__,
        routes=ALL.routes,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    health = health or Health()
    health.troubles, health.storage, health.disk = runtime.live.troubles, runtime.trouble, runtime.short_of_room
    posts = Posts(runtime)
    settings = runtime.settings
    keyring = Keyring(runtime.database, settings)
    watcher = Watcher(runtime, keyring)
    health.queue = watcher.trouble
    app.state.context = Context(
        runtime=runtime,
        health=health,
        keyring=keyring,
        watcher=watcher,
        posts=posts,
        batcher=Batcher(settings.queue_seconds),
        reader=Reader(settings),
        answers=LongAnswers(settings.scores_at_once),
        turns=Turns(settings),
        downloads=Downloads(settings.data / "spool", settings.downloads),
    )
    app.add_exception_handler(TsuikaError, _refused)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _no_such_call)
    app.add_exception_handler(Exception, _failed)
    return app


class _Nothing(Response):
    """Sends no answer: the request is asked once more."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pass


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, TsuikaError)
    if error.undone and request.scope[READS_AGAIN]:
        return _Nothing()
    if problems.status_of(type(error)) == 500:
        raise error
    if isinstance(error, NotFound) and _CALLED.fullmatch(request.url.path):
        error = _nothing_at(request.url.path)
    status, body, headers = problems.problem(error, request.scope["tsuika.request_id"])
    return _problem(request, status, body, {k.decode(): v.decode() for k, v in headers})


async def _not_valid(request: Request, error: Exception) -> Response:
    """Answers a fault of a query parameter; the handlers check bodies."""
    assert isinstance(error, RequestValidationError)
    faults = [{**fault, "loc": fault["loc"][1:]} for fault in error.errors()]
    return await _refused(request, invalid(faults, dict(request.query_params)))


async def _no_such_call(request: Request, error: Exception) -> Response:
    """Answers a request for a path that does not exist, or a method that its path does not take."""
    assert isinstance(error, HTTPException)
    path, request_id = request.url.path, request.scope["tsuika.request_id"]
    if error.status_code != 405 or _CALLED.fullmatch(path):
        return await _refused(request, _nothing_at(path))
    allowed = ", ".join(sorted(_methods(request)))
    detail = f"This address does not take {request.method}. It takes {allowed}."
    body = problems.plain_problem(405, "method-not-allowed", "No such call", detail, request_id)
    return _problem(request, 405, body, {"Allow": allowed})


def _nothing_at(path: str) -> NotFound:
    """Says where that is which a path has in other servers."""
    hint = next(hint for pattern, hint in HINTS if re.fullmatch(pattern, path, re.DOTALL))
    if (named := _NAMED.search(path)) is not None:
        hint = hint.replace("{model}", named[1])
    return NotFound(f"There is nothing at this address. {hint}")


def _methods(request: Request) -> set[str]:
    """The methods that an address takes."""
    methods: set[str] = set()
    for route in (route for router in ROUTERS for route in router.routes if isinstance(route, Route)):
        if route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return methods


async def _failed(request: Request, _error: Exception) -> Response:
    """Answers 500; the dispatcher writes the log."""
    return _problem(request, 500, problems.internal_fault(request.scope["tsuika.request_id"]), {})


def _problem(request: Request, status: int, body: dict[str, Any], headers: dict[str, str]) -> Response:
    media, data = problems.encoded_problem(request.url.path, body)
    return Response(data, status, headers, media.decode())
