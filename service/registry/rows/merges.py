"""Merged ledgers: batches whose rows are elsewhere. Every batch behind one is named, so that none counts twice."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from service.errors import Conflict
from service.registry import batches
from service.registry.rows import ledger
from service.registry.rows.arrival import Arrival
from service.registry.sql.database import among
from service.registry.sql.tables import Batch, Model, Version
from service.remedies import RETRACT, listed


def accept(session: Session, model: Model, sent: Arrival) -> Batch:
    """The batch of these sums: the one that is there, where the same ones came before and were not taken back. Raises
    Conflict where some of their rows count already."""
    assert sent.entries is not None
    assert sent.space is not None
    of_merges = select(Batch).where(Batch.model_id == model.id, Batch.merged.is_not(None))
    merged = session.scalars(of_merges.order_by(Batch.id).options(undefer(Batch.entries)))
    known = [batch for batch in merged if batch.retracted_at is None or batch.in_live]
    for batch in known:
        if batch.digest == sent.digest and batch.retracted_at is None:
            return batch
    _check_own(session, model, list(sent.entries))
    for batch in known:
        if both := sorted(sent.entries.keys() & (batch.entries or {}).keys()):
            how = RETRACT(model=model.name, batches=listed([batch.id]))
            remedy = (
                f"Take that back first ({how}), then send this ledger again."
                if batch.retracted_at is None
                else "Send it again once that batch, which is being taken back, has left the live version."
            )
            raise Conflict(
                f"This ledger and batch {batch.id}, which was merged before, both hold the rows of batch {both[0]} "
                f"elsewhere ({len(both):,} of the {len(sent.entries):,} that it names): they would count "
                f"twice. {remedy}",
                batch=batch.id,
            )
    received = f"a ledger; rows: {sent.rows:,}, batches elsewhere: {len(sent.entries):,}"
    batch = batches.add(session, model, sent, received, stored_digest=None, kept_rows=0, merged=len(sent.entries))
    ledger.add(session, batch.id, sent.space, sent.stored_digest, sent.rows)
    return batch


def _check_own(session: Session, model: Model, ids: Sequence[str]) -> None:
    """Raises Conflict where a ledger holds rows of the model's own batches, be they learned, taken back or erased."""
    own = select(Batch.id).where(Batch.model_id == model.id, Batch.id.in_(among(session, ids)))
    if (batch_id := session.scalar(own.order_by(Batch.id).limit(1))) is not None:
        raise Conflict(
            f"The ledger holds rows of batch {batch_id} of {model.name} itself: they would count twice, or come back. "
            "Have the ledger exported from a version that was not merged with this model's.",
            batch=batch_id,
        )


def entries_of(session: Session, model: Model, version: Version, least: int) -> dict[str, int]:
    """The batches behind the sums of a version, here and elsewhere, with the rows of each.

    Raises Conflict where one of them has fewer than `least` rows of a class: who compares two ledgers, with it and
    without, sees the sums of these alone."""
    entries: dict[str, int] = {}
    query = select(Batch).where(Batch.id.in_(among(session, version.learned))).options(undefer(Batch.entries))
    for batch in session.scalars(query.order_by(Batch.id).execution_options(yield_per=batches.AT_ONCE)):
        brought = {batch.id: batch.rows} if batch.entries is None else batch.entries
        fewest = min([*brought.values(), *batch.label_counts.values()])
        if 0 < fewest < least:
            count = ("1 row" if fewest == 1 else f"{fewest:,} rows") + (" of a class" if batch.label_counts else "")
            raise Conflict(
                f"Batch {batch.id} brought {count}, and no ledger leaves this service that shows sums of fewer "
                f"than {least} (TSUIKA_LEDGER_MIN_ROWS). Export a version that did not learn it.",
                batch=batch.id,
            )
        entries |= {name: count for name, count in brought.items() if count}
    return entries
