"""Routes of batches and of the vocabulary."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session

from service.api.bodies.csv_bodies import takes_rows
from service.api.bodies.new_batch import NewBatch, check_room
from service.api.bodies.row_bodies import due_of, located, read_row_body
from service.api.context import Context, Page, Shared, answer, attempt, body_of
from service.api.idempotent_posts import Act, Effect
from service.api.lists import list_of_model
from service.api.openapi import KEY, also, refusals, takes
from service.contract import requests, resources
from service.contract.names import clean_class_names
from service.errors import Conflict
from service.registry import batches, models
from service.upkeep.named_files import Name

routes = APIRouter(tags=["data"])


@routes.post(
    "/v1/models/{model}/batches",
    status_code=201,
    response_model=resources.Batch,
    responses=also(200, resources.Batch, "The same rows were there.") | refusals(404, 409, writes=True),
    openapi_extra=takes_rows(requests.CreateBatch, KEY),
)
def create_batch(request: Request, shared: Shared, model: str) -> Response:
    """Store rows with labels or targets; an update learns from them. The same content and source again is the same
    batch (200)."""
    with shared.runtime.database.reading() as session:
        record = models.get(session, model)
        due = due_of(session, record)
    order, body = read_row_body(shared, request, requests.CreateBatch, due)
    rows = body.rows(shared, order)

    new_batch = NewBatch(shared.runtime, model, rows, order)

    def begin(stored: set[Name]) -> Act:
        new_batch.store(stored)
        return act

    def act(session: Session) -> Effect:
        batch, new = new_batch.accept(session)
        named = {"batch": batch.id}
        return Effect(201, named, resource=batches.resource_of(record, batch)) if new else Effect(200, named)

    with located(rows):
        done = shared.posts.run(attempt(request, body.identity(rows)), begin, brings=True)
    batch_id = done.names["batch"]
    headers = {"Location": f"/v1/models/{model}/batches/{batch_id}", **done.headers}
    resource = done.resource or _batch(shared, model, batch_id)
    notes = [rows.guess] if rows.guess else []
    return answer(resource.model_copy(update={"notes": notes}), done.status, headers)


@routes.get("/v1/models/{model}/batches", response_model=resources.Page[resources.Batch], responses=refusals(404))
def list_batches(
    shared: Shared, page: Page, model: str, source: Annotated[str | None, Query(max_length=200)] = None
) -> Response:
    """Batches, newest first; those of one source. Of an archived model, too: what it keeps can still be erased."""
    return list_of_model(
        shared, page, model, partial(batches.page, source=source), batches.resources_of, archived_too=True
    )


@routes.get("/v1/models/{model}/batches/{batch}", response_model=resources.Batch, responses=refusals(404))
def get_batch(shared: Shared, model: str, batch: str) -> Response:
    """A batch and its state: pending, learned, rejected, retracted or erased. Of an archived model, too."""
    return answer(_batch(shared, model, batch))


@routes.get("/v1/models/{model}/classes", response_model=resources.Classes, responses=refusals(404))
def list_classes(shared: Shared, model: str) -> Response:
    """The vocabulary."""
    with shared.runtime.database.reading() as session:
        return answer(resources.Classes(classes=models.get(session, model).classes))


@routes.post(
    "/v1/models/{model}/classes",
    status_code=201,
    response_model=resources.Classes,
    responses=also(200, resources.Classes, "All were known.") | refusals(404, 409, writes=True),
    openapi_extra=takes(requests.ClassNames, KEY, example={"names": ["5", "6"]}),
)
def declare_classes(request: Request, shared: Shared, model: str) -> Response:
    """Declare classes before there are rows of them."""
    order, body = body_of(request, requests.ClassNames)
    names = clean_class_names(order.names, "/names")

    def act(session: Session) -> Effect:
        record = models.get(session, model)
        if not (target := models.target_of(record)).has_classes:
            sentence = f"{model} predicts {target.predicts}, and has no classes. Send batches with {target.member}."
            raise Conflict(sentence)
        check_room(record, names, "/names", shared.runtime.settings.max_classes)
        return Effect(201 if models.add_classes(session, record, names) else 200, {})

    done = shared.posts.run(attempt(request, body.members), lambda _: act)
    with shared.runtime.database.reading() as session:
        vocabulary = models.get(session, model).classes
    return answer(resources.Classes(classes=vocabulary), done.status, done.headers)


@routes.delete("/v1/models/{model}/classes/{name:path}", status_code=204, responses=refusals(404, 409))
def remove_class(shared: Shared, model: str, name: str) -> Response:
    """Take a name out of the vocabulary, while no unretracted batch uses it."""
    with shared.runtime.database.writing() as session:
        models.remove_class(session, models.get(session, model), name)
    return Response(status_code=204)


def _batch(shared: Context, model: str, batch_id: str) -> resources.Batch:
    with shared.runtime.database.reading() as session:
        record = models.get(session, model, archived_too=True)
        return batches.resources_of(session, record, [batches.get(session, record, batch_id)])[0]
