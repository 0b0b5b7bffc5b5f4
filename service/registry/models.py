"""Models: created, changed, archived; their vocabulary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session, load_only

from service.contract import resources
from service.contract.enums import Action, UpdateState
from service.contract.inputs import ARCHITECTURE, INPUT_SPEC, InputSpec, places_of
from service.contract.names import LONGEST_NAME, clean_class_names
from service.contract.requests import CreateModel, PatchModel, PatchTarget
from service.contract.targets import STORED_TARGET, Target, policy_of
from service.contract.targets.kind import AnyPolicy
from service.errors import Conflict, InvalidContent, LiveMoved, NotFound, NotLive
from service.registry import batches, paging, updates
from service.registry.callers import audit
from service.registry.callers.reach import Reach
from service.registry.rows import unlearned
from service.registry.sql.conditions import OPEN, RETRACTED
from service.registry.sql.database import clock
from service.registry.sql.shown import shown
from service.registry.sql.tables import Batch, Installation, Model, Update, Version
from service.remedies import MAKE, RESTORE, SEND


def create(session: Session, request: CreateModel) -> Model:
    """Creates a model without versions. Raises Conflict when the name is taken, also by an archived model that ever had
    rows or versions."""
    taken = session.scalar(select(Model).where(Model.name == request.name))
    if taken is not None and taken.archived_at is not None and not was_used(session, taken):
        taken.name = f"{taken.name}/{taken.id}"  # no model can be called so
        session.flush()
    elif taken is not None:
        gone = " by an archived model" if taken.archived_at else ""
        raise Conflict(f'The name "{request.name}" is taken{gone}. Choose another name.')
    _check_order(request.gate)
    target = request.target.with_clean_names()
    model = Model(
        name=request.name,
        input=request.input.model_dump(mode="json", exclude_none=True),
        target=target.model_dump(mode="json", exclude_none=True),
        architecture=request.architecture.model_dump(mode="json"),
        classes=clean_class_names(request.classes, "/classes"),
        method=request.method.model_dump(),
        gate=request.gate.model_dump(mode="json"),
        promotion=request.promotion,
        retention=request.retention,
        memory_rows=request.memory_rows,
        leave_out=_left_out(request.leave_out, request.input, target),
        keep_versions=request.keep_versions,
        folding={},
        created_at=clock(session),
    )
    session.add(model)
    session.flush()
    audit.record(session, Action.MODEL_CREATED, model.name)
    return model


def _left_out(names: Sequence[str], spec: InputSpec, target: Target) -> list[str] | None:
    """Each name once; None for none. Raises InvalidContent for a column that is an input or the target."""
    for name in names:
        if name in places_of(spec):
            raise InvalidContent.at("/leave_out", f'"{name}" is an input of the model. Name other columns.')
        if name in target.named:
            raise InvalidContent.at("/leave_out", f'"{name}" is what the model predicts. Name other columns.')
    return list(dict.fromkeys(names)) or None


def was_used(session: Session, model: Model) -> bool:
    """Whether anything was ever sent to a model."""
    return any(session.scalar(select(of.id).where(of.model_id == model.id).limit(1)) for of in (Batch, Update, Version))


_NAMED = select(Model).where(Model.name == bindparam("name"))  # made once: making it takes longer than running it
_LOCKED = _NAMED.with_for_update()


def get(session: Session, name: str, archived_too: bool = False, locked: bool = False) -> Model:
    """The model of that name, `locked` where a version is numbered or a pointer moved. Raises NotFound, also for an
    archived model unless `archived_too`."""
    model = session.scalar(_LOCKED if locked else _NAMED, {"name": name})
    if model is not None and model.archived_at is not None and not archived_too:
        if was_used(session, model):
            sentence = f'The model "{name}" was archived. {RESTORE(model=name)} brings it back.'
            raise NotFound(sentence, archived=True)
        raise unknown(name)
    if model is None:
        raise unknown(name)
    return model


def to_import(session: Session, name: str) -> Model:
    """The model that takes in a version. Raises NotFound that says how to make it where there is none."""
    try:
        return get(session, name)
    except NotFound as missing:
        if missing.members:  # it is archived
            raise
        how = f"with the input that the file is made for, in its metadata where Tsuika wrote it: {MAKE(model=name)}."
        raise NotFound(f"{missing.detail} Make it first, {how}") from None


def unknown(name: str) -> NotFound:
    """The error for a model that does not exist or is archived."""
    return NotFound(f'There is no model "{name[:100]}".')


def lock(session: Session, model_id: int) -> Model:
    """The model row, locked: a version is numbered or a pointer moved."""
    return session.scalars(select(Model).where(Model.id == model_id).with_for_update()).one()


def nothing_live(name: str) -> NotLive:
    """The error for a model that has learned nothing yet."""
    return NotLive(f"{name} has no live version yet: it has learned no rows. Send it some: {SEND(model=name)}.")


def page(
    session: Session, limit: int, cursor: str | None, reach: Reach | None = None, archived: bool = False
) -> tuple[list[Model], str | None]:
    """Models that are not archived, or those that are, newest first; those that a key reaches, None: all. One that lost
    its name to another was never used."""
    query = select(Model).where(Model.archived_at.is_not(None) if archived else Model.archived_at.is_(None))
    query = query.where(~Model.name.contains("/"))
    if reach is not None:
        query = query.where(reach.holds(Model.name))
    return paging.numbered(session, query, Model.id, limit, cursor)


def patch(session: Session, model: Model, request: PatchModel) -> None:
    """Changes the fields that are there, thresholds of the gate one by one. Raises InvalidContent."""
    if request.method is not None:
        model.method = request.method.model_dump()
    if request.gate is not None:
        merged = _merged(model.gate, request.gate.model_dump(mode="json", exclude_unset=True))
        _check_order(policy_of(target_of(model), merged))
        model.gate = merged
    if request.target is not None:
        model.target = changed_target(model, request.target).model_dump(mode="json", exclude_none=True)
    if request.promotion is not None:
        model.promotion = request.promotion
    if request.retention is not None:
        model.retention = request.retention
    if request.memory_rows is not None:
        model.memory_rows = request.memory_rows
    if request.keep_versions is not None:
        model.keep_versions = request.keep_versions
    if request.leave_out is not None:
        model.leave_out = _left_out(request.leave_out, input_of(model), target_of(model))
    if changed := sorted(name for name, value in request if value is not None):
        audit.record(session, Action.MODEL_CHANGED, model.name, reason=", ".join(changed))


def target_of(model: Model) -> Target:
    return STORED_TARGET.as_stored(model.target)


def input_of(model: Model) -> InputSpec:
    return INPUT_SPEC.as_stored(model.input)


def changed_target(model: Model, change: PatchTarget) -> Target:
    """The target with the members of `change` in their places."""
    return target_of(model).model_copy(update={name: value for name, value in change if value is not None})


def _check_order(policy: AnyPolicy) -> None:
    """Raises InvalidContent where thresholds contradict each other."""
    if contradiction := policy.out_of_order():
        pointer, sentence = contradiction
        raise InvalidContent.at(f"/gate{pointer}", sentence)


def _merged(stored: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """`stored` with the members of `sent` in their places; objects are merged, all else is replaced."""
    merged = dict(stored)
    for name, value in sent.items():
        merged[name] = _merged(merged.get(name, {}), value) if isinstance(value, Mapping) else value
    return merged


def archive(session: Session, model: Model) -> None:
    """Stops serving and learning; the history stays, and the name stays taken where there is any. What was to be erased
    still is."""
    model.archived_at = clock(session)
    audit.record(session, Action.MODEL_ARCHIVED, model.name)
    going = select(Update).where(Update.model_id == model.id, OPEN, Update.erase.is_(False))
    for update in session.scalars(going):
        if update.state == UpdateState.QUEUED:
            updates.cancelled(session, update, reason="the model was archived")
        elif not update.cancel_requested:
            update.cancel_requested = True
            audit.record(session, Action.UPDATE_CANCEL_REQUESTED, model.name, update.id, "the model was archived")


def restore(session: Session, name: str) -> None:
    """Takes a model out of the archive: what was live answers again. Of one that is not there nothing changes. Raises
    NotFound, and Conflict while an update of it erases rows or is about to end."""
    model = get(session, name, archived_too=True, locked=True)
    if model.archived_at is not None:
        going = session.scalar(select(Update.id).where(Update.model_id == model.id, OPEN))
        if going is not None:
            raise Conflict(
                f"Update {going} of {name} has not ended: it erases rows, or is being cancelled. Ask again then."
            )
        model.archived_at = None
        audit.record(session, Action.MODEL_RESTORED, model.name)


def add_classes(session: Session, model: Model, names: Sequence[str]) -> bool:
    """Adds names to the vocabulary; -> whether any name was new."""
    known = set(model.classes)
    new = list(dict.fromkeys(n for n in names if n not in known))
    if new:
        model.classes = [*model.classes, *new]
        audit.record(session, Action.CLASSES_ADDED, model.name, reason=f"{len(new)} new")
    return bool(new)


def remove_class(session: Session, model: Model, name: str, reason: str = "") -> None:
    """Takes a name out of the vocabulary. Raises NotFound, and Conflict while an unretracted batch uses it."""
    if name not in model.classes:
        raise NotFound(f'"{name[:LONGEST_NAME]}" is not a class of {model.name}.')
    for batch in session.scalars(select(Batch).where(Batch.model_id == model.id, ~RETRACTED)):
        if name in batch.label_counts:
            raise Conflict(f'Batch {batch.id} has rows of "{name}". Retract it first.', batch=batch.id)
    model.classes = [n for n in model.classes if n != name]
    audit.record(session, Action.CLASS_REMOVED, model.name, reason=reason)


def live(session: Session, model: Model) -> Version | None:
    return session.get(Version, model.live_version_id) if model.live_version_id is not None else None


def check_live(session: Session, model: Model, if_live: int | None) -> None:
    """Raises LiveMoved, with the member `live_version`, unless `if_live` is the number of the live version, or None."""
    if if_live is None:
        return
    version = live(session, model)
    number = version.number if version else None
    if number != if_live:
        raise LiveMoved(
            f"Version {if_live} is not live; {f'version {number}' if number else 'none'} is. Look, and ask again.",
            live_version=number,
        )


def installation_secret(session: Session) -> bytes:
    """The key of the folds."""
    return bytes.fromhex(session.scalars(select(Installation.secret)).one())


def settle_folding(session: Session, model: Model, settled: Mapping[str, Any]) -> dict[str, Any] | None:
    """Settles how its rows fall into folds, unless that is settled; -> what holds."""
    if model.folding == {}:
        model.folding = dict(settled)
        session.flush()
    return model.folding


def resources_of(
    session: Session,
    models: Sequence[Model],
    serving_version: Callable[[str], int | None],
    kind: type[resources.Model] = resources.Model,
) -> list[resources.Model]:
    """Models as the API shows them: five queries at most, however many they are."""
    ids = [model.id for model in models]
    live_ids = [model.live_version_id for model in models if model.live_version_id is not None]
    facts = select(Version).where(Version.id.in_(live_ids)).options(load_only(Version.number, Version.classes))
    live = {version.id: version for version in session.scalars(facts)}
    pending = unlearned.counted(session, ids)
    by_state = select(Update.model_id, Update.state, func.count()).where(Update.model_id.in_(ids), OPEN)
    counts = Counter[tuple[int, str]]()
    for model_id, state, count in session.execute(by_state.group_by(Update.model_id, Update.state)):
        counts[model_id, state] = count
    return [
        shown(
            kind,
            model,
            input=input_of(model),
            target=target_of(model),
            leave_out=model.leave_out or [],
            keep_versions=model.keep_versions or 0,
            architecture=ARCHITECTURE.as_stored(model.architecture),
            live_version=live[model.live_version_id].number if model.live_version_id else None,
            live_classes=len(live[model.live_version_id].classes) if model.live_version_id else None,
            serving_version=serving_version(model.name),
            gate=policy_of(target_of(model), model.gate),
            pending=pending[model.id],
            updates={"queued": counts[model.id, UpdateState.QUEUED], "running": counts[model.id, UpdateState.RUNNING]},
        )
        for model in models
    ]


def waiting_rows(session: Session, asked: Callable[[str], bool]) -> dict[str, int]:
    """Rows that wait to be learned, by the name of each model that is asked for."""
    rows = session.scalars(select(Model).where(Model.archived_at.is_(None)).order_by(Model.id))
    there = [model for model in rows if asked(model.name)]
    pending = batches.pending_counts(session, [model.id for model in there])
    return {model.name: pending[model.id].rows for model in there}
