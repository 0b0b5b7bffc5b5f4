"""Ledger entries: which batch has its rounded features stored in which feature space."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from service.registry.sql.database import among
from service.registry.sql.tables import LedgerEntry, Version


def digests(session: Session, ids: Collection[str]) -> dict[str, dict[str, str]]:
    """Feature space -> batch -> digest of its entry, of these batches."""
    query = select(LedgerEntry.feature_space, LedgerEntry.batch_id, LedgerEntry.digest)
    stored: dict[str, dict[str, str]] = {}
    for space, batch_id, digest in session.execute(query.where(LedgerEntry.batch_id.in_(among(session, ids)))):
        stored.setdefault(space, {})[batch_id] = digest
    return stored


def whole(session: Session, version: Version) -> list[str]:
    """Feature spaces in which every batch of a version has an entry: its own, or, where it has none, those that are."""
    if version.feature_space is not None:
        return [version.feature_space]
    of_version = LedgerEntry.batch_id.in_(among(session, version.learned))
    spaces = select(LedgerEntry.feature_space).where(of_version).group_by(LedgerEntry.feature_space)
    return list(session.scalars(spaces.having(func.count() == len(version.learned))))


def add(session: Session, batch_id: str, space: str, digest: str, rows: int, device: str | None = None) -> None:
    """Adds an entry, unless there is one. device: on which its features were made"""
    add_all(session, [LedgerEntry(batch_id=batch_id, feature_space=space, digest=digest, rows=rows, device=device)])


def add_all(session: Session, entries: Sequence[LedgerEntry]) -> None:
    """Adds entries, but for those of a batch and a space that have one."""
    ids = among(session, [entry.batch_id for entry in entries])
    query = select(LedgerEntry.batch_id, LedgerEntry.feature_space).where(LedgerEntry.batch_id.in_(ids))
    known = set(map(tuple, session.execute(query))) if entries else set()
    session.add_all(entry for entry in entries if (entry.batch_id, entry.feature_space) not in known)


def lacking(session: Session, space: str, batch_ids: Collection[str]) -> list[str]:
    """Those of these batches that have no entry in this space, in that order."""
    query = select(LedgerEntry.batch_id).where(LedgerEntry.batch_id.in_(among(session, batch_ids)))
    entered = set(session.scalars(query.where(LedgerEntry.feature_space == space)))
    return [batch_id for batch_id in batch_ids if batch_id not in entered]


def erase(session: Session, batch_ids: Sequence[str]) -> None:
    session.execute(delete(LedgerEntry).where(LedgerEntry.batch_id.in_(among(session, batch_ids))))
