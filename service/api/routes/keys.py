"""Routes of keys: make one, or one in the place of another; list them; revoke one."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from service.api.access.callers import HOST
from service.api.context import Page, Shared, access, answer, attempt, body_of, caller
from service.api.idempotent_posts import Effect
from service.api.lists import list_page
from service.api.openapi import KEY, refusals, takes
from service.contract import keys as contract_keys
from service.contract import resources
from service.contract.enums import KeyScope
from service.errors import InvalidContent
from service.registry.callers import keys

routes = APIRouter(tags=["keys"])

FIRST_MAY_ALL = (
    "From the first key on this service asks everybody for one, so the first has the scope admin: with another one "
    "nobody could make keys here any more."
)


@routes.post(
    "/v1/keys",
    status_code=201,
    response_model=contract_keys.NewKey,
    responses=refusals(409, writes=True),
    openapi_extra=takes(
        contract_keys.CreateKey, KEY, example={"name": "till 7", "scopes": ["predict"], "models": ["digits"]}
    ),
)
def create_key(request: Request, shared: Shared) -> Response:
    """Make a key: this answer alone shows its secret. With `replaces` it takes the place of another, which is good for
    `overlap_hours` more. Where no key is asked for yet, the first has the scope admin."""
    order, body = body_of(request, contract_keys.CreateKey)
    by = caller(request)
    if access(request) == HOST and order.scopes is not None and KeyScope.ADMIN not in order.scopes:
        raise InvalidContent.at("/scopes", FIRST_MAY_ALL)

    def act(session: Session) -> Effect:
        key, secret = keys.create(session, order, by)
        return Effect(201, {"key": key.id}, shared.keyring.reread, keys.new_resource(key, secret))

    done = shared.posts.run(attempt(request, body.members), lambda _: act)
    location = {"Location": f"/v1/keys/{done.names['key']}", **done.headers}
    if done.resource is not None:
        return answer(done.resource, done.status, location)
    with shared.runtime.database.reading() as session:
        return answer(keys.new_resource(keys.get(session, done.names["key"]), None), done.status, location)


@routes.get("/v1/keys", response_model=resources.Page[contract_keys.Key], responses=refusals())
def list_keys(shared: Shared, page: Page) -> Response:
    """Keys, newest first, revoked ones too; never their secrets."""
    with shared.runtime.database.reading() as session:
        return list_page(page, partial(keys.page, session), keys.resources_of)


@routes.get("/v1/keys/{key}", response_model=contract_keys.Key, responses=refusals(404))
def get_key(shared: Shared, key: str) -> Response:
    """A key: what it may do, and until when."""
    with shared.runtime.database.reading() as session:
        return answer(keys.resource(keys.get(session, key)))


@routes.delete("/v1/keys/{key}", status_code=204, responses=refusals(404))
def revoke_key(shared: Shared, key: str) -> Response:
    """Revoke a key: from now on it opens nothing, in other processes within a poll."""
    with shared.runtime.database.writing() as session:
        keys.revoke(session, keys.get(session, key))
    shared.keyring.reread()
    return Response(status_code=204)
