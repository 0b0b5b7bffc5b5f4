"""Updates: queued, finished once, retried by a person. Claims and leases are in leases.py."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, literal, select
from sqlalchemy.orm import Session

from service.contract import resources
from service.contract.enums import Action, UpdateKind, UpdateState
from service.errors import Conflict, NotFound
from service.registry import batches, paging, states, versions
from service.registry.callers import audit
from service.registry.callers.actor import acting
from service.registry.ids import new_id
from service.registry.rows import same_rows
from service.registry.sql.database import among, clock
from service.registry.sql.shown import shown
from service.registry.sql.tables import Batch, Model, NamedBatch, Update, UpdateEvent, Version
from service.telemetry import tracing

QUOTES = ("detail", "guess")
"""What the detail of an event says that may quote rows; the second is in older databases alone."""
FORGOTTEN = "What it said went with the rows, which were erased."


@dataclass(frozen=True)
class Order:
    """What somebody asks for. Without `method` the model's own is used."""

    kind: UpdateKind
    batches: Sequence[str]
    method: dict[str, Any] | None = None
    seed: int = 0
    reason: str | None = None
    erase: bool = False
    expect: str | None = None
    adds: Sequence[str] | None = None
    corrected: resources.Correction | None = None
    device: str | None = None


def enqueue(session: Session, model: Model, order: Order, by: str) -> Update:
    """Queues an update, in the caller's transaction. What only its execution knows begins as None."""
    update = Update(
        id=new_id("upd"),
        model_id=model.id,
        kind=order.kind,
        batches=list(order.batches),
        requested_method=order.method or (model.method if order.kind is UpdateKind.LEARN else None),
        seed=order.seed,
        device=order.device,
        expect=order.expect,
        reason=order.reason,
        adds=None if order.adds is None else list(order.adds),
        corrected=None if order.corrected is None else order.corrected.model_dump(),
        by=by,
        request_id=acting().request_id,
        traceparent=tracing.traceparent(),
        erase=order.erase,
        state=UpdateState.QUEUED,
        attempts=0,
        fence=0,
        run_after=0.0,
        cancel_requested=False,
        created_at=clock(session),
    )
    session.add(update)
    session.flush()
    named = among(session, {*order.batches, *(order.adds or ())}).add_columns(literal(update.id))
    session.execute(insert(NamedBatch).from_select(["batch_id", "update_id"], named))
    states.unsettle(session, update)
    states.note(session, update, "queued", by=by, batches=list(order.batches))
    reason = f"expect: {order.expect}" if order.expect is not None else order.reason or ""
    audit.record(session, Action.UPDATE_QUEUED, model.name, update.id, reason)
    return update


def order_of(session: Session, update: Update) -> Order:
    """The order that learns the same batches once more."""
    return Order(
        UpdateKind.LEARN,
        update.batches,
        update.requested_method,
        update.seed,
        expect=update.expect,
        device=update.device,
    )


def ordered_by(session: Session, update: Update) -> str | None:
    """The name of the key under which it was ordered, or of what queued it by itself."""
    queued = select(UpdateEvent.detail).where(UpdateEvent.update_id == update.id, UpdateEvent.kind == "queued")
    by = (session.scalar(queued.order_by(UpdateEvent.id).limit(1)) or {}).get("by")
    return None if by is None else str(by)


def retraction_of(session: Session, batch_id: str) -> Update | None:
    """The latest order that takes a batch back."""
    return next((order for order in _retractions(session, batch_id) if batch_id in order.batches), None)


def bringing(session: Session, batch_id: str) -> Update | None:
    """The order that is to bring a batch in the place of another one and has not: it is queued, runs, or failed."""
    ended = (UpdateState.SUCCEEDED, UpdateState.CANCELLED)
    orders = (order for order in _retractions(session, batch_id) if order.state not in ended)
    return next((order for order in orders if batch_id in (order.adds or ())), None)


def _retractions(session: Session, batch_id: str) -> Sequence[Update]:
    """The orders that take a batch back, or bring it in the place of one, the latest first."""
    naming = select(Update).join(NamedBatch, NamedBatch.update_id == Update.id)
    orders = naming.where(NamedBatch.batch_id == batch_id, Update.kind == UpdateKind.RETRACT)
    return session.scalars(orders.order_by(Update.id.desc())).all()


def forget_rows(session: Session, batch_ids: Collection[str]) -> Sequence[str]:
    """Deletes from updates of these batches what may quote their rows: details of errors, and a word by which it was
    guessed how letters are stored. -> ids of the updates"""
    naming = select(NamedBatch.update_id).where(NamedBatch.batch_id.in_(among(session, batch_ids)))
    ids = session.scalars(naming.distinct()).all()
    for update in session.scalars(select(Update).where(Update.id.in_(among(session, ids)), Update.error.is_not(None))):
        update.error = {**(update.error or {}), "detail": FORGOTTEN}
    for event in session.scalars(select(UpdateEvent).where(UpdateEvent.update_id.in_(among(session, ids)))):
        event.detail = {name: value for name, value in event.detail.items() if name not in QUOTES}
    return ids


def last_challenged(session: Session, model: Model) -> Version | None:
    """The version that was challenged last, the challenge having come to an end."""
    ended = (Update.state == UpdateState.SUCCEEDED) & Update.challenges.is_not(None)
    query = select(Update.challenges).where(Update.model_id == model.id, ended).order_by(Update.id.desc())
    champion = session.scalar(query.limit(1))
    version_id = session.get_one(Update, champion).version_id if champion is not None else None
    return session.get(Version, version_id) if version_id is not None else None


def challenge(session: Session, model: Model, champion: Update, method: dict[str, Any], why: str) -> Update:
    """Queues a challenger of the version that `champion` made, in place of one that still waits."""
    waiting = select(Update).where(
        Update.model_id == model.id, Update.state == UpdateState.QUEUED, Update.challenges.is_not(None)
    )
    for other in session.scalars(waiting):
        cancelled(session, other, reason="a newer version is challenged")
    update = enqueue(session, model, order_of(session, champion), by="auto")
    update.challenges, update.method, update.why = champion.id, method, why
    return update


def correcting(session: Session, batch: Batch) -> Update | None:
    """The latest order to learn the corrected rows of a batch that was not live: that one is taken back with it."""
    naming = select(Update).join(NamedBatch, NamedBatch.update_id == Update.id)
    naming = naming.join(Batch, Batch.id == NamedBatch.batch_id).where(Batch.model_id == batch.model_id)
    orders = naming.where(Batch.corrects == batch.id, Update.kind == UpdateKind.LEARN, Update.corrected.is_not(None))
    return session.scalars(orders.order_by(Update.id.desc()).limit(1)).first()


def cancelled(session: Session, update: Update, **detail: Any) -> None:
    """Cancels an update. The batches of a retraction are as before, unless they were to be erased; what would take
    their place is taken back. Where that is live by now, it stays, and the update ends by itself with nothing to do."""
    if _brought(session, update):
        update.cancel_requested = False
        if update.state == UpdateState.RUNNING:
            states.advance(session, update, UpdateState.QUEUED, "queued again: what it brings is live")
        return
    states.advance(session, update, UpdateState.CANCELLED, "cancelled", **detail)
    if update.kind == UpdateKind.RETRACT and not update.erase:
        _mark(session, update, "its correction was cancelled")


def _brought(session: Session, update: Update) -> Sequence[Batch]:
    """What an update was to bring in the place of others and is live by now: another update, or a person, was first."""
    return [batch for batch in batches.by_id(session, update.adds or ()) if batch.in_live]


def _mark(session: Session, update: Update, reason: str) -> None:
    """Marks the batches of a retraction, and those that take their place, as it and all others say by now. One whose
    rows count by another batch stays taken back."""
    model = session.get_one(Model, update.model_id)
    named = batches.by_id(session, list(dict.fromkeys([*sorted(update.batches), *(update.adds or ())])))
    gone = [batch for batch in named if _is_taken_back(session, batch.id)]
    for batch in gone:
        batches.retract(session, model, batch, reason)
    for batch in named:
        if batch not in gone and same_rows.rows_elsewhere(session, batch) is None:
            batches.restore(session, model, batch)


def _is_taken_back(session: Session, batch_id: str) -> bool:
    """Whether any order says so."""
    return any(_takes_back(order, batch_id) for order in _retractions(session, batch_id))


def _takes_back(order: Update, batch_id: str) -> bool:
    """Whether a batch is taken back by a retraction that names it: the batch itself unless it was cancelled, and what
    would have taken its place if it was."""
    stands = order.erase or order.state != UpdateState.CANCELLED
    return batch_id in (order.batches if stands else order.adds or ())


def cancel(session: Session, update: Update, reason: str = "") -> bool:
    """Cancels a queued update, or asks the worker of a running one to stop; -> whether it is cancelled already. Raises
    Conflict when it is final, and when what it brings is live by now."""
    if states.is_final(update):
        raise Conflict(f"Update {update.id} is {update.state} already.", state=update.state)
    if live := _brought(session, update):
        raise Conflict(f"Batch {live[0].id}, which update {update.id} brings, is live already. Let it end.")
    if update.kind == UpdateKind.RETRACT and not update.erase:
        _check_restores(session, update)
    model = session.get_one(Model, update.model_id)
    audit.record(session, Action.UPDATE_CANCEL_REQUESTED, model.name, update.id, reason)
    detail = {"reason": reason} if reason else {}
    if update.state == UpdateState.QUEUED:
        cancelled(session, update, **detail)
        return True
    update.cancel_requested = True
    states.note(session, update, "cancel requested", **detail)
    return False


def _check_restores(session: Session, update: Update) -> None:
    """Raises Conflict where rows that a retraction takes out of what is live came again: both would count."""
    for batch in batches.by_id(session, update.batches):
        again = same_rows.rows_elsewhere(session, batch) if batch.in_live else None
        if again is not None and again.id not in (update.adds or ()):
            raise Conflict(
                f"The rows of batch {batch.id} came again as batch {again.id}: both would count. Let the update end, "
                f"or take {again.id} back first.",
                batch=again.id,
            )


def retry(session: Session, update: Update) -> None:
    """Queues a failed or cancelled update again, with fresh attempts; the batches of a retraction are marked again.
    Raises Conflict."""
    if not states.is_final(update):
        raise Conflict(f"Update {update.id} is {update.state}; wait for its end, or cancel it.", state=update.state)
    if update.adds and update.state == UpdateState.CANCELLED:
        model, gone = session.get_one(Model, update.model_id), batches.by_id(session, update.batches)
        if any(b.retracted_at is not None and (not b.in_live or _is_taken_back(session, b.id)) for b in gone):
            raise Conflict(f"What update {update.id} was to correct was taken back since. Correct what is there now.")
        for batch in batches.by_id(session, update.adds):
            batches.require_whole(session, model, batch)
    states.advance(session, update, UpdateState.QUEUED, "retried by a person")
    if update.kind == UpdateKind.RETRACT:
        _mark(session, update, update.reason or "")
    update.attempts = 0
    update.cancel_requested = False
    update.error = None
    update.run_after = 0.0


def find(session: Session, update_id: str) -> Update:
    """The update of that id. Raises NotFound, also for one of an archived model, unless it erases."""
    update = session.get(Update, update_id)
    hidden = update is not None and not update.erase
    if update is None or (hidden and session.get_one(Model, update.model_id).archived_at is not None):
        raise unknown(update_id)
    return update


def unknown(update_id: str) -> NotFound:
    return NotFound(f'There is no update "{update_id[:64]}".')


def page(
    session: Session, model: Model, limit: int, cursor: str | None, state: str | None = None, kind: str | None = None
) -> tuple[list[Update], str | None]:
    """Updates of the model, newest first."""
    query = select(Update).where(Update.model_id == model.id)
    if state is not None:
        query = query.where(Update.state == state)
    if kind is not None:
        query = query.where(Update.kind == kind)
    return paging.page(session, query, Update.id, limit, cursor)


def events(session: Session, update_id: str, after: int = 0) -> list[resources.Event]:
    """What happened to an update after its event number `after`, oldest first; all of it where none has that number.
    None is ever deleted, and each update counts its own: a number tells nothing of others."""
    query = select(UpdateEvent).where(UpdateEvent.update_id == update_id).order_by(UpdateEvent.id)
    every = session.scalars(query).all()
    first = after if after <= len(every) else 0  # a client that lost its place would otherwise wait for an end for ever
    return [shown(resources.Event, event, id=number) for number, event in enumerate(every[first:], first + 1)]


def new_resource(model: Model, update: Update) -> resources.Update:
    """An update that was just queued as the API shows it."""
    return shown(resources.Update, update, model=model.name, base_version=None, version=None, report=None)


def resources_of(session: Session, updates: Sequence[Update]) -> list[resources.Update]:
    """Updates as the API shows them: three queries, however many they are."""
    made_versions = {u.version_id for u in updates if u.version_id is not None}
    numbers = versions.numbers_of(session, [*made_versions, *(u.base_version_id for u in updates)])
    reports: dict[int | None, Any] = dict(
        session.execute(select(Version.id, Version.report).where(Version.id.in_(made_versions))).all()
    )
    names = dict(session.execute(select(Model.id, Model.name).where(Model.id.in_({u.model_id for u in updates}))).all())
    return [
        shown(
            resources.Update,
            update,
            model=names[update.model_id],
            base_version=numbers.get(update.base_version_id),
            version=numbers.get(update.version_id),
            report=reports.get(update.version_id),
        )
        for update in updates
    ]
