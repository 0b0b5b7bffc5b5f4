"""Rows that came before: from another source, or in a batch that was taken back or corrected."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contract.enums import Action
from service.registry.rows.arrival import Arrival
from service.registry.sql.conditions import RETRACTED
from service.registry.sql.database import among
from service.registry.sql.tables import AuditEntry, Batch, Model

_AGE = attrgetter("received_at", "id")


def in_place_of(session: Session, batch: Batch) -> Batch | None:
    """The batch that has the rows of this one as they were corrected, and was not taken back; None where none does."""
    new = corrected_by(session, [batch]).get(batch.id)
    return session.get_one(Batch, new) if new is not None else None


def corrected_by(session: Session, gone: Sequence[Batch]) -> dict[str, str]:
    """Of batches of a model that were taken back those that were corrected -> the batch that has their rows now: of
    several corrections the newest, and what corrects it before older ones. One query, however often they were."""
    if not gone:
        return {}
    query = select(Batch.id, Batch.corrects, Batch.retracted_at).where(Batch.model_id == gone[0].model_id)
    query = query.where(Batch.corrects.is_not(None), Batch.corrects < Batch.id).order_by(Batch.id.desc())
    now: dict[str, str] = {}
    for batch, corrects, retracted_at in session.execute(query):  # what corrects one comes before it
        if corrects is not None and (has := batch if retracted_at is None else now.get(batch)):
            now.setdefault(corrects, has)
    return {batch.id: now[batch.id] for batch in gone if batch.id in now}


def rows_elsewhere(session: Session, batch: Batch) -> Batch | None:
    """Another batch by which the rows of one that was taken back count all the same, as they came or corrected: of its
    own corrections, or one that came while the other was taken back; None where none does. Who sent rows again while
    they counted meant that."""
    first = batch
    while first.corrects is not None:
        first = session.get_one(Batch, first.corrects)
    if not first.digest or batch.retracted_at is None:
        return None
    query = select(Batch).where(Batch.model_id == batch.model_id, Batch.digest == first.digest).order_by(Batch.id)
    for came in session.scalars(query):
        if came is first or (came.source == first.source and _came_in_place(session, *sorted([first, came], key=_AGE))):
            has = came if came.retracted_at is None else in_place_of(session, came)
            if has is not None and has is not batch:
                return has
    return None


def _came_in_place(session: Session, old: Batch, new: Batch) -> bool:
    """Whether the older of two batches was taken back when the other one came. The mark may be gone since; the audit
    has each change of it."""
    name = session.get_one(Model, old.model_id).name
    rows = select(AuditEntry.action).where(AuditEntry.model == name).order_by(AuditEntry.id.desc()).limit(1)
    came = select(AuditEntry.id).where(AuditEntry.model == name, AuditEntry.subject == new.id)
    came = came.where(AuditEntry.action == Action.BATCH_RECEIVED).limit(1)
    marks = AuditEntry.action.in_((Action.BATCH_RETRACTED, Action.BATCH_RESTORED))
    last = rows.where(AuditEntry.subject == old.id, marks, AuditEntry.id < came.scalar_subquery())
    return session.scalar(last) == Action.BATCH_RETRACTED


def corrected_before(session: Session, model: Model, digest: str, source: str | None) -> tuple[Batch, Batch] | None:
    """A batch of this content and source that was corrected · the one that has its rows now; None where none was."""
    of_digest = select(Batch).where(Batch.model_id == model.id, Batch.digest == digest, RETRACTED)
    gone = [batch for batch in session.scalars(of_digest.order_by(Batch.id)) if batch.source == source]
    return next(((batch, now) for batch in gone if (now := in_place_of(session, batch))), None)


def note_of_other_source(session: Session, model: Model, sent: Arrival) -> list[str]:
    """Says that the first batch of other sources with the same rows counts, too; empty where there is none."""
    counts = Batch.in_live | Batch.rejected_by.is_(None)
    of_digest = select(Batch.id, Batch.source).where(Batch.model_id == model.id, Batch.digest == sent.digest)
    for batch_id, source in session.execute(of_digest.where(~RETRACTED, counts).order_by(Batch.id)):
        if source != sent.source:
            whence = "without a source" if source is None else f'from "{source}"'
            return [
                f"Batch {batch_id} {whence} has the same rows: they count twice. "
                "If that is not meant, take one of the two back."
            ]
    return []


def taken_back_before(session: Session, model: Model, brought: Sequence[Batch]) -> list[tuple[Batch, Batch]]:
    """One of these batches · one of the same content and source that had been taken back when it came: each such pair.
    Nothing is known of the content of one that was erased."""
    came = {(batch.digest, batch.source): batch for batch in brought if batch.digest}
    same = Batch.digest.in_(among(session, [digest for digest, _ in came]))
    gone = session.scalars(select(Batch).where(Batch.model_id == model.id, same, RETRACTED).order_by(Batch.id))
    pairs = ((came.get((batch.digest, batch.source)), batch) for batch in gone)
    return [(new, old) for new, old in pairs if new and old.retracted_at and old.retracted_at <= new.received_at]
