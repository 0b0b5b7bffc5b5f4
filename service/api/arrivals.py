"""Labelled rows become a batch: decode, fold, store the bytes, then one transaction that asks the vocabulary."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contract.enums import NewClasses
from service.contract.inputs import InputSpec
from service.contract.requests import CreateBatch, CreateUpdate
from service.errors import Busy, InvalidContent
from service.intake.json_body import JsonBody
from service.intake.labels import read_labels, unknown_labels
from service.intake.rows import read_rows
from service.learning.batch import LEARNING_ROWS, SELECT_FOLD, Rows, make_rows
from service.learning.identity import content_digest
from service.learning.serialization import pack_rows
from service.registry import batches, models
from service.registry.batches import Arrival
from service.registry.tables import Batch, Model, Version
from service.runtime import Runtime
from service.storage.artifacts import model_area

MOST_CLASSES = 10_000
SPEC: TypeAdapter[InputSpec] = TypeAdapter(InputSpec)


@dataclass(frozen=True, eq=False)
class Delivery:
    """Rows as they were sent, decoded and checked on their own; the vocabulary is asked later."""

    inputs: NDArray[Any]
    labels: list[str | None]
    source: str | None
    new_classes: NewClasses
    again: bool

    @property
    def names(self) -> list[str]:
        """Each label once, in order of appearance."""
        return [name for name in dict.fromkeys(self.labels) if name is not None]

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Which rows have a label. -> [n]"""
        return np.array([label is not None for label in self.labels])

    def identity(self, members: Mapping[str, Any]) -> dict[str, Any]:
        """The parsed body for an Idempotency-Key: rows by what they hold, however they were written."""
        if self.inputs.dtype == object:
            return {**members, "inputs": self.inputs.tolist()}
        numbers = hashlib.sha256(repr(self.inputs.shape).encode() + self.inputs.tobytes()).hexdigest()
        return {**members, "inputs": numbers}


def deliver(order: CreateBatch | CreateUpdate, body: JsonBody, model: Model) -> Delivery:
    """Decode and check the rows and labels of a body. Raises InvalidContent with the pointer of the first fault."""
    inputs = read_rows(body.rows, SPEC.validate_python(model.input), model.name)
    labels = read_labels(order.labels or [], len(inputs), models.clean_class_name)
    return Delivery(inputs, labels, order.source, order.new_classes, order.again)


Accept = Callable[[Session], tuple[Batch, bool]]


def store(runtime: Runtime, name: str, delivery: Delivery) -> Accept:
    """Put the rows into the store; -> what makes them a batch in a transaction (and tells whether it is new).

    Raises UnknownLabels, here without holding anybody up, and again in the transaction, where it counts.
    """
    digest = content_digest(delivery.inputs, delivery.labels)
    with runtime.database.reading() as session:
        model = models.get(session, name)
        _check_vocabulary(session, model, delivery)
        known = None if delivery.again else batches.same(session, model, digest, delivery.source)
        if known is None:
            held = batches.learning_rows(session, model, delivery.names, LEARNING_ROWS)
            secret = models.installation_secret(session)
    if known is not None:
        return lambda session: _the_same(session, name, known)
    batch_id = batches.new_batch_id()
    rows = _rows(batch_id, delivery, secret, held)
    stored = runtime.store.put(model_area(model.id), pack_rows(rows, delivery.inputs[~delivery.labelled]))
    arrival = Arrival(
        id=batch_id,
        digest=digest,
        stored_digest=stored,
        rows=len(rows),
        unlabelled=len(delivery.labels) - len(rows),
        label_counts=rows.counts(),
        folds=_folds(rows),
        lent=rows.row[rows.lent].tolist(),
        source=delivery.source,
        again=delivery.again,
    )
    return lambda session: _accept(session, name, delivery, arrival)


def _rows(batch_id: str, delivery: Delivery, secret: bytes, held: Mapping[str, int]) -> Rows:
    """The rows that have a label, with their numbers within the batch."""
    numbers = np.flatnonzero(delivery.labelled)
    labels = [label for label in delivery.labels if label is not None]
    return make_rows(batch_id, delivery.inputs[numbers], labels, secret, delivery.source, held, numbers)


def _accept(session: Session, name: str, delivery: Delivery, arrival: Arrival) -> tuple[Batch, bool]:
    model = models.get(session, name)
    _check_vocabulary(session, model, delivery)
    models.add_classes(session, model, delivery.names)
    return batches.accept(session, model, arrival)


def _the_same(session: Session, name: str, known: Batch) -> tuple[Batch, bool]:
    """The batch that was there already; retracted in between, the rows must be stored anew."""
    batch = batches.get(session, models.get(session, name), known.id)
    if batch.retracted_at is not None:
        raise Busy("The batch with the same rows was retracted just now. Send it again.")
    return batch, False


def _check_vocabulary(session: Session, model: Model, delivery: Delivery) -> None:
    """Raises UnknownLabels, unless new classes are allowed or this is the model's first word on classes."""
    known = set(model.classes)
    new = [name for name in delivery.names if name not in known]
    check_room(model, new, "/labels")
    if not new or delivery.new_classes is NewClasses.ALLOW:
        return
    first = not model.classes and not session.scalar(select(Version.id).where(Version.model_id == model.id).limit(1))
    if not first and (refused := unknown_labels(delivery.labels, model.classes, model.name)):
        raise refused


def check_room(model: Model, names: Iterable[str], pointer: str) -> None:
    """Raises InvalidContent when the vocabulary would grow beyond reason."""
    if len({*model.classes, *names}) > MOST_CLASSES:
        raise InvalidContent.at(pointer, f"A model has at most {MOST_CLASSES:,} classes. Are these names of classes?")


def _folds(rows: Rows) -> dict[str, list[int]]:
    """class -> rows that judge, that select, that learn, and that are lent to learning."""
    kinds = [rows.judging, rows.selecting, rows.folds > SELECT_FOLD, rows.lent]
    counts = np.array([np.bincount(rows.labels[kind], minlength=len(rows.names)) for kind in kinds])
    return {name: counts[:, k].tolist() for k, name in enumerate(rows.names)}
