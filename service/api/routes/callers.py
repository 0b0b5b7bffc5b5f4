"""Routes of callers: their keys, made, listed and revoked; and the audit of who changed what, and when."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session

from service.api.access.callers import HOST
from service.api.context import Page, Shared, access, answer, attempt, body_of, caller
from service.api.idempotent_posts import Effect
from service.api.lists import list_page
from service.api.openapi import KEY, refusals, takes
from service.contract import keys as contract
from service.contract import resources
from service.contract.enums import KeyScope
from service.errors import InvalidContent, NotFound
from service.registry import models
from service.registry.callers import audit, keys

routes = APIRouter()

FIRST_MAY_ALL = (
    "From the first key on this service asks everybody for one, so the first has the scope admin: with another one "
    "nobody could make keys here any more."
)


@routes.post(
    "/v1/keys",
    tags=["keys"],
    status_code=201,
    response_model=contract.NewKey,
    responses=refusals(409, writes=True),
    openapi_extra=takes(
        contract.CreateKey, KEY, example={"name": "till 7", "scopes": ["predict"], "models": ["digits"]}
    ),
)
def create_key(request: Request, shared: Shared) -> Response:
    """Make a key: this answer alone shows its secret. With `replaces` it takes the place of another, which is good for
    `overlap_hours` more. Where no key is asked for yet, the first has the scope admin."""
    order, body = body_of(request, contract.CreateKey)
    by = caller(request)
    if access(request) == HOST and order.scopes is not None and KeyScope.ADMIN not in order.scopes:
        raise InvalidContent.at("/scopes", FIRST_MAY_ALL)

    def act(session: Session) -> Effect:
        key, secret = keys.create(session, order, by)
        return Effect(201, {"key": key.id}, shared.keyring.reread, keys.new_resource(session, key, secret))

    done = shared.posts.run(attempt(request, body.members), lambda _: act)
    location = {"Location": f"/v1/keys/{done.names['key']}", **done.headers}
    if done.resource is not None:
        return answer(done.resource, done.status, location)
    with shared.runtime.database.reading() as session:
        return answer(keys.new_resource(session, keys.get(session, done.names["key"]), None), done.status, location)


@routes.get("/v1/keys", tags=["keys"], response_model=resources.Page[contract.Key], responses=refusals())
def list_keys(shared: Shared, page: Page) -> Response:
    """Keys, newest first, revoked ones too; never their secrets."""
    with shared.runtime.database.reading() as session:
        return list_page(page, partial(keys.page, session), partial(keys.resources_of, session))


@routes.get("/v1/keys/current", tags=["keys"], response_model=contract.CurrentKey, responses=refusals())
def get_current_key(request: Request, shared: Shared) -> Response:
    """What the key of this request may do, of which models, and until when. Any key may ask."""
    who = access(request)
    with shared.runtime.database.reading() as session:
        return answer(keys.current(session, who.name, who.scopes))


@routes.get("/v1/keys/{key}", tags=["keys"], response_model=contract.Key, responses=refusals(404))
def get_key(shared: Shared, key: str) -> Response:
    """A key: what it may do, and until when."""
    with shared.runtime.database.reading() as session:
        return answer(keys.resource(session, keys.get(session, key)))


@routes.delete("/v1/keys/{key}", tags=["keys"], status_code=204, responses=refusals(404))
def revoke_key(shared: Shared, key: str) -> Response:
    """Revoke a key: from now on it opens nothing, in other processes within a poll."""
    with shared.runtime.database.writing() as session:
        keys.revoke(session, keys.get(session, key))
    shared.keyring.reread()
    return Response(status_code=204)


@routes.get("/v1/audit", tags=["audit"], response_model=resources.Page[contract.AuditEntry], responses=refusals())
def list_audit(
    shared: Shared,
    page: Page,
    model: Annotated[str | None, Query(max_length=100, description="Only of this model, archived or not.")] = None,
) -> Response:
    """Changes of state, newest first, each with who made it; chained by hashes, which `tsuika audit verify` checks."""
    with shared.runtime.database.reading() as session:
        if model is not None:
            try:
                models.get(session, model, archived_too=True)
            except NotFound as error:
                raise InvalidContent.at("/model", error.detail) from None
        return list_page(page, partial(audit.page, session, model=model), audit.resources_of)
