"""Labelled rows become a batch: decode, fold, store the bytes, then one transaction that asks the vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.api.context import Context
from service.api.packing import Making
from service.api.sent import Sent, SentRows
from service.contract.enums import NewClasses
from service.contract.requests import CreateBatch, CreateUpdate
from service.errors import Busy, InvalidContent
from service.intake.labels import read_labels, unknown_labels
from service.learning.batch import LEARNING_ROWS
from service.registry import batches, models
from service.registry.batches import Arrival
from service.registry.tables import Batch, Model, Version
from service.runtime import Runtime
from service.storage.artifacts import model_area

MOST_CLASSES = 10_000


@dataclass(frozen=True, eq=False)
class Delivery:
    """Rows as they were sent, decoded and checked on their own; the vocabulary is asked later."""

    rows: SentRows
    labels: list[str | None]
    source: str | None
    new_classes: NewClasses
    again: bool

    @property
    def names(self) -> list[str]:
        """Each label once, in order of appearance."""
        return [name for name in dict.fromkeys(self.labels) if name is not None]

    @property
    def labelled(self) -> int:
        """How many rows have a label."""
        return sum(label is not None for label in self.labels)

    def identity(self, members: Mapping[str, Any]) -> dict[str, Any]:
        """The parsed body for an Idempotency-Key: rows by what they hold, however they were written."""
        return {**members, "inputs": self.rows.identity}


def deliver(shared: Context, order: CreateBatch | CreateUpdate, sent: Sent, model: Model) -> Delivery:
    """Check the rows and labels of a body. Raises InvalidContent with the pointer of the first fault."""
    rows = sent.rows(shared, model)
    labels = read_labels(order.labels or [], rows.count, models.clean_class_name)
    return Delivery(rows, labels, order.source, order.new_classes, order.again)


Accept = Callable[[Session], tuple[Batch, bool]]


def store(runtime: Runtime, name: str, delivery: Delivery) -> Accept:
    """Put the rows into the store; -> what makes them a batch in a transaction (and tells whether it is new).

    Raises UnknownLabels, here without holding anybody up, and again in the transaction, where it counts.
    """
    digest = delivery.rows.digest(delivery.labels)
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
    making = Making(
        batch=batch_id, area=model_area(model.id), secret=secret.hex(), source=delivery.source, held=dict(held)
    )
    made = delivery.rows.make(delivery.labels, making, runtime.store)
    arrival = Arrival(
        id=batch_id,
        digest=digest,
        unlabelled=len(delivery.labels) - made.rows,
        source=delivery.source,
        again=delivery.again,
        **made.model_dump(),
    )
    return lambda session: _accept(session, name, delivery, arrival)


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
