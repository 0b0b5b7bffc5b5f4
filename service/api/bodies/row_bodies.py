"""The body of a request that brings rows: a small one is decoded in this process, a large one in the reading process.

Numbers that come as they are in memory need no decoding: a large body of them is mapped, and a pass reads its rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import msgspec
from fastapi import Request
from numpy.typing import NDArray
from sqlalchemy.orm import Session
from starlette.types import Scope

from service.api.bodies.csv_bodies import in_lines, read_order
from service.api.bodies.csv_bodies import refuse_query as refuse_options
from service.api.bodies.prediction_bodies import (
    Question,
    asked_of_file,
    check_added_back,
    options_of_query,
    read_options,
    refuse_query,
)
from service.api.context import Context
from service.api.idempotent_posts import Hashed
from service.api.limits.bodies import media_type
from service.api.reader.annotations import Annotations, Due, annotate_csv, read_annotations
from service.api.reader.process import Reader
from service.api.reader.spool import LARGE_BYTES, Spooled
from service.api.reader.store_rows import Making, identity_of, make, settled
from service.api.reader.tasks import (
    ARRAY,
    MEMBERS,
    load_array,
    load_labels,
    load_names,
    load_places,
    load_texts,
    load_values,
)
from service.api.validation import validated
from service.contract.body_limits import BodyLimits
from service.contract.enums import CSV, SAFETENSORS
from service.contract.inputs import ImageInput, InputSpec
from service.contract.requests import CreateBatch, CreateUpdate, together
from service.contract.tables import TableInput
from service.errors import InvalidContent
from service.intake.formats import oip_tables
from service.intake.formats.csv_header import Meant
from service.intake.formats.csv_table import CsvTable, Places, read_csv
from service.intake.formats.oip_request import Inference, Wanted, declared_length, read_inference
from service.intake.formats.raw import READERS
from service.intake.formats.rows_file import read_rows_file
from service.intake.json_body import LABELS, ROWS, TARGETS, JsonBody, read_object, read_object_or_csv
from service.intake.kinds import tables
from service.intake.kinds.brought_values import BroughtValues
from service.intake.kinds.images import is_heavy
from service.intake.kinds.labels import Labels
from service.intake.kinds.pictures import SIGNATURES
from service.intake.kinds.rows import read_named_rows
from service.intake.kinds.texts import as_rows
from service.learning.data.sides import FOLDING, Folding
from service.registry import models
from service.registry.rows.arrival import Arrival
from service.registry.sql.tables import Model
from service.serving.kinds.kind import PredictOptions
from service.serving.loaded_versions import Loaded
from service.storage.artifacts import Artifacts
from service.tuning.messages import Refused

USUAL_STRINGS = 12
"""Strings of the JSON of a request with one picture."""

Order = TypeVar("Order", CreateBatch, CreateUpdate)


@dataclass(frozen=True, eq=False)
class RowsInMemory:
    """Rows in memory, with what is known of each."""

    inputs: NDArray[Any]
    annotations: Annotations
    file: CsvTable | None = None

    @cached_property
    def labels(self) -> Labels:
        """A summary of their labels; where targets are numbers, of none."""
        return self.annotations.summary()

    @property
    def values(self) -> BroughtValues:
        """The values of open categories; none where inputs are no tables."""
        return self.annotations.values

    def identities(self) -> dict[str, str]:
        """Names rows and targets by what they hold, however they were written, by the member that holds them."""
        targets = self.annotations.targets
        return {ROWS: identity_of(self.inputs), **({} if targets is None else {TARGETS: identity_of(targets)})}

    def places(self) -> Places | None:
        """Where they stand in a CSV file; None where they came as JSON."""
        return None if self.file is None else self.file.places

    @property
    def notes(self) -> Sequence[str]:
        """How a CSV file was read, where that is not as usual."""
        return () if self.file is None else self.file.notes

    def digest(self) -> str:
        """The digest of the content of a batch of them."""
        return self.annotations.digest(self.inputs)

    def settled(self, folding: Folding, secret: bytes) -> Folding:
        """How the rows of the model are folded from now on."""
        return settled(self.inputs, self.annotations, folding, secret)

    def make(self, making: Making, store: Artifacts) -> Arrival:
        """Folds and stores them. Raises DiskFull."""
        return make(self.inputs, self.annotations, making, store)


@dataclass(frozen=True, eq=False)
class RowsOnDisk:
    """As `RowsInMemory`, in the folder of a large body: this process never holds them."""

    reader: Reader
    body: Spooled
    labels: Labels
    values: BroughtValues
    notes: Sequence[str] = ()

    def places(self) -> Places | None:
        return load_places(self.body.folder)

    def digest(self) -> str:
        digest: str = self.reader.run(self.body, "digest")["digest"]
        return digest

    def settled(self, folding: Folding, secret: bytes) -> Folding:
        task = {"folding": folding.model_dump(mode="json"), "secret": secret.hex()}
        return FOLDING.as_stored(self.reader.run(self.body, "settle", **task))

    def make(self, making: Making, store: Artifacts) -> Arrival:
        return Arrival(**self.reader.run(self.body, "store", making=making.model_dump(mode="json")))


BodyRows = RowsInMemory | RowsOnDisk
"""Decoded rows with their labels or targets, wherever they are."""


@contextmanager
def located(rows: BodyRows | None) -> Iterator[None]:
    """Adds line and column to the refusal of a row that came in a CSV file. Raises InvalidContent."""
    try:
        yield
    except InvalidContent as fault:
        places = None if rows is None else rows.places()
        if places is None:
            raise
        raise places.located(fault) from None


@dataclass(frozen=True, eq=False)
class RowBody:
    """A checked body that may bring rows; `report`: the answer of the reading process, of a large body; `table`: reads
    a small one that is a CSV file, of which `json` is what its query says."""

    json: JsonBody
    due: Due
    spooled: Spooled | None = None
    report: dict[str, Any] | None = None
    table: Callable[[], CsvTable] | None = None

    def rows(self, shared: Context, order: CreateBatch | CreateUpdate) -> BodyRows:
        """The rows, with their labels or targets, and groups. Raises InvalidContent with the pointer of the first
        fault."""
        if self.table is not None:
            table = self.table()
            return RowsInMemory(table.named.rows, annotate_csv(table, self.due), table)
        if self.spooled is None or self.report is None:
            limits, spec = shared.runtime.settings, self.due.input
            named = read_named_rows(self.json.rows, spec, self.due.model, limits)
            limits.check_rows_of(spec, len(named.rows))
            values = {LABELS: order.labels, TARGETS: self.json.targets}
            return RowsInMemory(named.rows, read_annotations(values, order.groups, named, self.due))
        if "fault" in self.report:
            raise Refused(**self.report["fault"]).error()
        known = load_labels(self.spooled.folder), load_values(self.spooled.folder)
        return RowsOnDisk(shared.reader, self.spooled, *known, self.report.get("notes", ()))

    def identity(self, rows: BodyRows | None) -> Any:
        """The parsed body for an Idempotency-Key: rows by what they hold, however they were written."""
        if self.report is not None:
            return Hashed(self.report["hash"])
        if self.table is not None and rows is not None:
            return {**self.json.members, ROWS: rows.digest()}
        return {**self.json.members, **rows.identities()} if isinstance(rows, RowsInMemory) else self.json.members


def read_row_body(shared: Context, request: Request, kind: type[Order], due: Due) -> tuple[Order, RowBody]:
    """The body as a request, and the rows that it brings.

    Raises BrokenJSON, InvalidContent, Busy, TooLarge, DiskFull.
    """
    media, settings = media_type(request.scope), shared.runtime.settings
    if media == CSV:
        return _read_file(shared, request.scope, kind, due)
    refuse_options(request.scope["query_string"], kind)
    spooled: bytes | Spooled = request.scope["tsuika.body"]
    if media != SAFETENSORS:
        spooled = spool_if_heavy(shared, request.scope, spooled, due.input)
    if isinstance(spooled, Spooled):
        report = shared.reader.run(spooled, "read", due=due.model_dump(mode="json", by_alias=True), media=media)
        body = RowBody(members_of(spooled), due, spooled, report)
    elif media == SAFETENSORS:
        body = RowBody(read_rows_file(spooled, due.input, due.model, (TARGETS,), settings.max_depth), due)
    else:
        read_members = read_object if isinstance(due.input, ImageInput) else read_object_or_csv
        body = RowBody(read_members(spooled, (ROWS, TARGETS), depth=settings.max_depth), due)
    order = validated(kind, body.json)
    _check_words(order, body.json, due)
    return order, body


def _read_file(shared: Context, scope: Scope, kind: type[Order], due: Due) -> tuple[Order, RowBody]:
    """The same of a CSV file."""
    spec, limits = in_lines(due.input, due.model), shared.runtime.settings
    order, members, meant = read_order(scope, kind, due, limits.max_depth)
    body: bytes | Spooled = scope["tsuika.body"]
    if not isinstance(body, Spooled):
        return order, RowBody(members, due, table=partial(read_csv, [body], spec, meant, due.model, limits))
    task = {"due": due.model_dump(mode="json", by_alias=True), "members": members.members}
    report = shared.reader.run(body, "read file", **task, meant=_columns(meant))
    return order, RowBody(members, due, body, report)


def _columns(meant: Meant) -> dict[str, Any]:
    """What the columns of a file are, as the reading process is told beside the target."""
    sent = {"targets": meant.targets, "group": meant.group, "leave_out": meant.leave_out, "gaps": meant.gaps}
    return {**sent, "said": asdict(meant.said), "remembered": meant.remembered}


def due_of(session: Session, model: Model) -> Due:
    """What rows of a model are due to be."""
    target = models.target_of(model)
    live = None if target.has_classes else models.live(session, model)
    layout = live.layout if live is not None else None
    return Due.of(model.name, models.input_of(model), target, layout, model.leave_out or ())


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


def spool_if_heavy(
    shared: Context, scope: Scope, body: bytes | Spooled, spec: InputSpec, length: str | None = None
) -> bytes | Spooled:
    """The body; on disk, for the reading process, where it is short but its pictures or cells may come to much.

    `length`: bytes of it that are JSON, if not all are. Raises DiskFull.
    """
    if isinstance(body, Spooled):
        return body
    if isinstance(spec, TableInput):
        inference = scope["path"].startswith("/v2/")
        heavy = oip_tables.is_heavy(_json_of(body, length), spec) if inference else tables.is_heavy(body, spec)
    else:
        heavy = isinstance(spec, ImageInput) and is_heavy(_most_pictures(scope, body, length), spec)
    if not heavy:
        return body
    with shared.reader.spool() as spooled:
        spooled.write(body)
    scope["tsuika.body"] = spooled
    return spooled


def _most_pictures(scope: Scope, body: bytes, length: str | None) -> int:
    """How many pictures a body can hold at most. In JSON each is an object, or else a string, but for the few strings
    that each request has; bytes behind JSON begin as a picture of their kind does."""
    if length is None and media_type(scope) in READERS and not scope["path"].startswith("/v2/"):
        return 0  # rows as they are, or one picture
    text = _json_of(body, length)
    json_bytes = len(text)
    strings = text.count(b'"') // 2 - USUAL_STRINGS
    behind = sum(body.count(begins, json_bytes) for begins in SIGNATURES.values())
    return max(text.count(b"{") - 1, strings) + behind


def _json_of(body: bytes, length: str | None) -> bytes:
    """The part of a body that is JSON. `length`: as its header says, if there is one."""
    return body if length is None else body[: declared_length(length) or 0]


def members_of(spooled: Spooled) -> JsonBody:
    """The members of a large body that was read, but for its rows: the reading process has checked them."""
    text = (spooled.folder / MEMBERS).read_bytes()
    return JsonBody(msgspec.json.decode(text), text)


async def question(shared: Context, scope: Scope, spooled: Spooled, loaded: Loaded) -> Question:
    """The rows of a large body of a prediction, and how to answer them.

    Raises BrokenJSON, InvalidContent, UnsupportedMedia, Busy, TooLarge, DiskFull.
    """
    media = media_type(scope)
    if media == CSV:
        options, meant = asked_of_file(scope, loaded)
        task = {"spec": in_lines(loaded.input, loaded.model).model_dump(mode="json"), "meant": _columns(meant)}
        report = await shared.reader.wait(spooled, "read asked file", **task, model=loaded.model)
        return (await _named(spooled, options, loaded))._replace(notes=report["notes"])
    if media in READERS:
        options = options_of_query(scope["query_string"])
        rows = await asyncio.to_thread(READERS[media], spooled.mapped(), loaded.input, loaded.model)
        return Question(rows, options)
    refuse_query(scope["query_string"])
    spec = loaded.input.model_dump(mode="json")
    report = await shared.reader.wait(spooled, "read question", spec=spec, model=loaded.model)
    options = read_options(members_of(spooled))
    if "fault" in report:
        raise Refused(**report["fault"]).error()
    return await _named(spooled, options, loaded)


async def _named(spooled: Spooled, options: PredictOptions, loaded: Loaded) -> Question:
    """The rows that the reading process has read, with the values of open categories. Raises InvalidContent."""
    rows = await _rows(spooled)
    check_added_back(rows, loaded, places=lambda: load_places(spooled.folder))
    return Question(rows, options, load_names(spooled.folder))


async def inference(shared: Context, spooled: Spooled, length: str | None, loaded: Loaded) -> Inference:
    """The same of the Open Inference Protocol; `length`: bytes of the body that are JSON, as its header says."""
    if _is_bare(spooled, length, loaded.input):
        return await asyncio.to_thread(read_inference, spooled.mapped(), length, *asked_of(loaded))
    spec, outputs = loaded.input.model_dump(mode="json"), loaded.predictor.kind.outputs
    report = await shared.reader.wait(
        spooled, "read tensor", length=length, spec=spec, model=loaded.model, outputs=outputs
    )
    wanted = [Wanted(*output) for output in report.pop("wanted")]
    members = {**report, "rows": await _rows(spooled), "wanted": wanted, "names": load_names(spooled.folder)}
    return Inference(**members)


def asked_of(loaded: Loaded) -> tuple[InputSpec, str, Sequence[str], BodyLimits]:
    """What an inference is read for: the input, the name and the outputs of a version; and what it may bring."""
    return loaded.input, loaded.model, loaded.predictor.kind.outputs, loaded.limits


def _is_bare(spooled: Spooled, length: str | None, spec: InputSpec) -> bool:
    """Whether the body is numbers behind little JSON or none, which are taken as they are."""
    if isinstance(spec, TableInput):
        return False
    json_bytes = None if length is None else declared_length(length)
    if json_bytes is None or json_bytes > LARGE_BYTES:
        return False
    with spooled.path.open("rb") as file:
        head = file.read(json_bytes)
    # a word may be written in escapes
    return b"BYTES" not in head and b"\\" not in head if head else spec.kind == "vector"


async def _rows(spooled: Spooled) -> NDArray[Any]:
    """Rows that the reading process decoded; texts a few at a time, so that others have their turn in between."""
    if (spooled.folder / ARRAY).exists():
        return load_array(spooled.folder)
    texts: list[str] = []
    for piece in load_texts(spooled.folder):
        texts += piece
        await asyncio.sleep(0)
    return as_rows(texts)
