"""Erasure: tombstones in one transaction, then the bytes at once; a crash is made up for at the next start."""

from __future__ import annotations

import logging

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.registry import ledger, versions
from service.registry.database import now
from service.registry.tables import Batch, Model, Update, Version
from service.runtime import Runtime
from service.storage.artifacts import SHARDS, model_area

log = logging.getLogger("tsuika.worker")


def erase(runtime: Runtime, update_id: str) -> None:
    """Erase the batches of a finished retraction and every version that learned one of them."""
    with runtime.database.writing() as session:
        update = session.get_one(Update, update_id)
        for batch_id in update.batches:
            session.get_one(Batch, batch_id).erased_at = now()
        model_id = update.model_id
        for version in _holding(session, model_id, set(update.batches)):
            version.erased_at = now()
            version.report = None
    finish(runtime, model_id)


def unfinished(session: Session) -> list[int]:
    """Models with batches whose erasure was begun and whose bytes may still be there."""
    begun = select(Batch.model_id).where(Batch.erased_at.is_not(None), Batch.stored_digest.is_not(None))
    return list(session.scalars(begun.distinct()))


def finish(runtime: Runtime, model_id: int) -> None:
    """Delete the bytes of all erased batches and versions of a model, then forget their names. Safe to repeat."""
    area = model_area(model_id)
    with runtime.database.reading() as session:
        batches = list(session.scalars(select(Batch).where(Batch.model_id == model_id, Batch.erased_at.is_not(None))))
        kept = versions.shards_in_use(session)
        gone = [v for v in session.scalars(select(Version).where(Version.model_id == model_id)) if v.erased_at]
        numbers = [v.number for v in gone]
        name = session.get_one(Model, model_id).name
    for version in gone:
        for shard in version.shards:
            if shard["digest"] not in kept:
                runtime.store.delete(SHARDS, shard["digest"])
        if version.bits is not None:
            runtime.store.delete(area, version.bits)
    with runtime.database.writing() as session:
        digests = ledger.erase(session, [b.id for b in batches])
        for digest in digests:
            runtime.store.delete(area, digest)
        for batch in batches:
            if batch.stored_digest is not None:
                runtime.store.delete(area, batch.stored_digest)
                session.get_one(Batch, batch.id).stored_digest = None
    runtime.cache.forget(area)
    runtime.live.drop_versions(model_id, numbers)
    log.info("%s: %d batches and %d versions erased", name, len(batches), len(numbers))


def _holding(session: Session, model_id: int, erased: set[str]) -> list[Version]:
    found = session.scalars(select(Version).where(Version.model_id == model_id, Version.erased_at.is_(None)))
    return [v for v in found if erased.intersection(v.learned)]
