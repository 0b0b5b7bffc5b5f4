"""What retention asks for: rows that were learned are deleted, and sums stand in for their rounded features.

Bytes first (what is left of a batch), row second (from then on the batch names only that), deletion last. A crash
leaves at most bytes that no row names, and deletion is made up for; nothing is ever named that is not there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contract.enums import Retention
from service.errors import CorruptArtifact
from service.learning.data.memory import remember
from service.learning.data.rows import Bools, Rows, bounded
from service.learning.data.serialization import pack_rows, unpack_rows
from service.learning.ledger.entry import SummedEntry, unpack_entry
from service.learning.wording import counted
from service.registry import models, versions
from service.registry.rows import ledger
from service.registry.rows import retention as registry
from service.registry.rows.retention import Rest
from service.registry.sql.tables import Batch, Model
from service.runtime import Runtime
from service.storage.artifacts import SHARDS, exam_area, model_area
from service.upkeep import gc

VERSIONS_AT_ONCE = 100
"""Versions whose parts are deleted in one go, while which nobody else writes."""
log = logging.getLogger("tsuika.upkeep")


def settle(runtime: Runtime, model_id: int, check: Callable[[], bool] = lambda: False) -> int:
    """Brings the batches of a model to what its retention keeps; -> how many changed. Safe to repeat.

    `check`: called between two batches; True stops there, and the rest waits for the next call.
    """
    with runtime.database.reading() as session:
        model = session.get_one(Model, model_id)
        due, before = registry.due(session, model), registry.reduced(session, model)
        entries = _entries(session, [batch.id for batch in (*due, *before)]) if due else {}
    if not due:
        return 0
    retention = Retention(model.retention)
    keep = _memory(runtime, model, due, before) if retention is Retention.EXEMPLARS else {}
    changed = 0
    for batch in [*due, *(b for b in before if b.id in keep and b.id not in {d.id for d in due})]:
        if check():
            break
        changed += _reduce(runtime, model_id, batch, entries.get(batch.id, {}), keep.get(batch.id, frozenset()))
        finish(runtime, model_id)
    if changed:
        runtime.cache.forget(exam_area(model_area(model_id)))
        log.info(
            "%s: %s what retention %s says", model.name, counted(changed, "batch keeps", "batches keep"), retention
        )
    return changed


def remove_versions(runtime: Runtime, check: Callable[[], bool] = lambda: False) -> None:
    """Deletes the parts of versions that their models keep no longer, where no update of a model runs. `check`: as of
    `settle`."""
    with runtime.database.reading() as session:
        limited = list(session.scalars(select(Model.id).where(Model.keep_versions > 0, Model.archived_at.is_(None))))
    for model_id in limited:
        numbers = [0]
        while numbers and not check():
            with runtime.database.writing() as session:
                model = models.lock(session, model_id)
                if registry.busy(session, model):
                    break
                numbers, parts, bits = versions.remove_old(session, model, VERSIONS_AT_ONCE)
            runtime.live.drop_versions(model_id, numbers)
            gc.discard(runtime, {(SHARDS, digest) for digest in parts} | {(model_area(model_id), d) for d in bits})


def unfinished(runtime: Runtime) -> list[int]:
    """Models with bytes that are to be deleted and may be there still."""
    with runtime.database.reading() as session:
        return sorted({batch.model_id for batch in registry.doomed(session)})


def finish(runtime: Runtime, model_id: int) -> None:
    """Deletes the bytes that batches of the model no longer name, then their names. Safe to repeat."""
    with runtime.database.reading() as session:
        names = {batch.id: list(batch.doomed or []) for batch in registry.doomed(session, model_id)}
    for digests in names.values():
        for digest in digests:
            runtime.store.delete(model_area(model_id), digest)
    if not names:
        return
    runtime.crash("after_rows_deleted")
    with runtime.database.writing() as session:
        for batch in registry.doomed(session, model_id):
            left = [d for d in batch.doomed or [] if d not in names.get(batch.id, ())]
            batch.doomed = left or None


def _reduce(runtime: Runtime, model_id: int, batch: Batch, entries: Mapping[str, str], keep: frozenset[int]) -> bool:
    """Stores what is left of a batch and lets it name that; -> whether it did: nothing else needs the batch."""
    area = model_area(model_id)
    rows = unpack_rows(runtime.store.get(area, batch.stored_digest)) if batch.stored_digest is not None else None
    left = rows.take(np.isin(rows.row, sorted(keep))) if rows is not None else None
    count = len(left) if left is not None else 0
    if 0 < count == batch.rows:
        rest = Rest(batch.stored_digest, batch.rows, bytes=batch.bytes)
    else:
        packed = pack_rows(left) if left is not None and count else b""
        stored = runtime.store.put(area, packed) if packed else None
        sums = {space: _without_rows(runtime, area, batch, digest) for space, digest in entries.items()}
        rest = Rest(stored, count, sums, len(packed))
    runtime.crash("before_rows_go")
    named = [digest for digest in (rest.stored_digest, *rest.entries.values()) if digest is not None]
    there = list[bool]()
    with runtime.database.writing(lambda: there.extend(runtime.store.has(area, d) for d in named)) as session:
        current = session.get_one(Batch, batch.id)
        model = session.get_one(Model, model_id)
        if (
            model.retention == Retention.ALL
            or current.settled_at is None
            or current.stored_digest != batch.stored_digest
        ):
            return False  # somebody asked for it meanwhile
        if registry.busy(session, model):
            return False
        if not all(there):
            raise CorruptArtifact(f"What is left of batch {batch.id} was swept meanwhile: it is made again.")
        registry.replace(session, current, rest, Retention(model.retention))
    runtime.crash("after_rows_go")
    return True


def _without_rows(runtime: Runtime, area: str, batch: Batch, digest: str) -> str:
    """Stores an entry as sums, its bounded rows apart; -> its digest."""
    entry = unpack_entry(runtime.store.get(area, digest))
    if isinstance(entry, SummedEntry):
        return digest
    trusted = batch.trusted or {}
    return runtime.store.put(area, SummedEntry.of(entry, trusted.get("exam"), trusted.get("selected")).pack())


def _memory(runtime: Runtime, model: Model, due: Sequence[Batch], before: Sequence[Batch]) -> dict[str, frozenset[int]]:
    """Batch -> numbers of the rows that exemplars keeps, of batches that are due and of those that made room for them.

    Learning rows: the smallest keyed hashes, the same number a class. Judging rows: those that judged in the ledger
    when the batch was learned.
    """
    old, new = (
        [(b, unpack_rows(runtime.store.get(model_area(model.id), b.stored_digest))) for b in batches if b.stored_digest]
        for batches in (before, due)
    )
    if not old and not new:
        return {}
    both = Rows.concat([rows for _, rows in (*old, *new)])
    memory = _numbers(remember(both.take(both.learning), model.memory_rows))
    keep = {}
    for batch, rows in new:
        judging = rows.take(_judging(rows, (batch.trusted or {}).get("exam")))
        keep[batch.id] = memory.get(batch.id, frozenset()) | frozenset(judging.row.tolist())
    for batch, rows in old:
        left = memory.get(batch.id, frozenset()) | frozenset(rows.row[rows.judging].tolist())
        if len(left) < len(rows):
            keep[batch.id] = left
    return keep


def _judging(rows: Rows, numbers: Sequence[int] | None) -> Bools:
    """Which rows judge: those of these numbers, or as many as are bounded where they were not recorded."""
    if numbers is None:
        return np.isin(rows.row, bounded(rows.take(rows.judging)).row)
    return rows.judging & np.isin(rows.row, np.asarray(numbers, np.int64))


def _numbers(rows: Rows) -> dict[str, frozenset[int]]:
    """Batch -> numbers of its rows among these."""
    return {batch: frozenset(rows.row[rows.batch == k].tolist()) for k, batch in enumerate(rows.batches)}


def _entries(session: Session, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Batch -> feature space -> digest of its entry."""
    digests: dict[str, dict[str, str]] = {}
    for space, of_space in ledger.digests(session, ids).items():
        for batch_id, digest in of_space.items():
            digests.setdefault(batch_id, {})[space] = digest
    return digests
