"""Routes of models: make, list, look, change, archive."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import field_serializer
from sqlalchemy.orm import Session

from service.api.context import Context, Page, Shared, access, answer, attempt, body_of
from service.api.idempotent_posts import Act, Effect
from service.api.lists import list_page
from service.api.openapi import IF_MATCH, KEY, refusals, takes
from service.api.preconditions import (
    Base,
    Makeup,
    check_architecture,
    check_if_match,
    check_method,
    check_retention,
    check_target,
    etag,
)
from service.contract import requests, resources
from service.contract.keys import ADMIN
from service.contract.requests import MethodChoice
from service.contract.targets.kind import AnyPolicy
from service.errors import Forbidden
from service.learning.network.input_scale import declared_scale
from service.registry import models
from service.upkeep import gc

routes = APIRouter(tags=["models"])


class ListedModel(resources.Model):
    """A model in a list: its `gate` has only what differs from the defaults, which a client adds again."""

    @field_serializer("gate")
    def _differing(self, gate: AnyPolicy) -> dict[str, Any]:
        return gate.model_dump(mode="json", exclude_defaults=True)


@routes.post(
    "/v1/models",
    status_code=201,
    response_model=resources.Model,
    responses=refusals(409, writes=True),
    openapi_extra=takes(requests.CreateModel, KEY),
)
def create_model(request: Request, shared: Shared) -> Response:
    """A model: what it takes and how it learns, by a name that the key reaches. It makes no version; predictions answer
    409 until the first update."""
    order, body = body_of(request, requests.CreateModel)
    who = access(request)
    if not who.sees(order.name):
        sentence = f"The key {who.name} makes models of these names: {who.models}. Take one, or use another key."
        raise Forbidden(sentence, [("/name", sentence)])

    def begin(_: object) -> Act:
        limits = shared.runtime.settings
        limits.check_images(order.input)
        limits.check_classes(order.classes, (), "/classes")
        declared_scale(order.input)
        architecture = check_architecture(order.input, order.architecture, limits.weights)
        check_target(order.target, order.input, order.classes)
        makeup = Makeup(order.input, order.target, architecture, order.retention)
        check_method(order.method, makeup, Base())
        return partial(act, order.model_copy(update={"architecture": architecture}))

    def act(checked: requests.CreateModel, session: Session) -> Effect:
        return Effect(201, {"model": models.create(session, checked).name})

    done = shared.posts.run(attempt(request, body.members), begin, brings=True)
    name = done.names["model"]
    return _shown(shared, name, done.status, {"Location": f"/v1/models/{name}", **done.headers})


@routes.get("/v1/models", response_model=resources.Page[ListedModel], responses=refusals())
def list_models(request: Request, shared: Shared, page: Page, archived: bool = False) -> Response:
    """Models that exist for the key, newest first; with `archived` those that were archived instead. `gate` has what
    differs from the defaults; GET of the model has all of it."""
    reach = access(request).models
    with shared.runtime.database.reading() as session:
        return list_page(
            page,
            partial(models.page, session, reach=reach, archived=archived),
            lambda rows: models.resources_of(session, rows, shared.runtime.live.serving_version, ListedModel),
        )


@routes.get("/v1/models/{model}", response_model=resources.Model, responses=refusals(404))
def get_model(shared: Shared, model: str) -> Response:
    """A model: its vocabulary, what is live and what waits. The ETag is for If-Match."""
    return _shown(shared, model, 200, {})


@routes.patch(
    "/v1/models/{model}",
    response_model=resources.Model,
    responses=refusals(404, 412, writes=True),
    openapi_extra=takes(requests.PatchModel, IF_MATCH, example={"promotion": "manual"}),
)
def patch_model(request: Request, shared: Shared, model: str) -> Response:
    """Change method, gate, promotion or retention, and yardstick and level of a target; what is left out stays.

    From all to exemplars or none: learned rows are deleted soon after, by the worker, and nothing brings them back.
    Back to all: rows that arrive from then on stay.
    """
    with shared.runtime.database.reading() as session:
        record = models.get(session, model)
        context = {"target": models.target_of(record), "input": models.input_of(record)}
    order, _ = body_of(request, requests.PatchModel, context=context)
    with shared.runtime.database.writing() as session:
        record = models.get(session, model)
        check_if_match(request, session, record)
        if order.method is not None or order.retention is not None:
            base, makeup = Base.of(session, record), Makeup.of(record, order.retention)
            method = order.method or MethodChoice.model_validate(record.method)
            check_method(method, makeup, base)
            check_retention(makeup.retention, base.live)
        if order.target is not None:
            check_target(models.changed_target(record, order.target), models.input_of(record))
        models.patch(session, record, order)
    if order.target is not None or order.leave_out is not None:
        shared.runtime.live.reread(model)
    shared.runtime.work.set()
    return _shown(shared, model, 200, {})


@routes.delete("/v1/models/{model}", status_code=204, responses=refusals(404, 412), openapi_extra=takes(None, IF_MATCH))
def archive_model(request: Request, shared: Shared, model: str) -> Response:
    """Archive: predictions answer 404, queued updates are cancelled, the name stays taken unless it never had rows.
    `POST …/restore` brings it back. Once it had rows, the key needs the scope admin."""
    with shared.runtime.database.writing() as session:
        record = models.get(session, model, locked=True)
        if models.was_used(session, record):
            access(request).require(ADMIN)
        check_if_match(request, session, record)
        models.archive(session, record)
    shared.runtime.live.drop_model(model)
    shared.runtime.changed()
    gc.discard_saves(shared.runtime, session)
    return Response(status_code=204)


@routes.post("/v1/models/{model}/restore", response_model=resources.Model, responses=refusals(404, 409, writes=True))
def restore_model(shared: Shared, model: str) -> Response:
    """Take a model out of the archive: the version that was live answers again. What was erased meanwhile stays gone,
    and updates that were cancelled stay so. Of a model that is not archived nothing changes."""
    with shared.runtime.database.writing() as session:
        models.restore(session, model)
    shared.runtime.live.reread(model)
    shared.runtime.changed()
    return _shown(shared, model, 200, {})


def _shown(shared: Context, name: str, status: int, headers: dict[str, str]) -> Response:
    with shared.runtime.database.reading() as session:
        record = models.get(session, name)
        resource = models.resources_of(session, [record], shared.runtime.live.serving_version)[0]
        headers = {"ETag": etag(session, record), **headers}
    return answer(resource, status, headers)
