"""Rows of a body become a batch: decode, fold, store the bytes, then one transaction that checks the vocabulary."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.api.bodies.decoded_rows import BodyRows
from service.api.idempotent_posts import Again
from service.api.reader.process import Ended
from service.api.reader.store_rows import Making
from service.contract.enums import NewClasses, NewValues
from service.contract.requests import CreateBatch, CreateUpdate
from service.contract.tables import TableInput
from service.errors import InvalidContent
from service.intake.kinds import brought_values
from service.intake.kinds.labels import TO_ADD, unknown_labels
from service.learning.data.rows import LEARNING_ROWS, NAMELESS
from service.learning.data.sides import FOLDING, SETTLING_ROWS, Folding
from service.registry import batches, models
from service.registry.callers import quotas
from service.registry.rows.arrival import Arrival
from service.registry.sql.tables import Batch, Model, Version
from service.runtime import Runtime
from service.storage.artifacts import model_area
from service.upkeep import gc
from service.upkeep.named_files import Name

REFUSE = NewValues.REFUSE


class NewBatch:
    """Rows of a body, decoded and checked on their own, which become a batch of the model `name`."""

    def __init__(self, runtime: Runtime, name: str, rows: BodyRows, order: CreateBatch | CreateUpdate) -> None:
        self._runtime, self._name, self._rows, self._order = runtime, name, rows, order
        self._made: Batch | Arrival | None = None
        self._learned: Mapping[str, Collection[float]] | None = None

    def store(self, stored: set[Name]) -> None:
        """Puts the rows into the store, unless the same ones are there.

        Raises UnknownLabels, UnknownValues, TooManyValues, here without holding anybody up, and again in the
        transaction, where it counts.
        """
        digest, order = self._rows.digest(), self._order
        with self._runtime.database.reading() as session:
            model = models.get(session, self._name)
            self._check_vocabulary(session, model)
            self._check_values(session, model)
            self._made = None if order.again else batches.same(session, model, digest, order.source)
            if self._made is not None:
                return
            target = models.target_of(model)
            names = self._rows.labels.places if target.has_classes else NAMELESS
            held = batches.learning_rows(session, model, list(names), LEARNING_ROWS)
            secret = models.installation_secret(session)
            folding = _folding(model, model.folding)
        area = model_area(model.id)
        try:
            making = Making(
                batch=batches.new_batch_id(),
                area=area,
                secret=secret.hex(),
                digest=digest,
                source=order.source,
                again=order.again,
                held=dict(held),
                folding=self._settled(folding, secret),
            )
            made = self._rows.make(making, self._runtime.store)
            notes = list(self._rows.notes)
            if order.new_classes is NewClasses.ALLOW and not target.has_classes:
                notes.append(f"new_classes says nothing here: {self._name} predicts {target.predicts}.")
            self._made = replace(made, notes=notes or None)
            stored.add((area, made.stored_digest))
        except Ended:
            gc.sweep(self._runtime, [model.id])
            raise

    def accept(self, session: Session) -> tuple[Batch, bool]:
        """-> the batch, and whether it is new. Raises QuotaFull, and Again where the same rows have come meanwhile, or
        were taken back."""
        assert self._made is not None, "`store` comes first"
        model = models.get(session, self._name)
        if isinstance(self._made, Batch):
            batch = batches.get(session, model, self._made.id)
            if batch.retracted_at is not None:
                raise Again
            return batch, False
        self._check_vocabulary(session, model)
        self._check_values(session, model)
        models.add_classes(session, model, list(self._rows.labels.places))
        batch, new = batches.accept(session, model, self._made)
        if not new:
            raise Again
        quotas.require_room(session, model, self._runtime.settings)
        return batch, True

    def _check_vocabulary(self, session: Session, model: Model) -> None:
        """Raises UnknownLabels, unless new classes are allowed or these are the first classes of the model;
        InvalidContent where they are numbers that nobody declared as classes."""
        places, numbers = self._rows.labels.places, self._rows.labels.of_numbers()
        self._runtime.settings.check_classes(places, model.classes, "/labels")
        if self._order.new_classes is NewClasses.ALLOW:
            _check_numbers(model, places, numbers)
            return
        first = not model.classes and not session.scalar(
            select(Version.id).where(Version.model_id == model.id).limit(1)
        )
        if first:
            _check_numbers(model, places, numbers)
        elif refused := unknown_labels(places, model.classes, model.name, numbers or TO_ADD):
            raise refused

    def _check_values(self, session: Session, model: Model) -> None:
        """Raises UnknownValues for new values of a category that is to have none, TooManyValues."""
        values, spec = self._rows.values, models.input_of(model)
        if not values.columns or not isinstance(spec, TableInput):
            return
        known = batches.known_values(session, model, values.columns)
        refusing = [c.name for c in spec.growing.values() if (self._order.new_values or c.new_values) is REFUSE]
        brought_values.check_new(values, known, refusing, model.name, lambda: self._values_learned(model, spec))
        brought_values.check_room(values, known)

    def _values_learned(self, model: Model, spec: TableInput) -> Mapping[str, Collection[float]]:
        """Codes of the values that the live version has learned, by the name of the column. Looked at once, for it may
        have to be loaded, and the transaction must not wait for that. Raises CorruptArtifact."""
        if self._learned is None:
            live = None if model.live_version_id is None else self._runtime.live.get(model.name)
            codes = {} if live is None else live.predictor.known
            self._learned = {spec.columns[place].name: known for place, known in codes.items()}
        return self._learned

    def _settled(self, folding: Folding | None, secret: bytes) -> Folding | None:
        """How the rows of the model are folded: settled for good by the first body that has enough of them."""
        if folding is None or folding.settled or self._rows.labels.labelled < SETTLING_ROWS:
            return folding
        settled = self._rows.settled(folding, secret)
        with self._runtime.database.writing() as session:
            model = models.get(session, self._name, locked=True)
            return _folding(model, models.settle_folding(session, model, settled.model_dump(exclude={"input"})))


def _folding(model: Model, stored: Mapping[str, Any] | None) -> Folding | None:
    """How the model's rows are folded; None: by their bytes, as those of a model that an earlier release made."""
    return None if stored is None else FOLDING.as_stored({"input": model.input, **stored})


def _check_numbers(model: Model, names: Iterable[str], sentence: str | None) -> None:
    """Raises InvalidContent with the `sentence` on labels that are numbers, unless all are classes of the model."""
    if sentence is not None and not set(model.classes).issuperset(names):
        raise InvalidContent.at("/labels", sentence)
