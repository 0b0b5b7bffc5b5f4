"""Routes of what is live: promote by hand, roll back, look at the history. They answer once it is in effect here."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session

from service.api.context import LARGEST_NUMBER, Context, Page, Shared, answer, attempt, body_of, caller
from service.api.idempotent_posts import Act, Effect
from service.api.lists import list_of_model
from service.api.openapi import IF_MATCH, KEY, also, refusals, takes
from service.api.preconditions import check_if_match
from service.api.routes.updates import announce
from service.contract import requests, resources, version_resources
from service.contract.enums import UpdateKind
from service.errors import Conflict, Erased, InvalidContent, NotFound
from service.registry import batches, deployments, models, updates, versions
from service.registry.callers import quotas
from service.registry.sql.database import marks
from service.registry.sql.tables import Deployment, Model, Update, Version
from service.registry.updates import Order
from service.remedies import NO_NUMBER, PROMOTE
from service.serving.loaded_versions import Loaded

routes = APIRouter(tags=["what is live"])


@routes.post(
    "/v1/models/{model}/deployments",
    status_code=201,
    response_model=version_resources.Deployment,
    responses=also(202, resources.Update, "With rebase: the update that learns it again.")
    | refusals(404, 409, 410, 412, writes=True),
    openapi_extra=takes(
        requests.CreateDeployment, KEY, IF_MATCH, example={"version": 2, "reason": "checked", "if_live": 3}
    ),
)
def create_deployment(request: Request, shared: Shared, model: str) -> Response:
    """Make a version live by hand; `left_out` names the batches that it lacks, which are pending again, and `waiting`
    all that wait. `rebase`, where another has gone live since it was made: learn it again on that one; what comes of it
    is judged anew."""
    order, body = body_of(request, requests.CreateDeployment)
    by = caller(request)

    def begin(_: object) -> Act:
        if not order.rebase and shared.runtime.live.find(model, order.version) is None:
            _warm(shared, model, order.version)
        return act

    def act(session: Session) -> Effect:
        record = _locked(request, session, model, order.if_live)
        version = _named(session, record, order.version)
        if order.rebase:
            quotas.require_turn(session, record, shared.runtime.settings)
            update = updates.enqueue(session, record, _order_anew(session, record, version), by)
            return Effect(202, {"update": update.id}, lambda: announce(shared))
        deployment = deployments.promote(session, record, version, order.reason, by)
        loaded = _prepared(shared, record, version)
        resource = deployments.promoted_by_hand(session, record, deployment)
        return Effect(201, {"deployment": deployment.id}, lambda: _swap(shared, loaded, session), resource)

    done = shared.posts.run(attempt(request, body.members), begin)
    if done.resource is not None:
        return answer(done.resource, done.status, done.headers)
    with shared.runtime.database.reading() as session:
        if "update" in done.names:
            update = updates.find(session, done.names["update"])
            headers = {"Location": f"/v1/updates/{update.id}", **done.headers}
            return answer(updates.resources_of(session, [update])[0], done.status, headers)
        record = models.get(session, model)
        deployment = session.get_one(Deployment, done.names["deployment"])
        return answer(deployments.promoted_by_hand(session, record, deployment), done.status, done.headers)


@routes.get(
    "/v1/models/{model}/deployments",
    response_model=resources.Page[version_resources.Deployment],
    responses=refusals(404),
)
def list_deployments(shared: Shared, page: Page, model: str) -> Response:
    """How the live pointer moved, newest first."""
    return list_of_model(shared, page, model, deployments.page, deployments.resources_of)


@routes.get("/v1/models/{model}/rollback", response_model=version_resources.WayBack, responses=refusals(404))
def foresee_rollback(
    shared: Shared,
    model: str,
    to: Annotated[int | None, Query(ge=1, description="The version to go back to; else the one before.")] = None,
) -> Response:
    """What a rollback would do now: which version would answer, and what would wait to be learned again. Nothing
    changes."""
    with shared.runtime.database.reading() as session:
        return answer(deployments.foreseen(session, models.get(session, model), to))


@routes.post(
    "/v1/models/{model}/rollback",
    response_model=version_resources.RolledBack,
    responses=refusals(404, 409, 410, 412, writes=True),
    openapi_extra=takes(
        requests.Rollback, KEY, IF_MATCH, example={"reason": "wrong labels", "if_live": 2}, required=False
    ),
)
def roll_back(request: Request, shared: Shared, model: str) -> Response:
    """Undo the latest promotion not yet undone: the version before answers now, and promotion becomes manual.
    Without `to`, versions that are gone or have learned what was taken back are passed over (`passed`)."""
    order, body = body_of(request, requests.Rollback, empty=True)
    by = caller(request)

    def act(session: Session) -> Effect:
        record = _locked(request, session, model, order.if_live)
        if (live_before := record.live_version_id) is None:
            sentence = f"No version of {model} is live, so none can be gone back from. Make one live by hand"
            raise Conflict(f"{sentence}: {PROMOTE(model=model, version=NO_NUMBER)}.")
        if order.to is not None:
            _named(session, record, order.to, "/to")
        deployment, passed = deployments.roll_back(session, record, order.reason, order.to, by)
        loaded = _prepared(shared, record, versions.by_id(session, deployment.version_id, slim=True))
        before = versions.number_of(session, live_before)
        names = {"deployment": deployment.id, "before": before, "passed": passed}
        resource = deployments.rolled_back(session, record, deployment, before, passed)
        return Effect(200, names, lambda: _swap(shared, loaded, session), resource)

    def begin(_: object) -> Act:
        with shared.runtime.database.reading() as session:
            target = deployments.way_back_to(session, models.get(session, model), order.to)
        if target is not None and shared.runtime.live.find(model, target) is None:
            with suppress(Erased):  # the transaction says where else to go
                _warm(shared, model, target)
        return act

    done = shared.posts.run(attempt(request, body.members), begin)
    if done.resource is not None:
        return answer(done.resource, done.status, done.headers)
    with shared.runtime.database.reading() as session:
        record = models.get(session, model)
        deployment = session.get_one(Deployment, done.names["deployment"])
        passed = done.names.get("passed", ())  # an answer that an older version of Tsuika recorded has none
        resource = deployments.rolled_back(session, record, deployment, done.names["before"], passed)
    return answer(resource, done.status, done.headers)


def _locked(request: Request, session: Session, name: str, if_live: int | None) -> Model:
    """The model, locked, if its state is the one that the caller expects. Raises LiveMoved, PreconditionFailed."""
    model = models.get(session, name, locked=True)
    check_if_match(request, session, model)
    models.check_live(session, model, if_live)
    return model


def _named(session: Session, model: Model, number: int, pointer: str = "/version") -> Version:
    """A version that a body names. Raises InvalidContent with the pointer, Erased."""
    if number <= LARGEST_NUMBER:
        try:
            return versions.present(session, model, number, slim=True)
        except NotFound as error:
            raise InvalidContent.at(pointer, error.detail) from None
    raise InvalidContent.at(pointer, f"{model.name} has no such version.")


def _order_anew(session: Session, model: Model, version: Version) -> Order:
    """The update that made a version, to be run on the version that is live when it is claimed, without batches that
    were taken back since. Raises Conflict."""
    origin = session.get(Update, version.update_id) if version.update_id is not None else None
    if origin is None or origin.kind != UpdateKind.LEARN:
        raise Conflict(f"Version {version.number} was not made by learning; it cannot be learned again.")
    there = [batch for batch in batches.named(session, model, origin.batches) if batch.retracted_at is None]
    if origin.batches and not there:
        raise Conflict(f"Each batch of version {version.number} was taken back: nothing is left to learn again.")
    for batch in there:
        if not batch.in_live:
            batches.require_whole(session, model, batch)
    method = origin.method or origin.requested_method
    return replace(updates.order_of(session, origin), batches=[batch.id for batch in there], method=method)


def _warm(shared: Context, name: str, number: int) -> None:
    """Loads a version before the transaction, so that loading holds up nobody; whether it may go live is checked
    inside."""
    with shared.runtime.database.reading() as session:
        _named(session, models.get(session, name), number)
    shared.runtime.live.at(name, number)


def _prepared(shared: Context, model: Model, version: Version) -> Loaded:
    """The version, loaded and warm, before the pointer moves. Raises CorruptArtifact: then nothing moves."""
    live = shared.runtime.live
    if (known := live.known(model.name, version.number, version.id)) is not None:
        return known
    return live.prepare(model.id, model.name, version.number, version.layout, version.shards)


def _swap(shared: Context, loaded: Loaded, session: Session) -> None:
    shared.runtime.live.swap(loaded, marks(session))
    shared.runtime.changed()
