"""Routes of aliases: names that stand for version numbers."""

from __future__ import annotations

import re

from fastapi import APIRouter, Request, Response

from service.api.context import LARGEST_NUMBER, Page, Shared, answer, body_of, caller
from service.api.lists import list_of_model
from service.api.openapi import also, refusals, takes
from service.contract import requests, resources
from service.errors import InvalidContent, NotFound
from service.registry import aliases, models

routes = APIRouter(tags=["versions"])

NAME = re.compile(r"(?![0-9]+$)[a-z0-9][a-z0-9._-]{0,99}")


@routes.put(
    "/v1/models/{model}/aliases/{name}",
    response_model=resources.Alias,
    responses=also(201, resources.Alias, "The name is new.") | refusals(404, 409, 410, writes=True),
    openapi_extra=takes(requests.PutAlias, example={"version": 3}),
)
def put_alias(request: Request, shared: Shared, model: str, name: str) -> Response:
    """Point a name at a version: from now on it stands for the number in every path. 201 when the name is new."""
    _check(name)
    order, _ = body_of(request, requests.PutAlias)
    with shared.runtime.database.writing() as session:
        record = models.get(session, model)
        if order.version > LARGEST_NUMBER:
            raise InvalidContent.at("/version", f"{model} has no such version.")
        try:
            most = shared.runtime.settings.model_aliases
            new = aliases.put(session, record, name, order.version, caller(request), most)
        except NotFound as error:
            raise InvalidContent.at("/version", error.detail) from None
        session.flush()
        resource = aliases.resources_of(session, record, [aliases.get(session, record, name)])[0]
    shared.runtime.live.reread(model)
    return answer(resource, 201 if new else 200, {"Location": f"/v1/models/{model}/aliases/{name}"} if new else {})


@routes.get("/v1/models/{model}/aliases", response_model=resources.Page[resources.Alias], responses=refusals(404))
def list_aliases(shared: Shared, page: Page, model: str) -> Response:
    """Names that people gave to versions, newest first."""
    return list_of_model(shared, page, model, aliases.page, aliases.resources_of)


@routes.get("/v1/models/{model}/aliases/{name}", response_model=resources.Alias, responses=refusals(404))
def get_alias(shared: Shared, model: str, name: str) -> Response:
    """Where a name points, who pointed it there, and when."""
    with shared.runtime.database.reading() as session:
        record = models.get(session, model)
        return answer(aliases.resources_of(session, record, [aliases.get(session, record, name)])[0])


@routes.delete("/v1/models/{model}/aliases/{name}", status_code=204, responses=refusals(404))
def delete_alias(shared: Shared, model: str, name: str) -> Response:
    """Forget a name; its version stays."""
    with shared.runtime.database.writing() as session:
        aliases.delete(session, models.get(session, model), name)
    shared.runtime.live.reread(model)
    return Response(status_code=204)


def _check(name: str) -> None:
    """Raises InvalidContent for a name that cannot be an alias."""
    if name in aliases.RESERVED:
        raise InvalidContent.at("/name", f"{name} is no name to give: it always names the {name} version.")
    if not NAME.fullmatch(name):
        raise InvalidContent.at(
            "/name",
            "An alias is lower case letters, digits, '.', '_' and '-', at most 100; it begins with a letter or "
            "digit and is not digits alone.",
        )
