"""The route of the rows of a batch, for people who look at them before they correct some."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from service.api.bodies.shown_rows import shown_inputs
from service.api.context import Page, Shared
from service.api.lists import list_page
from service.api.openapi import refusals
from service.contract.inputs import InputSpec
from service.contract.resources import BatchRow, BatchRows
from service.errors import Conflict, Erased, InvalidContent
from service.learning.data.rows import Rows
from service.learning.data.serialization import unpack_rows
from service.registry import batches, models
from service.registry.sql.tables import Batch, Model
from service.storage.artifacts import model_area, read_twice

routes = APIRouter(tags=["data"])

LARGEST_BYTES = 64 * 2**20
"""Of a stored batch whose rows are shown: it is read whole."""
_READING = threading.BoundedSemaphore(2)
"""Batches that are held at a time."""


@routes.get("/v1/models/{model}/batches/{batch}/rows", response_model=BatchRows, responses=refusals(404, 409, 410))
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

        def shown(places: list[int]) -> list[BatchRow]:
            some = stored.take(np.array(places, np.int64))
            return [_shown(some, k, value) for k, value in enumerate(shown_inputs(some.inputs, spec, values))]

        return list_page(page, fetch, shown)


def _shown(rows: Rows, k: int, value: object) -> BatchRow:
    row = int(rows.row[k])
    if rows.numeric:
        return BatchRow(row=row, label=None, targets=rows.targets[k].tolist(), input=value)
    return BatchRow(row=row, label=rows.names[rows.labels[k]], targets=None, input=value)


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
