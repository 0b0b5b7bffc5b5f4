"""Routes of disputes: labels that contradict the live version, and who is right."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session

from service.api.context import Context, Page, Shared, access, answer, attempt, body_of
from service.api.idempotent_posts import Effect
from service.api.lists import list_of_model
from service.api.openapi import KEY, refusals, takes
from service.contract import requests, resources
from service.contract.enums import DisputeState, KeyScope
from service.errors import Forbidden
from service.registry import disputes, models
from service.registry.callers import keys
from service.registry.sql.tables import Update

routes = APIRouter(tags=["updates"])


@routes.get(
    "/v1/models/{model}/disputes", response_model=resources.Page[resources.ModelDispute], responses=refusals(404)
)
def list_disputes(
    shared: Shared,
    page: Page,
    model: str,
    state: DisputeState | None = None,
    update: Annotated[str | None, Query(max_length=100, description="Only those over batches of this update.")] = None,
) -> Response:
    """Labels that contradict what the live version is sure of, newest first: open, or how they were settled; those in
    one state."""
    listed = partial(disputes.page, state=state, update=update)
    return list_of_model(shared, page, model, listed, disputes.resources_of)


@routes.get("/v1/models/{model}/disputes/{dispute}", response_model=resources.ModelDispute, responses=refusals(404))
def get_dispute(shared: Shared, model: str, dispute: str) -> Response:
    """A label that contradicts the live version: what it says, and how it was settled."""
    return answer(_read(shared, model, dispute))


@routes.post(
    "/v1/models/{model}/disputes/{dispute}/settle",
    response_model=resources.ModelDispute,
    responses=refusals(404, 409, writes=True),
    openapi_extra=takes(
        requests.SettleDispute, KEY, example={"verdict": "confirmed", "reason": "the new rule holds since May"}
    ),
)
def settle_dispute(request: Request, shared: Shared, model: str, dispute: str) -> Response:
    """Say who is right. A key cannot settle what it opened itself, unless it has the scope admin."""
    order, body = body_of(request, requests.SettleDispute)
    who = access(request)

    def act(session: Session) -> Effect:
        record = disputes.get(session, models.get(session, model), dispute)
        opened = session.get_one(Update, record.update_id)
        own = {*(disputes.senders(session, opened) or ()), keys.first(session, record.by or "")}
        if not who.may(KeyScope.ADMIN) and keys.first(session, who.name) in own:
            raise Forbidden(f"The key {who.name} opened dispute {dispute} itself. Settle it with another key.")
        disputes.settle_by_hand(session, record, order.verdict, who.name, order.reason)
        return Effect(200, {}, shared.runtime.changed)

    done = shared.posts.run(attempt(request, body.members), lambda _: act)
    return answer(_read(shared, model, dispute), done.status, done.headers)


def _read(shared: Context, model: str, dispute: str) -> resources.ModelDispute:
    with shared.runtime.database.reading() as session:
        record = models.get(session, model)
        [resource] = disputes.resources_of(session, record, [disputes.get(session, record, dispute)])
    return resource
