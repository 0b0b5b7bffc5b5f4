"""Ledger entries: which batch has its rounded features stored in which feature space."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from service.registry.sql.database import among
from service.registry.sql.tables import Batch, LedgerEntry, Model


def digests(session: Session, model: Model) -> dict[str, dict[str, str]]:
    """Feature space -> batch -> digest of its entry, of all batches of the model."""
    query = select(LedgerEntry.feature_space, LedgerEntry.batch_id, LedgerEntry.digest).join(Batch)
    stored: dict[str, dict[str, str]] = {}
    for space, batch_id, digest in session.execute(query.where(Batch.model_id == model.id)):
        stored.setdefault(space, {})[batch_id] = digest
    return stored


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
