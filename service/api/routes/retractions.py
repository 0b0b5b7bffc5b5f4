"""The route of retractions: batches are taken back out of everything that is served."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from service.api.context import Context, Shared, Wait, attempt, body_of, caller
from service.api.idempotent_posts import Done, Effect
from service.api.openapi import KEY, takes
from service.api.routes.updates import ORDERS, announce, answer_update
from service.contract import requests
from service.contract.enums import UpdateKind
from service.errors import Conflict, NotFound
from service.learning.retraction import subtracts
from service.registry import batches, models, updates, versions
from service.registry.rows import relearning, same_rows
from service.registry.sql.tables import Batch, Model
from service.registry.updates import Order
from service.remedies import ERASE

routes = APIRouter(tags=["updates"])


@routes.post(
    "/v1/models/{model}/retractions",
    openapi_extra=takes(
        requests.CreateRetraction, KEY, example={"batches": ["bat_0661051f1e3c4b"], "reason": "wrong labels"}
    ),
    **ORDERS,
)
async def create_retraction(request: Request, shared: Shared, model: str, wait: Wait) -> Response:
    """Take batches back: marked now, out of what is served once this is final. `erase` deletes the bytes, too; of an
    archived model it deletes every version that learned them as well, and learns nothing again."""
    done = await run_in_threadpool(_order, request, shared, model)
    return await answer_update(request, shared, done, wait)


def _order(request: Request, shared: Context, model: str) -> Done:
    order, body = body_of(request, requests.CreateRetraction)
    by = caller(request)

    def act(session: Session) -> Effect:
        record = models.get(session, model, archived_too=True)
        if record.archived_at is not None and not order.erase:
            remedy = f"To delete these batches and every version that learned them, {ERASE()}."
            raise NotFound(f"{model} is archived: nothing of it answers any more. {remedy}")
        named = batches.named(session, record, order.batches)
        if record.archived_at is None:
            check_rows(session, record, [b.id for b in named])
        for batch in named:
            _check_takes_back(session, batch, order.erase)
            batches.retract(session, record, batch, order.reason)
        ids = [b.id for b in named]
        retraction = Order(UpdateKind.RETRACT, ids, reason=order.reason or None, erase=order.erase)
        update = updates.enqueue(session, record, retraction, by)
        return Effect(202, {"update": update.id}, lambda: announce(shared))

    return shared.posts.run(attempt(request, body.members), lambda _: act)


def check_rows(session: Session, model: Model, ids: list[str]) -> None:
    """Raises Conflict where the live version cannot be learned again without these: rows of others were deleted."""
    live = models.live(session, model)
    removed = [b for b in ids if live is not None and b in live.learned]
    if live is not None and removed and not subtracts(live.layout, versions.shards(live), removed):
        relearning.replayed(session, live, removed)


def _check_takes_back(session: Session, batch: Batch, erase: bool) -> None:
    """Raises Conflict for a batch that is taken back already; what is retracted can still be erased."""
    if batch.erased_at is not None:
        raise Conflict(f"Batch {batch.id} was erased already.", batch=batch.id)
    if batch.retracted_at is None or erase:
        return
    if (new := same_rows.in_place_of(session, batch)) is not None:
        raise Conflict(
            f"Batch {batch.id} was corrected: batch {new.id} has its rows now. Take that one back. To delete the "
            f"rows as they were, {ERASE()}.",
            batch=new.id,
        )
    raise Conflict(f"Batch {batch.id} was retracted already. To delete its rows as well, {ERASE()}.", batch=batch.id)
