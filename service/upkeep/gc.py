"""Garbage collection: bytes that nothing refers to are deleted, those older than the grace or, for an erasure, all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.errors import Busy, NotWritable
from service.registry import states
from service.registry.sql.database import now
from service.registry.sql.tables import Batch, LedgerEntry, Update, Version
from service.registry.versions import shards_in_use
from service.runtime import Runtime
from service.storage.artifacts import SHARDS, model_area

WRITING_SECONDS = 60.0
"""A temporary file that is younger may be in the middle of its write, however short the grace is."""
AT_ONCE = 50
"""Files that are deleted in one transaction, while which nobody else writes."""
log = logging.getLogger("tsuika")
Name = tuple[str, str]
"""Area and digest."""


@dataclass(frozen=True)
class Collected:
    """What was deleted, or would be in a dry run: (area, digest) pairs."""

    deleted: list[Name]
    kept: int


def collect(runtime: Runtime, dry_run: bool = False, progress: Callable[[int], None] = lambda done: None) -> Collected:
    """Deletes what no version, batch or entry names and is older than `gc_grace_seconds`.

    The grace is longer than the longest update, whose new bytes no row names yet. Storing existing bytes again touches
    them, and the sweep spares what was touched since it was listed.
    """
    oldest = now() - runtime.settings.gc_grace_seconds
    candidates = [(area, digest) for area, digest, touched in runtime.store.names() if touched < oldest]
    with runtime.database.reading() as session:
        used = named(session)
    garbage = [name for name in candidates if name not in used]
    kept = len(candidates) - len(garbage)
    if dry_run:
        return Collected(garbage, kept)
    deleted = []
    for first in range(0, len(garbage), AT_ONCE):
        # a writer looks for its bytes in the transaction that names them: before this one or after it
        with runtime.database.writing() as session:
            used = named(session)
            for area, digest in garbage[first : first + AT_ONCE]:
                if (area, digest) not in used and runtime.store.sweep(area, digest, oldest):
                    deleted.append((area, digest))
                    progress(len(deleted))
                    runtime.crash("during_gc")
    runtime.store.clear_temporary(min(oldest, now() - WRITING_SECONDS))
    return Collected(deleted, kept)


def sweep(runtime: Runtime, model_ids: Collection[int]) -> None:
    """Deletes the bytes of these models, and all weight shards, that no row names, however young they are.

    For erasure: an update that was given up, an arrival that became no batch and a process that died may have left the
    same rows, or what was made of them. A writer that is about to name bytes looks for them in the transaction that
    names them, and stores them again where they were swept; a temporary file is begun anew.
    """
    areas = [SHARDS, *map(model_area, model_ids)]
    stored = {(area, digest) for area in areas for _, digest, _ in runtime.store.names(area)}
    with runtime.database.reading() as session:
        unnamed = stored - named(session)
    discard(runtime, unnamed)
    for area in areas:
        runtime.store.sweep_temporary(area)
    runtime.store.sync(unnamed)


def discard(runtime: Runtime, names: Collection[Name]) -> None:
    """Deletes those of these bytes that no row names. Raises Busy."""
    if not names:
        return
    with runtime.database.writing() as session:
        for area, digest in set(names) - named(session):
            runtime.store.delete(area, digest)


def discard_saves(runtime: Runtime, session: Session) -> None:
    """Deletes the last saves of updates that a session has ended, once it is committed; where that is refused now, they
    are garbage for later."""
    try:
        discard(runtime, {(model_area(model_id), digest) for model_id, digest in states.saves_of_ended(session)})
    except (Busy, NotWritable) as later:
        log.warning("saves of updates that have ended are left for `tsuika gc`: %s", later.detail)


def named(session: Session) -> set[Name]:
    """What rows name: nothing else is deleted as garbage."""
    queries = (
        select(Version.model_id, Version.bits).where(Version.erased_at.is_(None)),
        select(Batch.model_id, Batch.stored_digest),
        select(Update.model_id, Update.trainings).where(Update.trainings.is_not(None)),
        select(Batch.model_id, LedgerEntry.digest).join(Batch, Batch.id == LedgerEntry.batch_id),
    )
    rows = (row for query in queries for row in session.execute(query))
    used = {(model_area(model_id), digest) for model_id, digest in rows if digest is not None}
    return used | {(SHARDS, digest) for digest in shards_in_use(session)}
