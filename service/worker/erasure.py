"""Erasure: tombstones in one transaction, then the bytes at once; a crash is made up for at the next start."""

from __future__ import annotations

import logging

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.learning.sentences import counted
from service.registry import ledger, versions
from service.registry.database import now
from service.registry.tables import Batch, Model, Update, Version
from service.runtime import Runtime
from service.storage.artifacts import SHARDS, exam_area, model_area

log = logging.getLogger("tsuika.worker")


def mark(session: Session, update: Update) -> None:
    """Tombstones for the batches of a retraction and for every version that learned one of them.

    In the transaction that ends the retraction: from then on the erasure is made up for whatever happens.
    """
    for batch_id in update.batches:
        batch = session.get_one(Batch, batch_id)
        batch.erased_at, batch.doomed = now(), batch.doomed or []
    model = session.get_one(Model, update.model_id)
    for version in _holding(session, update.model_id, set(update.batches)):
        version.erased_at = now()
        version.report = None
        if version.id == model.live_version_id:
            model.live_version_id = None  # of an archived model alone: any other has a version without them by now


def unfinished(session: Session) -> list[int]:
    """Models with batches whose erasure was begun and whose bytes may still be there."""
    still = Batch.stored_digest.is_not(None) | Batch.doomed.is_not(None)
    begun = select(Batch.model_id).where(Batch.erased_at.is_not(None), still)
    return list(session.scalars(begun.distinct()))


def finish(runtime: Runtime, model_id: int) -> None:
    """Delete the bytes of all erased batches and versions of a model, then forget their names. Safe to repeat."""
    area = model_area(model_id)
    runtime.cache.forget(area)
    runtime.cache.forget(exam_area(area))
    with runtime.database.writing() as session:
        # Whoever publishes looks for its shards in a transaction, too: it finds them, or stores them again.
        batches = list(session.scalars(select(Batch).where(Batch.model_id == model_id, Batch.erased_at.is_not(None))))
        here = list(session.scalars(select(Version).where(Version.model_id == model_id)))
        gone = [v for v in here if v.erased_at is not None]
        for digest in {s["digest"] for v in gone for s in v.shards} - versions.shards_in_use(session):
            runtime.store.delete(SHARDS, digest)
        bits = {v.bits for v in gone} - {v.bits for v in here if v.erased_at is None}
        entries = ledger.erase(session, [b.id for b in batches])
        left = [d for b in batches for d in (b.stored_digest, *(b.doomed or []))]
        for name in (*bits, *entries, *left):
            if name is not None:
                runtime.store.delete(area, name)
        for batch in batches:
            batch.stored_digest, batch.kept_rows, batch.doomed, batch.trusted = None, 0, None, None
        numbers, model = [v.number for v in gone], session.get_one(Model, model_id).name
    runtime.live.drop_versions(model_id, numbers)
    erased = counted(len(batches), "batch", "batches"), counted(len(numbers), "version", "versions")
    log.info("%s: %s and %s erased", model, *erased)


def _holding(session: Session, model_id: int, erased: set[str]) -> list[Version]:
    found = session.scalars(select(Version).where(Version.model_id == model_id, Version.erased_at.is_(None)))
    return [v for v in found if erased.intersection(v.learned)]
