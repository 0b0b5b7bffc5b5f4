"""States of an update and the moves between them: `advance` is the only writer of `state`.

queued -> running -> succeeded | failed | cancelled      queued -> cancelled
running -> queued (rescued | retried | handed back | put off)      failed | cancelled -> queued (retry, by a person)
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contract.enums import Action, Outcome, Promotion, UpdateKind, UpdateState, Verdict
from service.errors import Conflict
from service.registry import batches
from service.registry.callers import audit
from service.registry.sql.conditions import OPEN
from service.registry.sql.database import clock
from service.registry.sql.tables import Model, Update, UpdateEvent, Version

S = UpdateState
MOVES: dict[UpdateState, frozenset[UpdateState]] = {
    S.QUEUED: frozenset({S.RUNNING, S.CANCELLED}),
    S.RUNNING: frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED, S.QUEUED}),
    S.SUCCEEDED: frozenset(),
    S.FAILED: frozenset({S.QUEUED}),
    S.CANCELLED: frozenset({S.QUEUED}),
}
FINAL = frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED})
_ACTIONS = {
    S.QUEUED: Action.UPDATE_QUEUED_AGAIN,
    S.RUNNING: Action.UPDATE_CLAIMED,
    S.SUCCEEDED: Action.UPDATE_SUCCEEDED,
    S.FAILED: Action.UPDATE_FAILED,
    S.CANCELLED: Action.UPDATE_CANCELLED,
}
_SAVES = "tsuika.saves_of_ended"


def is_final(update: Update) -> bool:
    """Whether only a person can move it on."""
    return UpdateState(update.state) in FINAL


def advance(session: Session, update: Update, to: UpdateState, kind: str, **detail: Any) -> None:
    """Moves an update to another state, appends the event `kind` and writes a row of the audit. Raises Conflict where
    there is no such move."""
    if to not in MOVES[UpdateState(update.state)]:
        remedy = " Only a failed or cancelled one is tried again; more rows need a new one." if to is S.QUEUED else ""
        why = f"Update {update.id} is {update.state}; from there it cannot become {to}.{remedy}"
        raise Conflict(why, state=update.state)
    was_final = is_final(update)
    update.state = to
    if to in FINAL:
        update.finished_at = clock(session)
        if update.trainings is not None:
            saves_of_ended(session).add((update.model_id, update.trainings))
        update.lease_until = update.progress = update.trainings = None
        settle(session, update.model_id, {*update.batches, *(update.adds or ())}, besides=update.id)
    elif to is S.QUEUED:
        update.lease_until = update.worker = update.finished_at = update.progress = None
        unsettle(session, update)
    note(session, update, kind, **detail)
    model = session.get_one(Model, update.model_id)
    action, reason = (Action.UPDATE_RETRIED, "") if was_final else (_ACTIONS[to], _reason(session, update, kind))
    audit.record(session, action, model.name, update.id, reason, update.request_id)


def saves_of_ended(session: Session) -> set[tuple[int, str]]:
    """The last saves of the updates that this session has ended, as (model, digest): no row names them any more, and
    who commits the session deletes them."""
    saves: set[tuple[int, str]] = session.info.setdefault(_SAVES, set())
    return saves


def unsettle(session: Session, update: Update) -> None:
    """Marks its batches as needed: an update on its way names them, so their rows must stay."""
    for batch in batches.by_id(session, [*update.batches, *(update.adds or ())]):
        batch.settled_at = None


def settle(session: Session, model_id: int, ids: Collection[str], besides: str = "") -> None:
    """Marks those of these batches of a model as settled that only final updates name, and the one `besides`."""
    unfinished = select(Update.batches, Update.adds)
    unfinished = unfinished.where(Update.model_id == model_id, OPEN, Update.id != besides)
    busy = {batch_id for named, adds in session.execute(unfinished) for batch_id in (*named, *(adds or ()))}
    for batch in batches.by_id(session, sorted({*ids} - busy)):
        batch.settled_at = clock(session)


def _reason(session: Session, update: Update, kind: str) -> str:
    """Why an update has moved, for the audit: which worker has it, why none has, or how it has ended. The detail of an
    error may quote rows, so its title alone."""
    if update.state == S.RUNNING:
        return update.worker or ""
    if update.state == S.QUEUED:
        return kind
    if update.state == S.FAILED:
        return update.error["title"] if update.error else ""
    if update.version_id is None:
        return ""
    return f"{update.verdict}: version {session.get_one(Version, update.version_id).number}"


def note(session: Session, update: Update, kind: str, **detail: Any) -> None:
    """Appends an event without a move."""
    session.add(UpdateEvent(update_id=update.id, at=clock(session), kind=kind, detail=detail))


def verdict(kind: UpdateKind, outcome: Outcome, promotion: Promotion, base_is_live: bool) -> Verdict:
    """The verdict that follows from outcome and promotion mode; superseded, where the base moved, before all others.

    A retraction is promoted, since a person ordered it; where the base moved, its worker queues it again first."""
    if kind is UpdateKind.RETRACT:
        return Verdict.PROMOTED
    if not base_is_live:
        return Verdict.SUPERSEDED
    if outcome is Outcome.FAIL:
        return Verdict.REJECTED
    if outcome is Outcome.UNDECIDED or promotion is Promotion.MANUAL:
        return Verdict.HELD
    return Verdict.PROMOTED
