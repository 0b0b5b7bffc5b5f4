"""Garbage collection: bytes that nothing refers to are deleted, those older than the grace or, for an erasure, all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.errors import Busy, DiskFull, NotWritable, SchemaMismatch
from service.registry import states
from service.registry.sql.database import now
from service.runtime import Runtime
from service.storage.artifacts import SHARDS, model_area
from service.upkeep.named_files import Name, named

WRITING_SECONDS = 60.0
"""A temporary file that is younger may be in the middle of its write, however short the grace is."""
AT_ONCE = 50
"""Files that are deleted at a time, while which nobody else names new ones."""
log = logging.getLogger("tsuika")


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
    with closing(_unnamed(runtime, garbage)) as unnamed:
        for area, digest in unnamed:
            if runtime.store.sweep(area, digest, oldest):
                deleted.append((area, digest))
                progress(len(deleted))
                runtime.crash("during_gc")
    runtime.store.clear_temporary(min(oldest, now() - WRITING_SECONDS))
    return Collected(deleted, kept)


def sweep(runtime: Runtime, model_ids: Collection[int]) -> None:
    """Deletes the bytes of these models, and all weight shards, that no row names, however young they are.

    For erasure: an update that was given up, an arrival that became no batch and a process that died may have left the
    same rows, or what was made of them. A writer that is about to name bytes looks for them before, and stores them
    again where they were swept; a temporary file is begun anew. Raises Busy, StoreAway.
    """
    areas = [SHARDS, *map(model_area, model_ids)]
    stored = {(area, digest) for area in areas for _, digest, _ in runtime.store.names(area)}
    with runtime.database.reading() as session:
        unnamed = stored - named(session)
    _delete(runtime, unnamed)
    for area in areas:
        runtime.store.sweep_temporary(area)
    runtime.store.sync(unnamed)


def discard(runtime: Runtime, names: Collection[Name], common: bool = True) -> None:
    """Deletes those of these bytes that no row names; where that is refused now, they are garbage for later. `common`:
    others may come to name the same bytes, so nobody names any meanwhile."""
    try:
        _delete(runtime, names, common)
    except (Busy, DiskFull, NotWritable, SchemaMismatch) as later:
        log.warning("bytes that no row names are left for `tsuika gc`: %s", later.detail)


def _delete(runtime: Runtime, names: Collection[Name], common: bool = True) -> None:
    with closing(_unnamed(runtime, sorted(names), common)) as unnamed:
        for area, digest in unnamed:
            runtime.store.delete(area, digest)


def _unnamed(runtime: Runtime, names: Sequence[Name], common: bool = True) -> Generator[Name]:
    """Those of these bytes that no row names, some at a time; nobody comes to name one before the next is asked for.
    Before each it looks whether the session is there still: with its connection it loses the lock."""
    for first in range(0, len(names), AT_ONCE):
        # who names bytes looks for them first, and commits before this block or begins after it
        some = names[first : first + AT_ONCE]
        with runtime.database.deleting() if common else runtime.database.reading() as session:
            used = named(session, some)
            for name in some:
                if name not in used:
                    session.execute(select(1))
                    yield name


def discard_saves(runtime: Runtime, session: Session) -> None:
    """Deletes the last saves of updates that a session has ended, once it is committed."""
    discard(runtime, {(model_area(model_id), digest) for model_id, digest in states.saves_of_ended(session)})
