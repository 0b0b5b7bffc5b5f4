"""The body of a request that brings rows to learn: a small one is decoded in this process, a large one in the reading
process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from fastapi import Request
from sqlalchemy.orm import Session
from starlette.types import Scope

from service.api.bodies.csv_bodies import columns_sent, in_lines, read_order, refuse_query
from service.api.bodies.decoded_rows import BodyRows, RowsInMemory, RowsOnDisk
from service.api.bodies.heavy_bodies import spool_if_heavy
from service.api.context import Context
from service.api.idempotent_posts import Hashed
from service.api.limits.bodies import media_type
from service.api.reader.annotations import Due, annotate_csv, read_annotations
from service.api.reader.process import Reader
from service.api.reader.spool import Spooled
from service.api.reader.tasks import load_labels, load_members, load_values
from service.api.validation import validated
from service.contract.enums import CSV, SAFETENSORS
from service.contract.inputs import ImageInput
from service.contract.requests import CreateBatch, CreateUpdate, together
from service.errors import InvalidContent
from service.intake.formats.csv_header import Meant, Spec
from service.intake.formats.csv_table import read_csv
from service.intake.formats.rows_file import read_rows_file
from service.intake.json_body import LABELS, ROWS, TARGETS, JsonBody, read_object, read_object_or_csv
from service.intake.kinds.rows import read_named_rows
from service.registry import models
from service.registry.sql.tables import Model
from service.settings import Settings
from service.tuning.messages import Refused

Order = TypeVar("Order", CreateBatch, CreateUpdate)


@dataclass(frozen=True, eq=False)
class RowBody:
    """A checked body that may bring rows.

    members: those beside its rows · rows: decodes them, with their labels or targets, and groups; raises InvalidContent
    with the pointer of the first fault · hash: of a large body, by the reading process.
    """

    members: Mapping[str, Any]
    rows: Callable[[], BodyRows]
    hash: str | None = None

    def identity(self, rows: BodyRows | None) -> Any:
        """The parsed body for an Idempotency-Key: rows by what they hold, however they were written."""
        if self.hash is not None:
            return Hashed(self.hash)
        return {**self.members, **rows.identities()} if isinstance(rows, RowsInMemory) else self.members


def read_row_body(shared: Context, request: Request, kind: type[Order], due: Due) -> tuple[Order, RowBody]:
    """The body as a request, and the rows that it brings.

    Raises BrokenJSON, InvalidContent, Busy, TooLarge, DiskFull.
    """
    media, limits = media_type(request.scope), shared.runtime.settings
    if media == CSV:
        return _read_file(shared, request.scope, kind, due)
    refuse_query(request.scope["query_string"], kind)
    body: bytes | Spooled = request.scope["tsuika.body"]
    if media != SAFETENSORS:
        body = spool_if_heavy(shared, request.scope, body, due.input)
    report: dict[str, Any] = {}
    if isinstance(body, Spooled):
        report = shared.reader.run(body, "read", due=due.model_dump(mode="json", by_alias=True), media=media)
        read = load_members(body.folder)
    elif media == SAFETENSORS:
        read = read_rows_file(body, due.input, due.model, (TARGETS,), limits.max_depth)
    else:
        read_members = read_object if isinstance(due.input, ImageInput) else read_object_or_csv
        read = read_members(body, (ROWS, TARGETS), depth=limits.max_depth)
    order = validated(kind, read)
    _check_words(order, read, due)
    if isinstance(body, Spooled):
        return order, _large(shared.reader, body, read, report)
    return order, RowBody(read.members, partial(_decoded, read, order, due, limits))


def _read_file(shared: Context, scope: Scope, kind: type[Order], due: Due) -> tuple[Order, RowBody]:
    """The same of a CSV file."""
    spec, limits = in_lines(due.input, due.model), shared.runtime.settings
    order, read, meant = read_order(scope, kind, due, limits.max_depth)
    body: bytes | Spooled = scope["tsuika.body"]
    if not isinstance(body, Spooled):
        return order, RowBody(read.members, partial(_decoded_file, body, spec, meant, due, limits))
    task = {"due": due.model_dump(mode="json", by_alias=True), "members": read.members}
    report = shared.reader.run(body, "read file", **task, meant=columns_sent(meant))
    return order, _large(shared.reader, body, read, report)


def _decoded(read: JsonBody, order: CreateBatch | CreateUpdate, due: Due, limits: Settings) -> RowsInMemory:
    named = read_named_rows(read.rows, due.input, due.model, limits)
    limits.check_rows_of(due.input, len(named.rows))
    values = {LABELS: order.labels, TARGETS: read.targets}
    return RowsInMemory(named.rows, read_annotations(values, order.groups, named, due))


def _decoded_file(body: bytes, spec: Spec, meant: Meant, due: Due, limits: Settings) -> RowsInMemory:
    table = read_csv([body], spec, meant, due.model, limits)
    return RowsInMemory(table.named.rows, annotate_csv(table, due), table)


def _large(reader: Reader, body: Spooled, read: JsonBody, report: Mapping[str, Any]) -> RowBody:
    """A body that the reading process has decoded, as it reports."""

    def rows() -> RowsOnDisk:
        if "fault" in report:
            raise Refused(**report["fault"]).error()
        labels, values = load_labels(body.folder), load_values(body.folder)
        return RowsOnDisk(reader, body, labels, values, report.get("notes", ()))

    return RowBody(read.members, rows, report.get("hash"))


def due_of(session: Session, model: Model) -> Due:
    """What rows of a model are due to be."""

    def live() -> Mapping[str, Any] | None:
        version = models.live(session, model)
        return version.layout if version is not None else None

    return Due.of(model.name, models.input_of(model), models.target_of(model), live, model.leave_out or ())


def _check_words(order: CreateBatch | CreateUpdate, body: JsonBody, due: Due) -> None:
    """Raises InvalidContent where rows come with labels and the model predicts numbers, or the other way round; or
    with neither."""
    if order.inputs is None:
        return
    due_word, other = due.word, LABELS if due.word == TARGETS else TARGETS
    if getattr(order, other) is not None:
        raise InvalidContent.at(
            f"/{other}", f"{due.model} predicts {due.target.predicts}: send {due_word} in place of {other}."
        )
    if getattr(order, due_word) is None and isinstance(order, CreateUpdate):
        raise InvalidContent.at("", f"{together(due_word)}.")
    if getattr(order, due_word) is None:
        missing = f"{due_word} is missing." if due_word not in body.members else f"{due_word} is a list, one a row."
        raise InvalidContent.at(f"/{due_word}", missing)
