"""Leases: an update is claimed by one worker for a while; claim, beat and finish are guarded by (id, fence, state).

A worker that lost its lease cannot finish. Times come from the clock of the database. It may be set back: what is due
later than anything can be was written before that, so it is due now; a lease that ends later than any can is taken once
nobody prolongs it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Float, bindparam, case, func, or_, select
from sqlalchemy import update as sql_update
from sqlalchemy.orm import Session, aliased

from service.contract.enums import UpdateKind, UpdateState
from service.errors import LeaseLost
from service.registry import states, updates
from service.registry.sql.conditions import OPEN
from service.registry.sql.database import clock
from service.registry.sql.tables import Model, Update, UpdateEvent

LONGEST_DELAY_SECONDS = 300.0
"""The longest wait before another attempt."""
LONGEST_PAUSE_SECONDS = 60.0
"""The longest wait before an update asks again for what is away."""
RESCUED = "rescued"
"""The kind of the event that an update was queued again since its worker was lost."""
AT_ONCE = 0.0
"""`run_after` of what waits for nothing."""

# made once: workers run them again and again, and making one with other names of a table takes longer than running it
_AT, _BEYOND, _LONGEST = (
    bindparam("at", type_=Float),
    bindparam("beyond", type_=Float),
    bindparam("longest", type_=Float),
)
_RUNNING, _OTHER = aliased(Update), aliased(Update)
_BUSY = select(_RUNNING.model_id).where(_RUNNING.state == UpdateState.RUNNING)
_RETRACTING = select(_OTHER.model_id).where(_OTHER.state == UpdateState.QUEUED, _OTHER.kind == UpdateKind.RETRACT)
_DUE = (Update.state == UpdateState.QUEUED) & or_(Update.run_after <= _AT, Update.run_after > _BEYOND)
_CLAIMABLE = (
    _DUE & Update.model_id.not_in(_BUSY) & ((Update.kind == UpdateKind.RETRACT) | Update.model_id.not_in(_RETRACTING))
)
_AHEAD = (Update.state == UpdateState.RUNNING) & (Update.lease_until > _LONGEST)
_LOST = (Update.state == UpdateState.RUNNING) & (Update.lease_until < _AT) | _AHEAD
_LAST_TURN = case((Model.claimed_at <= _AT, Model.claimed_at), else_=0.0)
_TURN = (Update.challenges.is_not(None), _LAST_TURN, Update.id)
_CLAIM = select(Update).join(Model, Model.id == Update.model_id).where(_CLAIMABLE).order_by(*_TURN).limit(1)
_CLAIM = _CLAIM.with_for_update(skip_locked=True, of=Update)
_TO_DO = select(select(Update.id).where(_CLAIMABLE).exists(), select(Update.id).where(_LOST).exists())
_WAITS = select(Update.id).where(_DUE, Update.challenges.is_(None)).limit(1)
_OPEN = select(Update.id).where(OPEN).limit(1)


class Queue(NamedTuple):
    """The updates that are open. `running_seconds`: how long the one that was claimed first has run, None where none
    does · `oldest_seconds`: how long the one that waits longest has been due · `unclaimed_seconds`: how long updates
    have been due while no worker that lives had any, below zero while a lease lasts; both are None where none is due.
    Challengers wait for all others, so they are none that wait."""

    waiting: int = 0
    running: int = 0
    running_seconds: float | None = None
    oldest_seconds: float | None = None
    unclaimed_seconds: float | None = None


class ToDo(NamedTuple):
    """What a worker may do now: whether an update can be claimed, and whether one was lost, or may have been."""

    claim: bool = False
    rescue: bool = False


def queue(session: Session) -> Queue:
    at = clock(session)
    of_state = select(Update.state, func.count()).where(OPEN).group_by(Update.state)
    counts = dict(session.execute(of_state).all())
    waiting, running = counts.get(UpdateState.QUEUED, 0), counts.get(UpdateState.RUNNING, 0)
    runs = select(func.min(Update.started_at), func.max(Update.lease_until)).where(Update.state == UpdateState.RUNNING)
    started, lease = session.execute(runs).one() if running else (None, None)
    open_updates = Queue(waiting, running, None if started is None else at - started)
    if not waiting:
        return open_updates
    due = _DUE & Update.challenges.is_(None)
    since = select(func.max(UpdateEvent.at).label("at")).join(Update, Update.id == UpdateEvent.update_id).where(due)
    queued = since.group_by(UpdateEvent.update_id).subquery()
    oldest = session.scalar(select(func.min(queued.c.at)), _times(at))
    if oldest is None:
        return open_updates
    return open_updates._replace(oldest_seconds=at - oldest, unclaimed_seconds=at - max(oldest, lease or 0.0))


def claim(session: Session, worker: str, lease_seconds: float) -> Update | None:
    """Claims a queued update whose model has none running; its base is the version live at this moment.

    Models take turns, so that many updates of one hold up no other, and one whose update was lost once comes first;
    those of a model come in the order in which they were queued. What learns waits for the retractions of its model: on
    a version with a retracted batch it could not go live. A challenger waits until nothing else does; its base is that
    of the update it challenges.
    """
    at = clock(session)
    update = session.scalars(_CLAIM, _times(at)).first()
    if update is None:
        return None
    model = session.get_one(Model, update.model_id)
    update.fence += 1
    update.attempts += 1
    update.worker = worker
    update.lease_until = at + lease_seconds
    update.started_at = model.claimed_at = at
    challenged = session.get_one(Update, update.challenges) if update.challenges is not None else None
    update.base_version_id = challenged.base_version_id if challenged is not None else model.live_version_id
    update.error = None
    states.advance(session, update, UpdateState.RUNNING, "claimed", worker=worker, attempt=update.attempts)
    session.flush()
    return update


def to_do(session: Session, longest_lease: float) -> ToDo:
    """What there is to do: asked before the write lock is taken."""
    at = clock(session)
    return ToDo(*session.execute(_TO_DO, {**_times(at), "longest": at + longest_lease}).one())


def any_open(session: Session) -> bool:
    """Whether an update is queued or running: while none is, time alone makes nothing due."""
    return session.scalar(_OPEN) is not None


def ahead(session: Session, longest_lease: float) -> dict[str, float]:
    """Running updates whose lease ends later than any should -> when."""
    query = select(Update.id, Update.lease_until).where(_AHEAD)
    rows = session.execute(query, {"longest": clock(session) + longest_lease})
    return {update_id: until for update_id, until in rows if until is not None}


def somebody_waits(session: Session) -> bool:
    """Whether an update is due that is no challenger: then a running challenger makes room."""
    return session.scalar(_WAITS, _times(clock(session))) is not None


def beat(session: Session, update_id: str, fence: int, lease_seconds: float, progress: dict[str, Any] | None) -> bool:
    """Prolongs the lease and stores progress; -> whether somebody asked to cancel. Raises LeaseLost."""
    changed = session.execute(
        sql_update(Update)
        .where(Update.id == update_id, Update.fence == fence, Update.state == UpdateState.RUNNING)
        .values(lease_until=clock(session) + lease_seconds, progress=progress)
        .returning(Update.cancel_requested)
    ).scalar_one_or_none()
    if changed is None:
        raise LeaseLost(f"Update {update_id} has another owner now.")
    return bool(changed)


def save(session: Session, update_id: str, fence: int, digest: str) -> None:
    """Names the last save of the trainings of an update that is still ours. Raises LeaseLost."""
    owned(session, update_id, fence).trainings = digest


def cancel_requested(session: Session, update_id: str) -> bool:
    """Whether somebody asked a running update to stop."""
    return bool(session.scalar(select(Update.cancel_requested).where(Update.id == update_id)))


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


def rescue(session: Session, max_attempts: int, silent: Collection[str] = ()) -> list[str]:
    """Queues again the updates whose lease has expired, or that are known to be `silent`; those out of attempts fail.
    -> their ids

    An update whose worker was lost comes next, since the turn of its model was lost with it. One that loses another may
    be what its workers die of: it waits until all other models that have something to do had a turn.
    """
    at = clock(session)
    lost = (Update.lease_until < at) | Update.id.in_(silent)
    expired = session.scalars(select(Update).where(Update.state == UpdateState.RUNNING, lost))
    rescued = []
    for update in expired:
        rescued.append(update.id)
        update.fence += 1
        if update.cancel_requested:
            updates.cancelled(session, update, reason="its worker was lost")
        elif update.attempts >= max_attempts:
            why = f"its worker was lost {update.attempts} times"
            detail = f"It was tried {update.attempts} times; {why}."
            update.error = {"type": f"/problems/{LeaseLost.slug}", "title": "The worker was lost", "detail": detail}
            states.advance(session, update, UpdateState.FAILED, "failed", reason=why)
        else:
            before = UpdateEvent.update_id == update.id, UpdateEvent.kind == RESCUED
            again = session.scalar(select(UpdateEvent.id).where(*before).limit(1)) is not None
            session.get_one(Model, update.model_id).claimed_at = at if again else None
            states.advance(session, update, UpdateState.QUEUED, RESCUED, lost=update.worker)
            update.run_after = AT_ONCE
    return rescued


def left_by(session: Session, kind: str, besides: str) -> list[str]:
    """Running updates of all workers of a kind besides one: they died, where no two of that kind live at once."""
    by_others = Update.worker.startswith(f"{kind}-", autoescape=True) & (Update.worker != besides)
    return list(session.scalars(select(Update.id).where(Update.state == UpdateState.RUNNING, by_others)))


def retry_later(session: Session, update: Update, error: dict[str, str], max_attempts: int, delay: float) -> bool:
    """Queues an update again after an error, `delay` later, doubled with each attempt; fails it after the last.
    -> whether it is queued"""
    update.error = error
    if update.cancel_requested:
        updates.cancelled(session, update, **error)
        return False
    if update.attempts >= max_attempts:
        states.advance(session, update, UpdateState.FAILED, "failed", **error)
        return False
    states.advance(session, update, UpdateState.QUEUED, "retried", **error)
    update.run_after = clock(session) + min(delay * 2.0 ** (update.attempts - 1), LONGEST_DELAY_SECONDS)
    return True


def hand_back(session: Session, update: Update, kind: str = "handed back", **why: str) -> None:
    """Queues an update again and does not count the attempt; cancels it where somebody asked for that."""
    if update.cancel_requested:
        updates.cancelled(session, update)
        return
    states.advance(session, update, UpdateState.QUEUED, kind, **why)
    update.attempts -= 1
    update.run_after = AT_ONCE


def put_off(session: Session, update: Update, why: dict[str, str], delay: float) -> None:
    """Queues an update again, `delay` or a minute later, for a reason that is no fault of its own: the attempt does not
    count, and its error says what it waits for."""
    hand_back(session, update, "put off", **why)
    if update.state == UpdateState.QUEUED:
        update.error, update.run_after = why, clock(session) + min(delay, LONGEST_PAUSE_SECONDS)


def _times(at: float) -> dict[str, float]:
    """What decides at that time which updates are due."""
    return {"at": at, "beyond": at + LONGEST_DELAY_SECONDS}
