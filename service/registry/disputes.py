"""Disputes: a held batch contradicts what the model is sure of. Each is opened once, and settled by another batch or by
a person; what became of the version or of its batches settles it, too, which is computed, never stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import CompoundSelect, select
from sqlalchemy.orm import Session

from service.contract import resources
from service.contract.enums import Action, DisputeState, Expect
from service.contract.reports.class_report import Dispute as Disputed
from service.errors import Conflict, NotFound
from service.registry import batches, paging, states, updates, versions
from service.registry.callers import audit, keys
from service.registry.callers.actor import ANONYMOUS, SERVICE
from service.registry.ids import new_id
from service.registry.sql.conditions import RETRACTED
from service.registry.sql.database import clock
from service.registry.sql.shown import moment, shown
from service.registry.sql.tables import Batch, Deployment, Dispute, Model, NamedBatch, Update
from service.remedies import EXPECT, NO_NUMBER, REBASE, RETRACT, SETTLE, listed

LOOKED_BACK = 100
"""How many of the latest open disputes a batch may settle."""
_TAKEN_BACK = select(NamedBatch.update_id).join(Batch, Batch.id == NamedBatch.batch_id).where(RETRACTED)
"""Updates one of whose batches was taken back."""


@dataclass(frozen=True)
class Decision:
    """What ends a dispute without a word on who is right: its version was made live, or its batch taken back."""

    by: str | None
    at: float | None
    reason: str


def open_all(session: Session, model: Model, update: Update, disputed: Sequence[Disputed]) -> None:
    for each in disputed:
        dispute = Dispute(
            id=new_id("dsp"),
            model_id=model.id,
            update_id=update.id,
            class_=each.class_,
            suggested=each.suggested,
            rows=each.rows,
            source=each.source,
            by=update.by,
            opened_at=clock(session),
            reason="",
        )
        session.add(dispute)
        audit.record(session, Action.DISPUTE_OPENED, model.name, dispute.id, f"by {update.id}")


def open_before(session: Session, model: Model, update: Update) -> list[tuple[Dispute, Update]]:
    """Open disputes of earlier updates with other batches, the oldest first, each with the update that opened it."""
    live = select(Deployment.id).where(Deployment.version_id == Update.version_id)
    query = select(Dispute, Update).join(Update, Update.id == Dispute.update_id)
    query = query.where(Dispute.model_id == model.id, Dispute.verdict.is_(None), ~live.exists())
    latest = session.execute(query.order_by(Dispute.id.desc()).limit(LOOKED_BACK)).all()
    own = set(update.batches)
    return [
        (dispute, opened)
        for dispute, opened in reversed(latest)
        if opened.id != update.id and not own.intersection(opened.batches) and not batches.taken_back(session, opened)
    ]


def settle(session: Session, dispute: Dispute, verdict: str, update: Update, reason: str) -> None:
    """Settles a dispute, as the batches of an update do. `verdict`: confirmed or refuted. Raises Conflict."""
    _settle(session, dispute, verdict, update.id, reason, f"by {update.id}")  # the sentence names classes


def settle_by_hand(session: Session, dispute: Dispute, verdict: str, by: str, reason: str) -> None:
    """The same by a person, with an event of the update that opened it. Raises Conflict."""
    _settle(session, dispute, verdict, by, reason, reason)
    facts = {"class": dispute.class_, "suggested": dispute.suggested, "by": by, "reason": reason}
    states.note(session, session.get_one(Update, dispute.update_id), f"dispute {verdict}", **facts)


def _settle(session: Session, dispute: Dispute, verdict: str, by: str, reason: str, audited: str) -> None:
    if (state := _state(dispute, _decisions(session, [dispute]).get(dispute.id))) is not DisputeState.OPEN:
        raise Conflict(f"Dispute {dispute.id} is {state} already.", state=state)
    dispute.verdict, dispute.settled_by, dispute.settled_at, dispute.reason = verdict, by, clock(session), reason
    action = Action.DISPUTE_CONFIRMED if verdict == DisputeState.CONFIRMED else Action.DISPUTE_REFUTED
    audit.record(session, action, session.get_one(Model, dispute.model_id).name, dispute.id, audited)


def senders(session: Session, update: Update) -> frozenset[str] | None:
    """The keys that sent the batches of an update, None where one of them is not known. A key that took the place of
    another counts as that one: both have one holder."""
    sent = {session.get_one(Batch, batch_id).by for batch_id in update.batches}
    known = {by for by in sent if by is not None and by not in (ANONYMOUS, SERVICE.by)}
    return frozenset(keys.first(session, by) for by in known) if known and len(known) == len(sent) else None


def get(session: Session, model: Model, dispute_id: str) -> Dispute:
    """A dispute of this model. Raises NotFound."""
    dispute = session.get(Dispute, dispute_id)
    if dispute is None or dispute.model_id != model.id:
        raise NotFound(f'There is no dispute "{dispute_id[:64]}" in {model.name}.')
    return dispute


def page(
    session: Session,
    model: Model,
    limit: int,
    cursor: str | None,
    state: DisputeState | None = None,
    update: str | None = None,
) -> tuple[list[Dispute], str | None]:
    """Disputes of the model, newest first; those in that state, and over batches that this update names, too."""
    query = select(Dispute).where(Dispute.model_id == model.id)
    if update is not None:
        brought = select(NamedBatch.batch_id).where(NamedBatch.update_id == update)
        query = query.where(Dispute.update_id.in_(select(NamedBatch.update_id).where(NamedBatch.batch_id.in_(brought))))
    if state in (DisputeState.CONFIRMED, DisputeState.REFUTED):
        query = query.where(Dispute.verdict == state)
    elif state is not None:
        decided = Dispute.update_id.in_(_decided(session, model))
        query = query.where(Dispute.verdict.is_(None), decided if state is DisputeState.SETTLED else ~decided)
    return paging.page(session, query, Dispute.id, limit, cursor)


def resources_of(session: Session, model: Model, disputes: Sequence[Dispute]) -> list[resources.ModelDispute]:
    """Disputes of the model as the API shows them: as many queries for many as for one."""
    decisions = _decisions(session, disputes)
    opening = select(Update).where(Update.id.in_({each.update_id for each in disputes}))
    held = {update.id: update for update in session.scalars(opening)}
    numbers = versions.numbers_of(session, [update.version_id for update in held.values()])
    resources_shown = []
    for each in disputes:
        decision, opened = decisions.get(each.id), held[each.update_id]
        state = _state(each, decision)
        end = Decision(each.settled_by, each.settled_at, each.reason)
        if decision is not None and each.verdict is None:
            end = decision
        resources_shown.append(
            shown(
                resources.ModelDispute,
                each,
                model=model.name,
                update=each.update_id,
                version=numbers.get(opened.version_id),
                batches=opened.batches,
                opened_by=each.by,
                state=state,
                by=end.by,
                at=moment(end.at),
                reason=end.reason,
                remedy=_remedy(state, model.name, each.id, opened.batches, numbers.get(opened.version_id)),
            )
        )
    return resources_shown


def _remedy(state: DisputeState, model: str, dispute: str, brought: Sequence[str], version: int | None) -> str:
    """What to do about a dispute in that state."""
    match state:
        case DisputeState.OPEN:
            return f"Wait for batches of another key, or settle it: {SETTLE(model=model, dispute=dispute)}."
        case DisputeState.CONFIRMED:
            rebase = REBASE(model=model, version=version or NO_NUMBER)
            return (
                f"Promote its version (where another went live since: {rebase}), or learn its batches "
                f"{EXPECT(what=Expect.RELABEL)}; take back older batches that say otherwise."
            )
        case DisputeState.REFUTED:
            return f"Take its batches back: {RETRACT(model=model, batches=listed(brought))}; or correct their rows."
        case DisputeState.SETTLED:
            return ""


def _state(dispute: Dispute, decision: Decision | None) -> DisputeState:
    if dispute.verdict is not None:
        return DisputeState(dispute.verdict)
    return DisputeState.SETTLED if decision is not None else DisputeState.OPEN


def _decisions(session: Session, disputes: Sequence[Dispute]) -> dict[str, Decision]:
    """By dispute: how somebody made its version live, or took one of its batches back."""
    ids = {each.update_id for each in disputes}
    back = _TAKEN_BACK.where(NamedBatch.update_id.in_(ids)).add_columns(Batch.id, Batch.retracted_at)
    decided: dict[str, Decision] = {}
    for update_id, batch_id, at in sorted(session.execute(back).all()):
        order = updates.retraction_of(session, batch_id)
        order = order or updates.correcting(session, session.get_one(Batch, batch_id))
        by, reason = (order.by, order.reason) if order is not None else (None, None)
        decided[update_id] = Decision(by, at, reason or "Its batch was taken back.")
    live = select(Update.id, Deployment).join(Deployment, Deployment.version_id == Update.version_id)
    for update_id, moved in session.execute(live.where(Update.id.in_(ids)).order_by(Deployment.id.desc())):
        decided[update_id] = Decision(moved.by, moved.at, moved.reason)
    return {each.id: decided[each.update_id] for each in disputes if each.update_id in decided}


def _decided(session: Session, model: Model) -> CompoundSelect[str]:
    """Updates with disputes whose version was made live, or one of whose batches was taken back."""
    disputing = select(Dispute.update_id).where(Dispute.model_id == model.id)
    live = select(Update.id).join(Deployment, Deployment.version_id == Update.version_id)
    back = _TAKEN_BACK.where(NamedBatch.update_id.in_(disputing))
    return back.union(live.where(Update.id.in_(disputing)))
