"""How much of the service one model, and one key, may take: updates that wait, and bytes of stored rows."""

from __future__ import annotations

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from service.contract.enums import UpdateState
from service.errors import QuotaFull, TooMany
from service.registry.callers.actor import acting
from service.registry.sql.tables import Batch, Model, Update

Most = tuple[int | None, int | None]
"""Of a model, and of a key; None: no limit."""


def require_turn(session: Session, model: Model, most: Most, by: str | None = None) -> None:
    """Raises TooMany where so many updates of the model, or of the key, wait that none may join them. `by`: the key,
    None: who acts."""
    by = by or acting().by
    places = (f"of {model.name}", Update.model_id == model.id), (f"of {by}", Update.by == by)
    for (whose, theirs), limit in zip(places, most, strict=True):
        if limit is not None and _count(session, theirs & (Update.state == UpdateState.QUEUED)) >= limit:
            raise TooMany(
                f"{limit:,} updates {whose} wait already, as many as may. Send batches, and learn them with one update "
                'of "pending" rows.',
                retry_after=5,
            )


def require_room(session: Session, model: Model, most: Most) -> None:
    """Raises QuotaFull where the stored batches of the model, or of the key, take more bytes than they may."""
    by = acting().by
    places = (f"of {model.name}", Batch.model_id == model.id), (f"of {by}", Batch.by == by)
    for (whose, theirs), limit in zip(places, most, strict=True):
        if limit is not None and (taken := session.scalar(select(func.sum(Batch.bytes)).where(theirs)) or 0) > limit:
            raise QuotaFull(
                f"The batches {whose} would take {taken:,} bytes with this one, and {limit:,} are allowed. Erase "
                "batches, or let the model keep fewer rows (retention)."
            )


def _count(session: Session, which: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).select_from(Update).where(which)) or 0
