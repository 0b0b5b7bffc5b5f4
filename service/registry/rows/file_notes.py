"""How files were read, which their batches note, as the report of an update says it again."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from service.registry.sql.database import among
from service.registry.sql.tables import Batch

NAMES_A_BATCH = "bat_"
"""Stands in a note that names another batch, such as one with the same rows."""


def to_say(session: Session, brought: Sequence[Batch]) -> list[str]:
    """What these batches note, each note once; how a file was read only where the batch that came before it from the
    same source was read otherwise."""
    noted = [batch for batch in brought if batch.notes]
    if not noted:
        return []
    earlier, before = aliased(Batch), aliased(Batch)
    of_source = (earlier.model_id == Batch.model_id) & earlier.source.is_not_distinct_from(Batch.source)
    last = select(earlier.id).where(of_source, earlier.id < Batch.id, earlier.corrects.is_(None))
    last = last.order_by(earlier.id.desc()).limit(1)
    query = select(Batch.id, before.notes).join(before, before.id == last.scalar_subquery())
    query = query.where(Batch.id.in_(among(session, [batch.id for batch in noted])))
    known = {batch_id: notes or () for batch_id, notes in session.execute(query)}
    said = [
        note
        for batch in noted
        for note in batch.notes or ()
        if note not in known.get(batch.id, ()) or NAMES_A_BATCH in note
    ]
    return list(dict.fromkeys(said))
