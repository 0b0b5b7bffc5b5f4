"""The route of the events of an update as they happen: the stream ends with the update, the key, or the process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from service.api.access.callers import Caller
from service.api.context import Context, Shared, access
from service.api.openapi import gives, refusals
from service.contract.resources import Event
from service.registry import states, updates

routes = APIRouter(tags=["updates"])

COMMENT_SECONDS = 15.0
"""A stream without news sends a comment so often, so that no proxy closes it."""


@routes.get(
    "/v1/updates/{update}/events",
    response_class=StreamingResponse,
    responses=gives("text/event-stream", "One event a move; `progress` in between, without an id.") | refusals(404),
)
async def follow_update(
    request: Request,
    shared: Shared,
    update: str,
    last_event_id: Annotated[str | None, Header(description="Resume after this event.")] = None,
) -> Response:
    """Follow an update. With Last-Event-ID the stream resumes after that event; 204 when nothing will ever follow."""
    shared.watcher.open_stream(request.scope)
    after = int(last_event_id) if last_event_id and last_event_id.isdecimal() and len(last_event_id) < 18 else 0
    final, first = await run_in_threadpool(_look, shared, update, after)
    if final and not first and after:
        return Response(status_code=204)
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(shared, access(request), update, after), 200, headers, "text/event-stream")


async def _stream(shared: Context, caller: Caller, update_id: str, after: int) -> AsyncIterator[bytes]:
    """Ends with the update, with the process, and with the key that asked for it."""
    sent: dict[str, Any] | None = None
    with shared.watcher.following(update_id) as follower:
        while not shared.watcher.stopping:
            final, events = await run_in_threadpool(_look, shared, update_id, after)
            if not shared.keyring.still_admits(caller):
                return
            for event in events:
                after = event.id
                yield _message(event.kind, event.model_dump(mode="json"), event.id)
            if final:
                return
            progress = follower.status.progress if follower.status else None
            if progress and progress != sent:
                sent = progress
                yield _message("progress", progress)
            if not await follower.news(COMMENT_SECONDS):
                yield b": still here\n\n"


def _look(shared: Context, update_id: str, after: int) -> tuple[bool, list[Event]]:
    """-> whether the update is final, and its events after `after`. Raises NotFound."""
    with shared.runtime.database.reading() as session:
        update = updates.find(session, update_id)
        return states.is_final(update), updates.events(session, update_id, after)


def _message(kind: str, data: dict[str, Any], number: int | None = None) -> bytes:
    lines = [f"id: {number}"] if number is not None else []
    return "\n".join([*lines, f"event: {kind}", f"data: {json.dumps(data, ensure_ascii=False)}", "", ""]).encode()
