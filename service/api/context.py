"""The context that the handlers of a process share, and the parts of a request that many of them read."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel
from starlette.types import Scope

from service.api.access.callers import Caller
from service.api.access.keyring import Keyring
from service.api.health import Health
from service.api.idempotent_posts import Posts, attempt_of
from service.api.limits.downloads import Downloads
from service.api.limits.long_answers import LongAnswers
from service.api.limits.request_checks import CALLER, header
from service.api.limits.turns import Turns
from service.api.reader.process import Reader
from service.api.update_watcher import Watcher
from service.api.validation import validated
from service.contract.requests import CreateCorrection, CreateModel
from service.errors import InvalidContent
from service.intake.json_body import (
    CORRECTION_MEMBERS,
    MODEL_MEMBERS,
    MODEL_VALUES,
    MOST_MEMBERS,
    MOST_VALUES,
    JsonBody,
    read_object,
)
from service.registry.callers.idempotency import Attempt
from service.runtime import Runtime
from service.serving.batcher import Batcher

M = TypeVar("M", bound=BaseModel)

FEW: Mapping[type[BaseModel], tuple[int, int]] = {
    CreateModel: (MODEL_MEMBERS, MODEL_VALUES),
    CreateCorrection: (CORRECTION_MEMBERS, MOST_VALUES),
}
"""Members and values of lists of bodies that may have more of them than others."""

LONGEST_WAIT = 60.0
MOST_ITEMS = 1000
"""Items a page of a list."""
LARGEST_NUMBER = 2**53
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class Context:
    """The objects of a process that its handlers use."""

    runtime: Runtime
    health: Health
    keyring: Keyring
    watcher: Watcher
    posts: Posts
    batcher: Batcher
    reader: Reader
    answers: LongAnswers
    turns: Turns
    downloads: Downloads

    def close(self) -> None:
        """Ends the threads and the process beside the event loop, and waits for them; the watcher has stopped."""
        self.watcher.close()
        self.batcher.close()
        self.reader.close()


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Shared = Annotated[Context, Depends(_context)]


@dataclass(frozen=True)
class Paging:
    """The page of a list that a request asks for."""

    limit: int
    cursor: str | None


async def _paging(
    limit: Annotated[int, Query(ge=1, le=MOST_ITEMS, description="Items a page.")] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> Paging:
    if cursor is not None and not re.fullmatch(r"[a-z]{3}_[0-9a-f]{1,40}|[0-9]{1,18}", cursor):
        raise InvalidContent.at("/cursor", "The cursor is not one that a page of this list gave.")
    return Paging(limit, cursor)


Page = Annotated[Paging, Depends(_paging)]


async def _wait(
    request: Request,
    wait: Annotated[
        float | None,
        Query(ge=0, le=LONGEST_WAIT, allow_inf_nan=False, description="Seconds to wait until it is final and served."),
    ] = None,
) -> float:
    preferred = re.search(r"\bwait=(\d{1,9}(?:\.\d{1,9})?)", request.headers.get("prefer", ""))
    if wait is None and preferred and float(preferred[1]) > LONGEST_WAIT:
        raise InvalidContent.at("/wait", f"wait is at most {LONGEST_WAIT:g} seconds.")
    return wait if wait is not None else float(preferred[1]) if preferred else 0.0


Wait = Annotated[float, Depends(_wait)]


def request_id(scope: Scope) -> str:
    """The id of a request: the one that it brings, or a new one."""
    header_value = header(scope, b"x-request-id")
    return header_value if header_value and _REQUEST_ID.fullmatch(header_value) else os.urandom(8).hex()


def caller(request: Request) -> str:
    """The name of the caller of a request."""
    return access(request).name


def access(request: Request) -> Caller:
    """Who calls, and what the key may do."""
    caller: Caller = request.scope[CALLER]
    return caller


def body_of(
    request: Request, kind: type[M], empty: bool = False, context: Mapping[str, Any] | None = None
) -> tuple[M, JsonBody]:
    """The checked body as a request; with `empty`, no body at all counts as {}. Raises BrokenJSON, InvalidContent."""
    data: bytes = request.scope["tsuika.body"]
    most, values = FEW.get(kind, (MOST_MEMBERS, MOST_VALUES))
    shared: Context = request.app.state.context
    depth = shared.runtime.settings.max_depth
    body = read_object(data or b"{}" if empty else data, most=most, values=values, depth=depth)
    return validated(kind, body, context), body


def attempt(request: Request, body: Any) -> Attempt | None:
    """The request as an attempt under its Idempotency-Key; None without one."""
    return attempt_of(request.headers.get("idempotency-key"), caller(request), request.scope, body)


def answer(resource: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A resource as JSON."""
    return Response(resource.model_dump_json(by_alias=True), status, headers, "application/json")
