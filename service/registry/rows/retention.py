"""Which learned rows are due to be deleted, and what replaces them: bytes first, row second, deletion last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from service.contract.enums import Retention, UpdateState
from service.registry.sql.tables import Batch, Deployment, LedgerEntry, Model, Update, UpdateEvent


@dataclass(frozen=True)
class Rest:
    """What is left of a batch, all of it in the store: its rows, if any, how many, and their bytes; its entries by
    space."""

    stored_digest: str | None
    rows: int
    entries: Mapping[str, str] = field(default_factory=dict)
    bytes: int = 0


def waiting(session: Session) -> list[int]:
    """Models with batches that may have rows to delete."""
    of_model = select(Batch.id).where(Batch.model_id == Model.id, _open())  # no batch is read where a model keeps all
    return list(
        session.scalars(select(Model.id).where(Model.retention != Retention.ALL, of_model.exists()).order_by(Model.id))
    )


def marks(session: Session) -> tuple[object, ...]:
    """What decides whether rows or versions are due: while this is the same, no others become so. Nothing where all
    are kept."""
    limited = (Model.retention != Retention.ALL) | (Model.keep_versions > 0)
    retentions = session.execute(select(Model.id, Model.retention, Model.keep_versions).where(limited)).all()
    if not retentions:
        return ()
    events, moves = session.scalar(select(func.max(UpdateEvent.id))), session.scalar(select(func.max(Deployment.id)))
    return (events, moves, *(tuple(row) for row in retentions))


def due(session: Session, model: Model) -> list[Batch]:
    """Batches whose rows the model's retention wants deleted now, oldest first; none while an update of it runs.

    Every update that names the batch is final, and the rows are needed no more: the live version knows them, or the
    batch was rejected or retracted. A batch that is pending keeps its rows, for they are yet to be learned.
    """
    if model.retention == Retention.ALL or busy(session, model):
        return []
    query = select(Batch).join(Model, Model.id == Batch.model_id).where(Batch.model_id == model.id, _open())
    return [
        b
        for b in session.scalars(query.order_by(Batch.id))
        if b.in_live or b.rejected_by is not None or b.retracted_at is not None
    ]


def busy(session: Session, model: Model) -> bool:
    """Whether an update of the model runs: it may read any row or entry."""
    running = select(Update.id).where(Update.model_id == model.id, Update.state == UpdateState.RUNNING)
    return session.scalar(running.limit(1)) is not None


def reduced(session: Session, model: Model) -> list[Batch]:
    """Batches of which retention has left some rows, oldest first."""
    query = select(Batch).where(
        Batch.model_id == model.id,
        Batch.kept_as == Retention.EXEMPLARS,
        Batch.stored_digest.is_not(None),
        Batch.erased_at.is_(None),
    )
    return list(session.scalars(query.order_by(Batch.id)))


def replace(session: Session, batch: Batch, rest: Rest, kept_as: Retention) -> None:
    """Lets the batch name only what is left of it; the bytes that it named before are doomed."""
    doomed = list(batch.doomed or [])
    if batch.stored_digest is not None and batch.stored_digest != rest.stored_digest:
        doomed.append(batch.stored_digest)
    for space, digest in rest.entries.items():
        entry = session.get_one(LedgerEntry, (batch.id, space))
        if entry.digest != digest:
            doomed.append(entry.digest)
            entry.digest = digest
    batch.stored_digest, batch.kept_rows, batch.kept_as = rest.stored_digest, rest.rows, kept_as
    batch.bytes = rest.bytes
    batch.doomed = doomed or None


def doomed(session: Session, model_id: int | None = None) -> list[Batch]:
    """Batches that left bytes which may still be there; those of an erasure are its own to delete."""
    query = select(Batch).where(Batch.doomed.is_not(None), Batch.erased_at.is_(None))
    return list(session.scalars(query if model_id is None else query.where(Batch.model_id == model_id)))


def _open() -> ColumnElement[bool]:
    """Settled batches that are not yet kept as their model's retention says."""
    behind = or_(Batch.kept_as.is_(None), (Model.retention == Retention.NONE) & (Batch.kept_as != Retention.NONE))
    return (Model.retention != Retention.ALL) & Batch.settled_at.is_not(None) & Batch.erased_at.is_(None) & behind
