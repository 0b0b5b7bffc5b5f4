"""Updates: queued, claimed under a lease, finished once. Claim, beat and finish are guarded by (id, fence, state)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy import update as sql_update
from sqlalchemy.orm import Session, aliased

from service.contract import resources
from service.contract.enums import UpdateKind, UpdateState
from service.errors import Conflict, LeaseLost, NotFound
from service.registry import listing, states
from service.registry.database import LARGEST, now
from service.registry.ids import new_id
from service.registry.tables import Batch, Model, Update, UpdateEvent, Version
from service.registry.times import moment


@dataclass(frozen=True)
class Order:
    """What somebody asks for; `method` null: the model's own."""

    kind: UpdateKind
    batches: Sequence[str]
    method: dict[str, Any] | None = None
    seed: int = 0
    reason: str | None = None
    erase: bool = False


def enqueue(session: Session, model: Model, order: Order, by: str) -> Update:
    """A queued update, in the caller's transaction."""
    at = now()
    update = Update(
        id=new_id("upd"),
        model_id=model.id,
        kind=order.kind,
        batches=list(order.batches),
        requested_method=order.method or (model.method if order.kind is UpdateKind.LEARN else None),
        challenges=None,
        method=None,
        why=None,
        seed=order.seed,
        reason=order.reason,
        erase=order.erase,
        state=UpdateState.QUEUED,
        verdict=None,
        base_version_id=None,
        version_id=None,
        attempts=0,
        fence=0,
        worker=None,
        lease_until=None,
        run_after=at,
        cancel_requested=False,
        progress=None,
        error=None,
        learned_rows=None,
        exam_rows=None,
        created_at=at,
        started_at=None,
        finished_at=None,
    )
    session.add(update)
    session.flush()
    states.note(session, update, "queued", by=by, batches=list(order.batches))
    return update


def claim(session: Session, worker: str, lease_seconds: float) -> Update | None:
    """The oldest queued update whose model has none running, now ours; its base is the version live at this moment.

    What learns waits for the retractions of its model: on a version with a retracted batch it could not go live. A
    challenger waits until nothing else does; its base is that of the update it challenges.
    """
    at = now()
    update = session.scalars(
        select(Update)
        .where(_claimable(at))
        .order_by(Update.challenges.is_not(None), Update.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()
    if update is None:
        return None
    model = session.get_one(Model, update.model_id)
    update.fence += 1
    update.attempts += 1
    update.worker = worker
    update.lease_until = at + lease_seconds
    update.started_at = at
    challenged = session.get_one(Update, update.challenges) if update.challenges is not None else None
    update.base_version_id = challenged.base_version_id if challenged is not None else model.live_version_id
    update.error = None
    states.advance(session, update, UpdateState.RUNNING, "claimed", worker=worker, attempt=update.attempts)
    session.flush()
    return update


def something_to_do(session: Session) -> bool:
    """Whether an update may be claimed or rescued: asked before the write lock is taken."""
    at = now()
    lost = (Update.state == UpdateState.RUNNING) & (Update.lease_until < at)
    return session.scalar(select(Update.id).where(_claimable(at) | lost).limit(1)) is not None


def somebody_waits(session: Session) -> bool:
    """Whether an update is due that is no challenger: then a running challenger makes room."""
    due = (Update.state == UpdateState.QUEUED) & (Update.run_after <= now()) & Update.challenges.is_(None)
    return session.scalar(select(Update.id).where(due).limit(1)) is not None


def last_challenged(session: Session, model: Model) -> Version | None:
    """The version that was challenged last, the challenge having come to an end."""
    ended = (Update.state == UpdateState.SUCCEEDED) & Update.challenges.is_not(None)
    query = select(Update.challenges).where(Update.model_id == model.id, ended).order_by(Update.id.desc())
    champion = session.scalar(query.limit(1))
    made = session.get_one(Update, champion).version_id if champion is not None else None
    return session.get(Version, made) if made is not None else None


def challenge(session: Session, model: Model, champion: Update, method: dict[str, Any], why: str) -> Update:
    """Queue a challenger of the version that `champion` made, in place of one that still waits."""
    waiting = select(Update).where(
        Update.model_id == model.id, Update.state == UpdateState.QUEUED, Update.challenges.is_not(None)
    )
    for other in session.scalars(waiting):
        cancelled(session, other, reason="a newer version is challenged")
    order = Order(UpdateKind.LEARN, champion.batches, champion.requested_method, champion.seed)
    update = enqueue(session, model, order, by="auto")
    update.challenges, update.method, update.why = champion.id, method, why
    return update


def _claimable(at: float) -> ColumnElement[bool]:
    running, back = aliased(Update), aliased(Update)
    busy = select(running.model_id).where(running.state == UpdateState.RUNNING)
    retracting = select(back.model_id).where(back.state == UpdateState.QUEUED, back.kind == UpdateKind.RETRACT)
    due = (Update.state == UpdateState.QUEUED) & (Update.run_after <= at) & Update.model_id.not_in(busy)
    return due & ((Update.kind == UpdateKind.RETRACT) | Update.model_id.not_in(retracting))


def cancel_requested(session: Session, update_id: str) -> bool:
    """Whether somebody asked a running update to stop."""
    return bool(session.scalar(select(Update.cancel_requested).where(Update.id == update_id)))


def beat(session: Session, update_id: str, fence: int, lease_seconds: float, progress: dict[str, Any] | None) -> bool:
    """Prolong the lease and store progress; -> whether somebody asked to cancel. Raises LeaseLost."""
    changed = session.execute(
        sql_update(Update)
        .where(Update.id == update_id, Update.fence == fence, Update.state == UpdateState.RUNNING)
        .values(lease_until=now() + lease_seconds, progress=progress)
        .returning(Update.cancel_requested)
    ).scalar_one_or_none()
    if changed is None:
        raise LeaseLost(f"Update {update_id} has another owner now.")
    return bool(changed)


def owned(session: Session, update_id: str, fence: int) -> Update:
    """The running update while the lease is still ours. Raises LeaseLost."""
    update = session.scalars(
        select(Update)
        .where(Update.id == update_id, Update.fence == fence, Update.state == UpdateState.RUNNING)
        .with_for_update()
    ).one_or_none()
    if update is None:
        raise LeaseLost(f"Update {update_id} has another owner now.")
    return update


def rescue(session: Session, max_attempts: int) -> list[str]:
    """Hand on the updates whose lease has expired; those out of attempts fail. -> their ids"""
    at = now()
    expired = session.scalars(select(Update).where(Update.state == UpdateState.RUNNING, Update.lease_until < at))
    rescued = []
    for update in expired:
        rescued.append(update.id)
        update.fence += 1
        if update.cancel_requested:
            cancelled(session, update, reason="its worker was lost")
        elif update.attempts >= max_attempts:
            why = f"its worker was lost {update.attempts} times"
            update.error = {"title": "The worker was lost", "detail": f"It was tried {update.attempts} times; {why}."}
            states.advance(session, update, UpdateState.FAILED, "failed", reason=why)
        else:
            states.advance(session, update, UpdateState.QUEUED, "rescued", lost=update.worker)
            update.run_after = at
    return rescued


def retry_later(session: Session, update: Update, error: dict[str, str], max_attempts: int, delay: float) -> bool:
    """After an error: queued again after `delay`, doubled with each attempt, or failed at the end. -> whether queued"""
    update.error = error
    if update.cancel_requested:
        cancelled(session, update, **error)
        return False
    if update.attempts >= max_attempts:
        states.advance(session, update, UpdateState.FAILED, "failed", **error)
        return False
    states.advance(session, update, UpdateState.QUEUED, "retried", **error)
    update.run_after = now() + delay * 2 ** (update.attempts - 1)
    return True


def hand_back(session: Session, update: Update, kind: str = "handed back") -> None:
    """Queued again, the attempt not counted: a graceful stop, or a base that moved. Cancelled where somebody asked."""
    if update.cancel_requested:
        cancelled(session, update)
        return
    states.advance(session, update, UpdateState.QUEUED, kind)
    update.attempts -= 1
    update.run_after = now()


def cancelled(session: Session, update: Update, **detail: Any) -> None:
    """It stops here. A retraction's batches are as before, unless they were to be erased."""
    states.advance(session, update, UpdateState.CANCELLED, "cancelled", **detail)
    if update.kind != UpdateKind.RETRACT or update.erase:
        return
    others = session.scalars(
        select(Update).where(
            Update.model_id == update.model_id,
            Update.kind == UpdateKind.RETRACT,
            Update.state.not_in([UpdateState.CANCELLED]),
            Update.id != update.id,
        )
    )
    still = {b for other in others for b in other.batches}
    for batch_id in set(update.batches) - still:
        session.get_one(Batch, batch_id).retracted_at = None


def cancel(session: Session, update: Update) -> bool:
    """-> True when it is cancelled now, False when its worker was asked to stop. Raises Conflict when it is final."""
    if update.state == UpdateState.QUEUED:
        cancelled(session, update)
        return True
    if update.state == UpdateState.RUNNING:
        update.cancel_requested = True
        states.note(session, update, "cancel requested")
        return False
    raise Conflict(f"Update {update.id} is {update.state} already.", state=update.state)


def retry(session: Session, update: Update) -> None:
    """By a person: a failed or cancelled update is queued again with fresh attempts; a retraction marks again what its
    cancelling had cleared. Raises Conflict."""
    if not states.is_final(update):
        raise Conflict(f"Update {update.id} is {update.state}; wait for its end, or cancel it.", state=update.state)
    states.advance(session, update, UpdateState.QUEUED, "retried by a person")
    if update.kind == UpdateKind.RETRACT:
        for batch_id in update.batches:
            batch = session.get_one(Batch, batch_id)
            batch.retracted_at = batch.retracted_at or now()
    update.attempts = 0
    update.cancel_requested = False
    update.error = None
    update.run_after = now()


def find(session: Session, update_id: str) -> Update:
    """Raises NotFound."""
    update = session.get(Update, update_id)
    if update is None or session.get_one(Model, update.model_id).archived_at is not None:
        raise NotFound(f'There is no update "{update_id[:64]}".')
    return update


def page(
    session: Session, model: Model, limit: int, cursor: str | None, state: str | None = None, kind: str | None = None
) -> tuple[list[Update], str | None]:
    """Updates of the model, newest first."""
    query = select(Update).where(Update.model_id == model.id)
    if state is not None:
        query = query.where(Update.state == state)
    if kind is not None:
        query = query.where(Update.kind == kind)
    return listing.page(session, query, Update.id, limit, cursor)


def events(session: Session, update_id: str, after: int = 0) -> list[resources.Event]:
    """What happened to an update after event `after`, oldest first."""
    query = select(UpdateEvent).where(UpdateEvent.update_id == update_id, UpdateEvent.id > min(after, LARGEST))
    return [
        resources.Event(id=e.id, at=moment(e.at), kind=e.kind, detail=e.detail)
        for e in session.scalars(query.order_by(UpdateEvent.id))
    ]


def resource(session: Session, update: Update) -> resources.Update:
    """The update as the API shows it."""
    base = session.get(Version, update.base_version_id) if update.base_version_id is not None else None
    made = session.get(Version, update.version_id) if update.version_id is not None else None
    return resources.Update.model_validate(
        {
            "id": update.id,
            "model": session.get_one(Model, update.model_id).name,
            "kind": update.kind,
            "state": update.state,
            "batches": update.batches,
            "method": update.method,
            "challenges": update.challenges,
            "requested_method": update.requested_method,
            "why": update.why,
            "base_version": base.number if base else None,
            "version": made.number if made else None,
            "verdict": update.verdict,
            "report": made.report if made else None,
            "progress": update.progress,
            "learned_rows": update.learned_rows,
            "exam_rows": update.exam_rows,
            "attempts": update.attempts,
            "seed": update.seed,
            "reason": update.reason,
            "erase": update.erase,
            "error": update.error,
            "created_at": moment(update.created_at),
            "started_at": moment(update.started_at),
            "finished_at": moment(update.finished_at),
        }
    )
