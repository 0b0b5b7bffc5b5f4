"""How much of the service one model, and one key, may take: updates that wait, and bytes of stored rows.

What a key has of its own comes before the settings. One that took the place of another has the same share: what both
sent counts together.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from service.contract.enums import UpdateState
from service.errors import QuotaFull, TooMany
from service.registry.callers import keys
from service.registry.callers.actor import acting
from service.registry.sql.tables import ApiKey, Batch, Model, Update
from service.settings import Settings


def require_turn(session: Session, model: Model, settings: Settings, by: str | None = None) -> None:
    """Raises TooMany where so many updates of the model, or of the key, wait that none may join them. `by`: the key,
    None: who acts."""
    by = by or acting().by
    key = session.get(ApiKey, by)
    most = settings.queued_updates, (key and key.queued) or settings.key_queued_updates
    for whose, limit, theirs in _limited(session, Update, model, by, most):
        waiting = select(func.count()).select_from(Update).where(theirs, Update.state == UpdateState.QUEUED)
        if (session.scalar(waiting) or 0) >= limit:
            raise TooMany(
                f"{limit:,} updates {whose} wait already, as many as may. Send batches, and learn them with one update "
                'of "pending" rows.',
                retry_after=5,
            )


def require_room(session: Session, model: Model, settings: Settings) -> None:
    """Raises QuotaFull where the stored batches of the model, or of the key, take more bytes than they may."""
    by = acting().by
    key = session.get(ApiKey, by)
    most = settings.model_bytes, (key and key.bytes) or settings.key_bytes
    for whose, limit, theirs in _limited(session, Batch, model, by, most):
        if (taken := session.scalar(select(func.sum(Batch.bytes)).where(theirs)) or 0) > limit:
            raise QuotaFull(
                f"The batches {whose} would take {taken:,} bytes with this one, and {limit:,} are allowed. Erase "
                "batches, or let the model keep fewer rows (retention)."
            )


def _limited(
    session: Session, table: type[Batch | Update], model: Model, by: str, most: tuple[int | None, int | None]
) -> Iterator[tuple[str, int, ColumnElement[bool]]]:
    """The model and the key, where they have a limit: whose it is, the limit, which rows of the table are theirs."""
    of_model, of_key = most
    if of_model is not None:
        yield f"of {model.name}", of_model, table.model_id == model.id
    if of_key is not None:
        yield f"of {by}", of_key, table.by.in_(keys.line(session, by))
