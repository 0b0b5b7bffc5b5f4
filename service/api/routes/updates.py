"""Routes of updates: order one, look at it, follow it, stop it, try it again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from service.api.access.callers import Caller
from service.api.bodies.csv_bodies import takes_rows
from service.api.bodies.decoded_rows import located
from service.api.bodies.new_batch import NewBatch
from service.api.bodies.row_bodies import due_of, read_row_body
from service.api.context import Context, Page, Shared, Wait, access, answer, attempt, body_of, caller
from service.api.idempotent_posts import Act, Done, Effect
from service.api.limits.turns import TURN
from service.api.lists import list_page
from service.api.openapi import KEY, also, gives, refusals, takes
from service.api.preconditions import Base, Makeup, check_device, check_import, check_labels, check_method
from service.api.reader.annotations import Due
from service.contract import requests, resources
from service.contract.enums import Expect, KeyScope, UpdateKind, UpdateState
from service.errors import Conflict, Forbidden, InvalidContent
from service.registry import batches, models, states, updates
from service.registry.callers import quotas
from service.registry.sql.tables import Model, Update
from service.registry.updates import Order
from service.remedies import SEND
from service.upkeep import gc
from service.upkeep.named_files import Name

routes = APIRouter(tags=["updates"])

COMMENT_SECONDS = 15.0
"""A stream without news sends a comment so often, so that no proxy closes it."""
ORDERS: dict[str, Any] = {
    "status_code": 202,
    "response_model": resources.Update,
    "responses": also(200, resources.Update, "Final within `wait`, and served here if it was promoted.")
    | refusals(404, 409, writes=True),
}
"""Of a route that orders an update, and may wait for its end."""


@routes.post("/v1/models/{model}/updates", openapi_extra=takes_rows(requests.CreateUpdate, KEY), **ORDERS)
async def create_update(request: Request, shared: Shared, model: str, wait: Wait) -> Response:
    """Learn from stored batches, from all pending ones, or from rows in the body (they are stored as a batch)."""
    done = await run_in_threadpool(_order, request, shared, model)
    return await answer_update(request, shared, done, wait)


def _order(request: Request, shared: Context, model: str) -> Done:
    by = caller(request)
    with shared.runtime.database.reading() as session:
        record = models.get(session, model)
        base, due = Base.of(session, record), due_of(session, record)
    order, body = read_row_body(shared, request, requests.CreateUpdate, due)
    method = order.method or requests.MethodChoice.model_validate(record.method)
    if order.expect is not None:
        _check_expected(request, due, order.expect)
    check_method(method, Makeup.of(record), base)
    check_device(order.device, shared.runtime.settings)
    rows = body.rows() if order.batches is None else None
    if rows is not None:
        check_labels(rows.labels.labelled, method, base.live, f"/{due.word}", due.target)
    batch = NewBatch(shared.runtime, model, rows, order) if rows is not None else None

    def begin(stored: set[Name]) -> Act:
        if batch:
            batch.store(stored)

        def act(session: Session) -> Effect:
            accepted = batch.accept(session)[0] if batch else None
            current = models.get(session, model)
            ids = [accepted.id] if accepted else _stored(session, current, order, method)
            now = Base.of(session, current)
            check_import(
                method, now.live, lambda: batches.classes_of(session, [*ids, *(now.live.learned if now.live else ())])
            )
            new = [batch.id for batch in batches.by_id(session, ids) if not batch.in_live]
            brings = batches.classes_of(session, new)
            check_method(method, Makeup.of(current), now, frozenset(brings))
            chosen = order.method.model_dump() if order.method else None
            quotas.require_turn(session, current, shared.runtime.settings)
            asked = Order(UpdateKind.LEARN, ids, chosen, order.seed, expect=order.expect, device=order.device)
            update = updates.enqueue(session, current, asked, by)
            shown = updates.new_resource(current, update)
            return Effect(202, {"update": update.id}, lambda: announce(shared), shown)

        return act

    with located(rows):
        return shared.posts.run(attempt(request, body.identity(rows)), begin, brings=True)


def _check_expected(request: Request, due: Due, expect: Expect) -> None:
    """Raises Forbidden where the key may not say beforehand that labels or targets change: that passes rules of the
    gate; and InvalidContent where it is said of the other kind."""
    if not access(request).may(KeyScope.PROMOTE):
        sentence = "expect needs the scope promote: who sends rows does not decide how they are judged. Leave it out."
        raise Forbidden(sentence, [("/expect", sentence)])
    if expect is not (word := due.target.expects):
        sentence = f'{due.model} predicts {due.target.predicts}: what it may expect is "{word}".'
        raise InvalidContent.at("/expect", sentence)


def _stored(session: Session, model: Model, order: requests.CreateUpdate, method: requests.MethodChoice) -> list[str]:
    """The batches that a body names. Raises Conflict when none is pending, or one of them was retracted; and
    InvalidContent where they hold nothing that the method can learn from."""
    live = models.live(session, model)
    target = models.target_of(model)
    if order.batches == "pending":
        if not (waiting := batches.pending(session, model)):
            raise Conflict(f"Nothing is pending in {model.name}. Send rows: {SEND(model=model.name)}.")
        check_labels(sum(b.rows for b in waiting), method, live, "/batches", target)
        return [b.id for b in waiting]
    if not order.batches:
        raise InvalidContent.at("/batches", 'batches is empty. Name at least one, or say "pending".')
    named = batches.named(session, model, order.batches)
    if retracted := [b.id for b in named if b.retracted_at is not None]:
        raise Conflict(f"Batch {retracted[0]} was retracted. Leave it out, or send its rows anew.", batch=retracted[0])
    for batch in named:
        if not batch.in_live:
            batches.require_whole(session, model, batch)
    check_labels(sum(b.rows for b in named), method, live, "/batches", target)
    return [b.id for b in named]


def announce(shared: Context) -> None:
    """Wakes the worker, and whoever waits for news, after a commit."""
    shared.runtime.work.set()
    shared.runtime.changed()


async def answer_update(request: Request, shared: Context, done: Done, wait: float) -> Response:
    """The update as it is now, or once it is final and served here, if that is within `wait` seconds (then 200).

    Raises Unauthorized where the key has ended meanwhile.
    """
    request.scope[TURN].end()  # from here on it waits for something else
    update_id = done.names["update"]
    settled = wait > 0 and await shared.watcher.until_settled(update_id, wait)
    if wait > 0:
        shared.keyring.caller(request.scope)
    resource = done.resource if wait == 0 else None
    if resource is None:
        resource = await run_in_threadpool(_update, shared, update_id)
    headers = {"Location": f"/v1/updates/{update_id}", **done.headers}
    return answer(resource, 200 if settled else done.status, headers)


def _update(shared: Context, update_id: str) -> resources.Update:
    with shared.runtime.database.reading() as session:
        return updates.resources_of(session, [updates.find(session, update_id)])[0]


@routes.get("/v1/models/{model}/updates", response_model=resources.Page[resources.Update], responses=refusals(404))
def list_updates(
    shared: Shared,
    page: Page,
    model: str,
    state: Annotated[UpdateState | None, Query()] = None,
    kind: Annotated[UpdateKind | None, Query()] = None,
) -> Response:
    """Updates, newest first; those of one state, of one kind."""
    with shared.runtime.database.reading() as session:
        record = models.get(session, model)
        return list_page(
            page, partial(updates.page, session, record, state=state, kind=kind), partial(updates.resources_of, session)
        )


@routes.get("/v1/updates/{update}", response_model=resources.Update, responses=refusals(404))
def get_update(shared: Shared, update: str) -> Response:
    """An update: its state, and once it is final its verdict and report."""
    return answer(_update(shared, update))


@routes.post(
    "/v1/updates/{update}/cancel",
    response_model=resources.Update,
    responses=also(202, resources.Update, "It runs; its worker was told to stop.") | refusals(404, 409, writes=True),
    openapi_extra=takes(requests.CancelUpdate, KEY, example={"reason": "the wrong file"}, required=False),
)
def cancel_update(request: Request, shared: Shared, update: str) -> Response:
    """Stop an update: at once while it is queued (200), soon while it runs (202)."""
    order, body = body_of(request, requests.CancelUpdate, empty=True)

    def act(session: Session) -> Effect:
        record = updates.find(session, update)
        _require_scope(request, session, record)
        status = 200 if updates.cancel(session, record, order.reason) else 202
        return Effect(status, {"update": update}, partial(_ended, shared, session))

    done = shared.posts.run(attempt(request, body.members), lambda _: act)
    return answer(_update(shared, update), done.status, done.headers)


@routes.post(
    "/v1/updates/{update}/retry",
    status_code=202,
    response_model=resources.Update,
    responses=refusals(404, 409, writes=True),
    openapi_extra=takes(None, KEY),
)
def retry_update(request: Request, shared: Shared, update: str) -> Response:
    """Queue a failed or cancelled update again."""

    def act(session: Session) -> Effect:
        record = updates.find(session, update)
        _require_scope(request, session, record)
        if record.kind == UpdateKind.LEARN and states.is_final(record):
            owner = session.get_one(Model, record.model_id)
            quotas.require_turn(session, owner, shared.runtime.settings, record.by)
        updates.retry(session, record)
        return Effect(202, {"update": update}, lambda: announce(shared))

    done = shared.posts.run(attempt(request, None), lambda _: act)
    headers = {"Location": f"/v1/updates/{update}", **done.headers}
    return answer(_update(shared, update), done.status, headers)


def _ended(shared: Context, session: Session) -> None:
    announce(shared)
    gc.discard_saves(shared.runtime, session)


def _require_scope(request: Request, session: Session, update: Update) -> None:
    """Raises Forbidden where the key may not order updates of this kind: who sends rows stops no retraction, does not
    have labels changed on purpose, and merges no ledger."""
    ordinary = update.kind == UpdateKind.LEARN and update.expect is None
    ordinary = ordinary and all(batch.merged is None for batch in batches.by_id(session, update.batches))
    needed = KeyScope.LEARN if ordinary else KeyScope.PROMOTE
    access(request).require([needed])


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


def _look(shared: Context, update_id: str, after: int) -> tuple[bool, list[resources.Event]]:
    """-> whether the update is final, and its events after `after`. Raises NotFound."""
    with shared.runtime.database.reading() as session:
        update = updates.find(session, update_id)
        return states.is_final(update), updates.events(session, update_id, after)


def _message(kind: str, data: dict[str, Any], number: int | None = None) -> bytes:
    lines = [f"id: {number}"] if number is not None else []
    return "\n".join([*lines, f"event: {kind}", f"data: {json.dumps(data, ensure_ascii=False)}", "", ""]).encode()
