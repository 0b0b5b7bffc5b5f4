"""Erasure: tombstones in one transaction, then the bytes at once; the next start makes up for a crash.

A batch says that it is erased once nothing is left of its rows, their features and their hashes: not in the store,
where what given-up updates and arrivals have left goes, too; not in the cache; not in the database or its log.
"""

from __future__ import annotations

import logging

from sqlalchemy import func, select
from sqlalchemy import update as sql_update
from sqlalchemy.orm import Session

from service.contract.enums import Action, UpdateState
from service.learning.wording import counted
from service.registry import batches, updates
from service.registry.callers import audit, idempotency
from service.registry.rows import ledger, sketches
from service.registry.sql.database import clock
from service.registry.sql.tables import Batch, Model, Update, Version
from service.runtime import Runtime
from service.storage.artifacts import exam_area, model_area
from service.upkeep import gc

log = logging.getLogger("tsuika.worker")


def mark(session: Session, update: Update) -> None:
    """Marks the batches of a retraction, and every version that learned one of them, as erased.

    It happens in the transaction that ends the retraction: from then on the erasure is finished whatever happens.
    """
    for batch_id in update.batches:
        batch = session.get_one(Batch, batch_id)
        if batch.erased_at is None:
            batch.erased_at, batch.doomed = clock(session), batch.doomed or []
    saved = sql_update(Update).where(Update.model_id == update.model_id, Update.trainings.is_not(None))
    session.execute(saved.values(trainings=None))  # what waits had learned on versions that are erased now
    model = session.get_one(Model, update.model_id)
    for version in _holding(session, update.model_id, set(update.batches)):
        version.erased_at = version.erased_at or clock(session)
        version.report = None
        audit.record(session, Action.VERSION_ERASED, model.name, version.number, f"by {update.id}")
        if version.id == model.live_version_id:
            model.live_version_id = None  # of an archived model alone: any other has a version without them by now
            batches.move_live(session, (), version.learned)


def unfinished(session: Session) -> list[int]:
    """Models with a batch whose erasure was begun and may be unfinished: its bytes, or a digest of them, are there."""
    remains = Batch.stored_digest.is_not(None) | Batch.doomed.is_not(None) | (Batch.digest != "")
    begun = select(Batch.model_id).where(Batch.erased_at.is_not(None), remains)
    return list(session.scalars(begun.distinct()))


def finish(runtime: Runtime, *model_ids: int) -> None:
    """Deletes all that is known of the content of erased batches and versions of these models: their bytes, whatever no
    row names, and the traces of both in the database. Safe to repeat. Raises Busy, DiskFull, StoreAway."""
    begun = {}
    for model_id in model_ids:
        with runtime.database.writing() as session:
            begun[model_id], versions = _forget(session, model_id)
        runtime.live.drop_versions(model_id, versions)
        area = model_area(model_id)
        runtime.cache.forget(area)
        runtime.cache.forget(exam_area(area))
    gc.sweep(runtime, model_ids)
    runtime.store.forget_cached()
    runtime.crash("after_rows_erased")
    runtime.database.scrub()
    with runtime.database.writing() as session:
        for model_id, ids in begun.items():
            name, ordered = session.get_one(Model, model_id).name, _ordered(session, model_id)
            for batch in (session.get_one(Batch, batch_id) for batch_id in ids):
                if batch.doomed is not None:  # else another worker has just finished the same
                    batch.doomed = None
                    audit.record(session, Action.BATCH_ERASED, name, batch.id, ordered_by=ordered.get(batch.id))
            log.info("%s: %s erased", name, counted(len(ids), "batch", "batches"))


def forget_cached(runtime: Runtime, since: float) -> None:
    """Deletes what this machine keeps of models of which another may have erased batches since then."""
    with runtime.database.reading() as session:
        models = set(session.scalars(select(Batch.model_id).where(Batch.erased_at > since)))
    for area in map(model_area, models):
        runtime.cache.forget(area)
        runtime.cache.forget(exam_area(area))
    if models:
        runtime.store.forget_cached()


def last(session: Session) -> float:
    """When the last batch was erased, in seconds since the epoch; 0 where none was."""
    return session.scalar(select(func.max(Batch.erased_at))) or 0.0


def sweep(runtime: Runtime) -> None:
    """Deletes what no row names in models that have erased batches: a worker that died or lost its lease may have left
    the same rows there since."""
    with runtime.database.reading() as session:
        models = list(session.scalars(select(Batch.model_id).where(Batch.erased_at.is_not(None)).distinct()))
    if models:
        gc.sweep(runtime, models)


def _forget(session: Session, model_id: int) -> tuple[list[str], list[int]]:
    """Clears from rows the names of erased bytes, and what would confirm a guess of their content.
    -> batches whose erasure is begun, numbers of the erased versions"""
    erased = (Batch.model_id == model_id) & Batch.erased_at.is_not(None)
    batches = list(session.scalars(select(Batch).where(erased, (Batch.digest != "") | Batch.doomed.is_not(None))))
    ids = [batch.id for batch in batches]
    ledger.erase(session, ids)
    brought = {*ids, *updates.forget_rows(session, ids)}
    idempotency.forget_bodies(session, session.get_one(Model, model_id), brought)
    for batch in batches:
        batch.digest, batch.stored_digest, batch.kept_rows, batch.bytes = "", None, 0, 0
        batch.trusted, batch.folds, batch.lent, batch.doomed = None, {}, [], []
        batch.values = None if batch.values is None else {}
        batch.entries = None if batch.merged is None else {}
        sketches.erase(session, batch)
        batch.notes = None  # they quote a word of the file
        batch.target_summary = None  # the least and the largest are targets of rows, and so is the mean of one row
    gone = list(session.scalars(select(Version).where(Version.model_id == model_id, Version.erased_at.is_not(None))))
    for version in gone:
        version.shards, version.bits, version.ledger_digest, version.feature_space = [], None, None, None
    return ids, [version.number for version in gone]


def _ordered(session: Session, model_id: int) -> dict[str, str | None]:
    """The request that ordered the erasure of a batch, by batch."""
    orders = select(Update.batches, Update.request_id).where(Update.model_id == model_id, Update.erase)
    orders = orders.where(Update.state == UpdateState.SUCCEEDED).order_by(Update.id)
    return {batch_id: request_id for batch_ids, request_id in session.execute(orders) for batch_id in batch_ids}


def _holding(session: Session, model_id: int, erased: set[str]) -> list[Version]:
    """Versions that are still there and learned one of these batches."""
    known = Version.erased_at.is_(None) | Version.report.is_not(None)  # of one that was removed the report is there
    there = select(Version).where(Version.model_id == model_id, known)
    return [v for v in session.scalars(there.order_by(Version.number)) if erased.intersection(v.learned)]
