"""Ledger entries: which batch has its rounded features stored in which feature space."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from service.registry.sql.database import among
from service.registry.sql.tables import Batch, LedgerEntry, Model


def entries(session: Session, model: Model) -> list[LedgerEntry]:
    """Entries of all batches of the model, in every space."""
    return list(session.scalars(select(LedgerEntry).join(Batch).where(Batch.model_id == model.id)))


def add(session: Session, batch_id: str, space: str, digest: str, rows: int, device: str | None = None) -> None:
    """Adds an entry, unless there is one. device: on which its features were made"""
    if session.get(LedgerEntry, (batch_id, space)) is None:
        session.add(LedgerEntry(batch_id=batch_id, feature_space=space, digest=digest, rows=rows, device=device))


def lacking(session: Session, model: Model, space: str, batch_ids: Collection[str]) -> list[str]:
    """Batches of the model among `batch_ids` that have no entry in this space, in that order."""
    query = select(LedgerEntry.batch_id).join(Batch).where(Batch.model_id == model.id)
    entered = set(session.scalars(query.where(LedgerEntry.feature_space == space)))
    return [batch_id for batch_id in batch_ids if batch_id not in entered]


def erase(session: Session, batch_ids: Sequence[str]) -> None:
    session.execute(delete(LedgerEntry).where(LedgerEntry.batch_id.in_(among(session, batch_ids))))
