"""Routes of batches, of their rows, and of the vocabulary."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session

from service.api.bodies.csv_bodies import takes_rows
from service.api.bodies.decoded_rows import located
from service.api.bodies.new_batch import NewBatch
from service.api.bodies.row_bodies import due_of, read_row_body
from service.api.bodies.shown_rows import shown_inputs
from service.api.context import Context, Page, Shared, answer, attempt, body_of
from service.api.idempotent_posts import Act, Effect
from service.api.lists import list_of_model, list_page
from service.api.openapi import KEY, also, refusals, takes
from service.contract import requests, resources
from service.contract.inputs import InputSpec
from service.contract.names import clean_class_names
from service.errors import Conflict, Erased, InvalidContent
from service.learning.data.rows import Rows
from service.learning.data.serialization import unpack_rows
from service.registry import batches, models
from service.registry.sql.tables import Batch, Model
from service.storage.artifacts import model_area, read_twice
from service.upkeep.named_files import Name

routes = APIRouter(tags=["data"])

LARGEST_BYTES = 64 * 2**20
"""Of a stored batch whose rows are shown: it is read whole."""
_READING = threading.BoundedSemaphore(2)
"""Batches that are held at a time."""


@routes.post(
    "/v1/models/{model}/batches",
    status_code=201,
    response_model=resources.Batch,
    responses=also(200, resources.Batch, "The same rows were there.") | refusals(404, 409, writes=True),
    openapi_extra=takes_rows(requests.CreateBatch, KEY),
)
def create_batch(request: Request, shared: Shared, model: str) -> Response:
    """Store rows with labels or targets; an update learns from them. The same content and source again is the same
    batch (200); it is refused (409) where a correction took the place of that batch, unless with `again`. From another
    source it is learned a second time, and a note says so; another note names an earlier batch that has most of the
    rows, too, as a file has that was sent before it was corrected."""
    with shared.runtime.database.reading() as session:
        record = models.get(session, model)
        due = due_of(session, record)
    order, body = read_row_body(shared, request, requests.CreateBatch, due)
    rows = body.rows()

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
    return answer(resource, done.status, headers)


@routes.get("/v1/models/{model}/batches", response_model=resources.Page[resources.Batch], responses=refusals(404))
def list_batches(
    shared: Shared,
    page: Page,
    model: str,
    source: Annotated[str | None, Query(max_length=200)] = None,
    waiting: bool = False,
) -> Response:
    """Batches, newest first; those of one source, or those that wait to be learned, as "pending" names them. Of an
    archived model, too: what it keeps can still be erased."""
    fetch = partial(batches.page, source=source, waiting=waiting)
    return list_of_model(shared, page, model, fetch, batches.resources_of, archived_too=True)


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
        shared.runtime.settings.check_classes(names, record.classes, "/names")
        return Effect(201 if models.add_classes(session, record, names) else 200, {})

    done = shared.posts.run(attempt(request, body.members), lambda _: act)
    with shared.runtime.database.reading() as session:
        vocabulary = models.get(session, model).classes
    return answer(resources.Classes(classes=vocabulary), done.status, done.headers)


@routes.delete("/v1/models/{model}/classes/{name:path}", status_code=204, responses=refusals(404, 409))
def remove_class(shared: Shared, model: str, name: str, reason: Annotated[requests.Reason, Query()] = "") -> Response:
    """Take a name out of the vocabulary, while no unretracted batch uses it."""
    with shared.runtime.database.writing() as session:
        models.remove_class(session, models.get(session, model), name, reason)
    return Response(status_code=204)


@routes.get(
    "/v1/models/{model}/batches/{batch}/rows", response_model=resources.BatchRows, responses=refusals(404, 409, 410)
)
def list_rows(
    shared: Shared,
    page: Page,
    model: str,
    batch: str,
    rows: Annotated[
        str | None,
        Query(
            pattern=r"^[0-9]{1,9}(,[0-9]{1,9}){0,99}$", description="Rows of these numbers alone, with commas between."
        ),
    ] = None,
) -> Response:
    """Rows of a batch with their labels or targets, in the order of their numbers; the cursor is one. Inputs are as
    they could be sent; a value of a category that is not kept as text is its code. Rows without a label or target are
    not among them."""
    if page.cursor is not None and not page.cursor.isdigit():
        raise InvalidContent.at("/cursor", "The cursor is not one that a page of this list gave.")

    def read() -> tuple[InputSpec, Mapping[str, Iterable[str]], Rows]:
        with shared.runtime.database.reading() as session:
            record = models.get(session, model)
            sent = batches.get(session, record, batch)
            area, digest = model_area(record.id), _stored(session, record, sent)
        return models.input_of(record), dict(sent.values or {}), unpack_rows(shared.runtime.store.get(area, digest))

    with _READING:
        spec, values, stored = read_twice(read)
        wanted = np.argsort(stored.row, kind="stable")
        if rows is not None:
            wanted = wanted[np.isin(stored.row[wanted], [int(row) for row in rows.split(",")])]
        numbers = stored.row[wanted].tolist()

        def fetch(limit: int, cursor: str | None) -> tuple[list[int], str | None]:
            first = int(np.searchsorted(numbers, int(cursor or 0)))
            after = first + limit
            return wanted[first:after].tolist(), str(numbers[after]) if after < len(numbers) else None

        def shown(places: list[int]) -> list[resources.BatchRow]:
            some = stored.take(np.array(places, np.int64))
            return [_shown(some, k, value) for k, value in enumerate(shown_inputs(some.inputs, spec, values))]

        return list_page(page, fetch, shown)


def _shown(rows: Rows, k: int, value: object) -> resources.BatchRow:
    label, targets = rows.names[rows.labels[k]] or None, rows.targets[k].tolist() or None
    return resources.BatchRow(row=int(rows.row[k]), label=label, targets=targets, input=value)


def _stored(session: Session, model: Model, batch: Batch) -> str:
    """The digest of its rows. Raises Erased, and Conflict where they are not here, or too many."""
    if batch.erased_at is not None:
        raise Erased(f"The rows of batch {batch.id} were erased.")
    if batch.stored_digest is None:
        batches.require_whole(session, model, batch)
        raise Conflict(f"The rows of batch {batch.id} are not here any more.")
    if batch.bytes > LARGEST_BYTES:
        raise Conflict(f"Batch {batch.id} has {batch.bytes:,} bytes: too many to be looked at here.")
    return batch.stored_digest


def _batch(shared: Context, model: str, batch_id: str) -> resources.Batch:
    with shared.runtime.database.reading() as session:
        record = models.get(session, model, archived_too=True)
        return batches.resources_of(session, record, [batches.get(session, record, batch_id)])[0]
