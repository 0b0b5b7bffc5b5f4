"""Deployments: the live pointer and its append-only history."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.orm import Session, aliased
from sqlalchemy.orm.attributes import set_committed_value

from service.contract import version_resources
from service.contract.enums import Action, DeploymentKind, Outcome, Promotion
from service.errors import Conflict, Erased
from service.registry import batches, paging, versions
from service.registry.callers import audit
from service.registry.sql.conditions import STANDING
from service.registry.sql.database import clock
from service.registry.sql.learned import difference
from service.registry.sql.shown import shown
from service.registry.sql.tables import Deployment, Model, Version
from service.remedies import LEARN, NAMED, PROMOTE, ROLL_BACK, listed

MOST_WAITING = 100
"""Batches that wait: so many are listed."""
BY_GATE = "gate"
"""`by` of a promotion that the gate made; anything else is a person's key."""
BY_ORDER = "retraction"
"""`by` of the version that an ordered retraction made."""
_PROMOTED = {BY_GATE: Action.VERSION_PROMOTED_BY_GATE, BY_ORDER: Action.VERSION_PROMOTED_BY_RETRACTION}

_deployments, _models = (Deployment.metadata.tables[name] for name in ("deployments", "models"))
_INSERT = insert(_deployments).returning(_deployments.c.id)
_POINT = update(_models).where(_models.c.id == bindparam("of")).values(live_version_id=bindparam("to"))
_before = aliased(Version)
_WAY_BACK = (
    select(Deployment.id, Deployment.previous_id, _before.number, _before.erased_at.is_not(None))
    .outerjoin(_before, _before.id == Deployment.previous_id)
    .where(Deployment.model_id == bindparam("model_id"), STANDING)
    .order_by(Deployment.id.desc())
)
_ONE_BACK = _WAY_BACK.limit(1)


@dataclass(frozen=True)
class _Step:
    """A step of the way back: a promotion that no rollback names, and the version that was live before it, if any;
    `gone`: its parts were erased or removed."""

    promotion_id: int
    version_id: int | None
    number: int | None
    gone: bool


def promote(session: Session, model: Model, version: Version, reason: str, by: str) -> Deployment:
    """Makes a version live; the caller holds the model's lock. Raises Conflict, Erased where it may not.

    What an ordered retraction made goes live also while another retracted batch in it waits for its own retraction.
    """
    if by != BY_ORDER:
        versions.require_clean(session, model, version)
    if model.live_version_id == version.id:
        raise Conflict(f"Version {version.number} is live already.", live_version=version.number)
    return _move(session, model, version, None, reason, by)


def roll_back(session: Session, model: Model, reason: str, to: int | None, by: str) -> tuple[Deployment, list[int]]:
    """Undoes promotions not yet undone, the latest first, until `to` is live, or a version that may go live. -> the
    last move, and versions that were passed over since they may not go live, the newest first

    Promotion becomes manual. Raises Conflict when nothing is left to undo, when `to` is not on the way, or when no
    version there may go live.
    """
    way = _to_undo(session, model, to)
    if not way and to is not None:
        how = PROMOTE(model=model.name, version=to)
        raise Conflict(f"Version {to} is not on the way back. To make it live, {how}.")
    if not way:
        steps = [step for step in _way_back(session, model) if step.version_id not in (None, model.live_version_id)]
        gone = any(step.gone for step in steps)
        if (unfit := next((step.number for step in steps if not step.gone), None)) is not None:
            versions.require_clean(session, model, versions.get(session, model, unfit, slim=True))
        why = ": the parts of those before it were erased or removed (keep_versions)" if gone else ""
        raise Conflict(
            f"{model.name} has no version before this one to go back to{why}. To take rows back, retract their batch."
        )
    assert way[-1].version_id is not None
    _require_target(session, model, versions.by_id(session, way[-1].version_id, slim=True))
    other = (step for step in way[:-1] if to is None and step.version_id != model.live_version_id)
    passed = [*dict.fromkeys(step.number for step in other if step.number)]
    undone = []
    for step in way:
        assert step.version_id is not None
        target = versions.by_id(session, step.version_id, slim=True)
        undone.append(_move(session, model, target, step.promotion_id, reason, by))
    model.promotion = Promotion.MANUAL
    return undone[-1], passed


def way_back_to(session: Session, model: Model, to: int | None) -> int | None:
    """The number of the version that a rollback would make live; None where there is none on the way."""
    way = _to_undo(session, model, to)
    return way[-1].number if way else None


def _to_undo(session: Session, model: Model, to: int | None) -> list[_Step]:
    """The steps that a rollback undoes, newest first; none where it finds no version to go back to."""
    way = list[_Step]()
    for step in _one_by_one(session, model):
        way.append(step)
        if to is not None:
            arrived = step.number == to
        else:
            arrived = step.version_id != model.live_version_id and _answering(session, step) is not None
        if arrived:
            return way
    return []


def foreseen(session: Session, model: Model, to: int | None) -> version_resources.WayBack:
    """What a rollback would do now; to a version that may not go live, or is not on the way, none would."""
    passed, target = list[int](), None
    for step in _one_by_one(session, model):
        if step.number is None or step.version_id == model.live_version_id or to not in (None, step.number):
            continue
        if (target := _answering(session, step)) is not None:
            break
        if step.number not in passed:
            passed.append(step.number)
    live = versions.by_id(session, model.live_version_id, slim=True) if model.live_version_id is not None else None
    left = _missed(session, _moved(live, target)[1]) if target is not None else ()
    erased, removed = _gone(session, model, passed)
    return version_resources.WayBack(
        model=model.name,
        live_version=live.number if live is not None else None,
        to=target.number if target is not None else None,
        passed=passed,
        erased=erased,
        removed=removed,
        batches=len(left),
        rows=batches.rows_of(session, left).brought,
    )


def _gone(session: Session, model: Model, numbers: Collection[int]) -> tuple[list[int], list[int]]:
    """Those of these versions that were erased on request, and those whose parts alone were removed, newest first."""
    gone = (Version.model_id == model.id) & Version.erased_at.is_not(None) & Version.number.in_(numbers)
    query = select(Version.number, Version.report.is_(None)).where(gone).order_by(Version.number.desc())
    rows = session.execute(query).all() if numbers else []
    return [number for number, erased in rows if erased], [number for number, erased in rows if not erased]


def _answering(session: Session, step: _Step) -> Version | None:
    """The version of a step, if it may go live."""
    if step.version_id is None or step.gone:
        return None
    version = versions.by_id(session, step.version_id, slim=True)
    return None if versions.retracted_in(session, version) else version


def _require_target(session: Session, model: Model, target: Version) -> None:
    """Raises Erased and Conflict like `require_clean`, and names instead the next version on the way back that may go
    live, where there is one."""
    try:
        versions.require_clean(session, model, target)
    except (Erased, Conflict) as refused:
        if (number := foreseen(session, model, None).to) is None:
            raise
        members = {**refused.members, "to": number}
        why, how = versions.why_unfit(session, model, target), ROLL_BACK(model=model.name, version=number)
        raise type(refused)(f"{why} To go back, {how}.", **members) from None


def _way_back(session: Session, model: Model, one: bool = False) -> list[_Step]:
    """Steps that can be undone, newest first: all of them, or `one`."""
    rows = session.execute(_ONE_BACK if one else _WAY_BACK, {"model_id": model.id})
    return [_Step(*row) for row in rows]


def _one_by_one(session: Session, model: Model) -> Iterator[_Step]:
    """The same, all of them: the first is read alone, since it mostly is enough."""
    yield from _way_back(session, model, one=True)
    yield from _way_back(session, model)[1:]


def _move(session: Session, model: Model, version: Version, undoes: int | None, reason: str, by: str) -> Deployment:
    """Points the model at a version; `undoes`: the promotion that this rolls back, if it does."""
    before = versions.by_id(session, model.live_version_id, slim=True) if model.live_version_id is not None else None
    more, less = _moved(before, version)
    row = {
        "model_id": model.id,
        "version_id": version.id,
        "previous_id": model.live_version_id,
        "kind": DeploymentKind.PROMOTE if undoes is None else DeploymentKind.ROLLBACK,
        "undoes": undoes,
        "left_out": _missed(session, less),
        "reason": reason,
        "by": by,
        "at": clock(session),
    }
    session.flush()
    # the two statements themselves: through the session's unit of work they take four times as long
    number = session.scalar(_INSERT, row)
    session.execute(_POINT, {"of": model.id, "to": version.id})
    set_committed_value(model, "live_version_id", version.id)
    batches.move_live(session, more, less)
    action = Action.VERSION_ROLLED_BACK if undoes is not None else _PROMOTED.get(by, Action.VERSION_PROMOTED_BY_HAND)
    audited = _by_update(version) if action in _PROMOTED.values() else reason
    audit.record(session, action, model.name, version.number, audited)
    return Deployment(id=number, **row)


def _by_update(version: Version) -> str:
    """What the audit says of a promotion by the gate or an order. The gate's own sentence stands in the report, which
    can be erased: it may name classes and targets."""
    gate = (version.report or {}).get("gate")
    if gate is None or gate["outcome"] != Outcome.PASS:
        return f"by {version.update_id}"
    found = "unproven, for rows were too few to judge it" if gate["unproven"] else "every check passed"
    return f"by {version.update_id}: {found}"


def _moved(before: Version | None, after: Version) -> tuple[Sequence[str], Sequence[str]]:
    """Batches that a version learned and the one live before did not, and the other way round. Of a version and its
    parent the row says it."""
    if before is not None and after.parent_id == before.id and after.more is not None and after.less is not None:
        return after.more, after.less
    if before is not None and before.parent_id == after.id and before.more is not None and before.less is not None:
        return before.less, before.more
    return difference(before.learned if before is not None else (), after.learned)


def _missed(session: Session, lost: Sequence[str]) -> Sequence[str]:
    """`lost` without retracted batches, which nobody misses."""
    gone = set(versions.retracted_batches(session, lost))
    return [b for b in lost if b not in gone]


def page(session: Session, model: Model, limit: int, cursor: str | None) -> tuple[list[Deployment], str | None]:
    """Deployments of the model, newest first."""
    query = select(Deployment).where(Deployment.model_id == model.id)
    return paging.numbered(session, query, Deployment.id, limit, cursor)


def resources_of(
    session: Session, model: Model, deployments: Sequence[Deployment]
) -> list[version_resources.Deployment]:
    """Deployments of the model as the API shows them: two queries, however many they are."""
    counted = _numbers(session, model, {id for d in deployments for id in (d.id, d.undoes) if id is not None})
    numbers = versions.numbers_of(session, [number for d in deployments for number in (d.version_id, d.previous_id)])
    return [
        shown(
            version_resources.Deployment,
            deployment,
            id=counted[deployment.id],
            undoes=None if deployment.undoes is None else counted[deployment.undoes],
            model=model.name,
            version=numbers[deployment.version_id],
            previous_version=numbers.get(deployment.previous_id),
            waiting=[],
            note="",
        )
        for deployment in deployments
    ]


def promoted_by_hand(session: Session, model: Model, deployment: Deployment) -> version_resources.Deployment:
    """The answer of a promotion by hand: versions that wait beside one another on one base do not hold what the others
    learned, so it says what waits."""
    resource = resources_of(session, model, [deployment])[0]
    if not (waiting := [batch.id for batch in batches.pending(session, model)]):
        return resource
    wait = "1 batch waits" if len(waiting) == 1 else f"{len(waiting):,} batches wait"
    how = LEARN(model=model.name, batches='"pending"' if len(waiting) > NAMED else listed(waiting))
    them = "it" if len(waiting) == 1 else "them"
    note = f"{wait} that version {resource.version} has not learned. Have {them} learned: {how}."
    return resource.model_copy(update={"waiting": waiting[:MOST_WAITING], "note": note})


def _numbers(session: Session, model: Model, ids: Collection[int]) -> dict[int, int]:
    """Which of the model's deployments these are, the first being 1: their ids count those of all models."""
    first, last, of_model = min(ids, default=0), max(ids, default=0), Deployment.model_id == model.id
    earlier = select(func.count()).where(of_model, Deployment.id < first).scalar_subquery()
    place = (earlier + func.row_number().over(order_by=Deployment.id)).label("place")
    every = select(Deployment.id, place).where(of_model, Deployment.id.between(first, last)).subquery()
    return dict(session.execute(select(every.c.id, every.c.place).where(every.c.id.in_(ids))).all())


def rolled_back(
    session: Session, model: Model, deployment: Deployment, before: int, passed: Sequence[int] = ()
) -> version_resources.RolledBack:
    """The answer of a rollback: `before` is the version that was live until then, `passed` those passed over."""
    assert model.live_version_id is not None
    live = versions.by_id(session, model.live_version_id, slim=True)
    return version_resources.RolledBack(
        model=model.name,
        live_version=live.number,
        previous_version=before,
        promotion=Promotion(model.promotion),
        deployment=resources_of(session, model, [deployment])[0],
        passed=list(passed),
        left_out=_missed(session, _moved(versions.get(session, model, before, slim=True), live)[1]),
    )
