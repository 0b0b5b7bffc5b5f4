"""Amounts of a file that are in another currency than those of files before it."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.guessing.csv_files.dialect import CURRENCY_NOTE
from service.registry.rows.arrival import Arrival
from service.registry.sql.conditions import RETRACTED
from service.registry.sql.tables import Batch, Model

LOOKED_THROUGH = 50
"""The newest files with notes, among which one says in which currency a column was."""


def compared(session: Session, model: Model, sent: Arrival) -> list[str]:
    """What a batch notes, and where a column of amounts is in another currency than in the newest live batch that says
    one: of the same source where there is one, else of any."""
    noted = sent.notes or ()
    if not any(map(CURRENCY_NOTE.match, noted)):
        return [*noted]
    query = select(Batch.id, Batch.source, Batch.notes).where(Batch.model_id == model.id, Batch.notes.is_not(None))
    newest = session.execute(query.where(Batch.in_live, ~RETRACTED).order_by(Batch.id.desc()).limit(LOOKED_THROUGH))
    known = dict[str, tuple[str, str]]()
    for batch_id, _, notes in sorted(newest.all(), key=lambda batch: bool(batch.source != sent.source)):
        for note in filter(None, map(CURRENCY_NOTE.match, notes or ())):
            known.setdefault(note["column"], (batch_id, note["sign"]))
    return [_compared(note, known) for note in noted]


def _compared(note: str, known: Mapping[str, tuple[str, str]]) -> str:
    """The note, with another currency that is known of its column, and of which batch."""
    found = CURRENCY_NOTE.match(note)
    batch_id, sign = known.get(found["column"], ("", "")) if found else ("", "")
    if found is None or sign in ("", found["sign"]):
        return note
    return (
        f'Amounts of "{found["column"]}" are in {found["sign"]}, and those of batch {batch_id} in {sign}: they are '
        "learned as the same numbers. If that is not meant, take this batch back, and send it in one currency."
    )
