"""How versions came of one another: parents, and what a model's whole lineage says of each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import JSON, ColumnElement, bindparam, func, literal, select
from sqlalchemy.orm import Session, aliased

from service.contract.enums import Outcome, Verdict
from service.contract.version_resources import Lineage
from service.registry import versions
from service.registry.sql.conditions import RETRACTED, THERE, WAITING
from service.registry.sql.database import LARGEST
from service.registry.sql.learned import holds, learned_of
from service.registry.sql.tables import Batch, Model, Update, Version

_v = Version.__table__.c
_CHAIN = select(_v.id, _v.parent_id, literal(1).label("place")).where(_v.id == bindparam("id")).cte(recursive=True)
_CHAIN = _CHAIN.union_all(
    select(_v.id, _v.parent_id, _CHAIN.c.place + 1).where(
        _v.id == _CHAIN.c.parent_id, _CHAIN.c.place < bindparam("most")
    )
)
_EVIDENCE = (
    select(Version.report["batch"]["evidence"])
    .join(_CHAIN, _CHAIN.c.id == Version.id)
    .where(Version.report.is_not(None), _CHAIN.c.place <= bindparam("most"))
    .order_by(_CHAIN.c.place.desc())
)

_LINE = (
    select(_v.id, _v.number, _v.parent_id).join(_CHAIN, _CHAIN.c.id == _v.id).where(_CHAIN.c.place <= bindparam("most"))
)
_HELD = (
    select(_v.id, _v.parent_id, Update.batches)
    .join(Update, Update.id == _v.update_id)
    .where(_v.model_id == bindparam("model_id"), _v.number > bindparam("first"), THERE)
    .where(Update.verdict == Verdict.HELD, Update.challenges.is_(None))
    .order_by(_v.number.desc())
    .limit(bindparam("most"))
)
_BATCH = Version.report["batch"]
_SHOWN = (
    select(
        _v.id,
        Update.batches,
        Version.report["gate"]["outcome"].as_string(),
        _BATCH["familiar"].as_integer(),
        _BATCH["conflicts"].as_integer(),
        _BATCH["evidence"],
    )
    .join(Update, Update.id == _v.update_id, isouter=True)
    .where(_v.id.in_(bindparam("ids", expanding=True)), Version.report.is_not(None))
    .order_by(_v.number)
)


def ancestors(session: Session, version: Version | None) -> list[Version]:
    """The version and its parents, newest first."""
    chain: list[Version] = []
    while version is not None:
        chain.append(version)
        version = session.get(Version, version.parent_id) if version.parent_id is not None else None
    return chain


def evidence(session: Session, version: Version, most: int) -> list[dict[str, Any]]:
    """What the batches of the version and its parents showed of each class, by the reports; of so many at most, oldest
    first."""
    return [found or {} for found in session.scalars(_EVIDENCE, {"id": version.id, "most": most})]


@dataclass(frozen=True)
class Shown:
    """What a batch showed beside the version with that number, which was live before it: how many of its rows were like
    those seen, how many of these carried another label than it answers, and counts of classes."""

    version: int
    rows: int
    conflicts: int
    evidence: dict[str, Any]


def shown(session: Session, version: Version, newest: Collection[str], most: int) -> list[Shown]:
    """The same with how many rows that were, and what batches showed that were held meanwhile and still wait, but
    `newest`: else those alone would count that show little. Oldest first.

    Batches that were taken back count no more, and none from before a version that is live though its gate had not
    passed it: what that learned is accepted. Classes of which no batch showed a conflict are left out: there may be
    thousands.
    """
    line = session.execute(_LINE, {"id": version.id, "most": most + 1}).all()
    numbers = {id_: number for id_, number, _ in line}
    parents = {id_: parent for id_, _, parent in line if parent in numbers}
    waiting = {*session.scalars(select(Batch.id).where(WAITING, Batch.model_id == version.model_id))} - {*newest}
    held = session.execute(_HELD, {"model_id": version.model_id, "first": min(numbers.values()), "most": most})
    for id_, parent, batches in held:
        if parent in numbers and waiting.issuperset(batches):
            parents[id_] = parent
            waiting.difference_update(batches)
    retracted = {*session.scalars(select(Batch.id).where(RETRACTED, Batch.model_id == version.model_id))}
    counted = list[Shown]()
    for id_, batches, outcome, rows, conflicts, found in session.execute(_SHOWN, {"ids": [*parents]}):
        if id_ in numbers and outcome != Outcome.PASS:
            counted.clear()
        elif retracted.isdisjoint(batches or ()):
            counted.append(Shown(numbers[parents[id_]], rows or 0, conflicts or 0, found or {}))
    counted = counted[-most:]
    contradicted = {name for of in counted for name, of_class in of.evidence.items() if of_class["conflicts"]}
    return [replace(of, evidence={n: e for n, e in of.evidence.items() if n in contradicted}) for of in counted]


def resource_of(session: Session, model: Model, after: int = 0, before: int | None = None) -> Lineage:
    """Versions with a higher number than `after`, and a lower one than `before`, with their parents, oldest first."""
    parent = aliased(Version)
    facts = select(_v.id, _v.number, parent.number.label("parent"), _v.update_id, _v.erased_at, Update.verdict)
    facts = facts.join(Update, Update.id == _v.update_id, isouter=True)
    facts = facts.join(parent, parent.id == _v.parent_id, isouter=True)
    between = [_v.model_id == model.id, _v.number > min(after, LARGEST)]
    if before is not None:
        between.append(_v.number < min(before, LARGEST))
    made = session.execute(facts.where(*between).order_by(_v.number)).all()
    live = versions.by_id(session, model.live_version_id, slim=True) if model.live_version_id is not None else None
    held = any(v.verdict == Verdict.HELD for v in made)
    waiting, in_live, lacking = _held(session, model, live, between) if held else (set(), set(), set())
    newest, passed = live.number if live is not None else 0, waiting | lacking
    return Lineage.model_validate(
        {
            "model": model.name,
            "live_version": live.number if live is not None else None,
            "versions": [
                {
                    "number": v.number,
                    "parent": v.parent,
                    "update": v.update_id,
                    "verdict": v.verdict,
                    "live": v.id == model.live_version_id,
                    "erased": v.erased_at is not None,
                    "waits": v.id in waiting and v.number > newest,
                    "in_live": v.id in in_live,
                    "overtaken": v.id in passed and v.number < newest,
                }
                for v in made
            ],
        }
    )


def _held(
    session: Session, model: Model, live: Version | None, between: Sequence[ColumnElement[bool]]
) -> tuple[set[int], set[int], set[int]]:
    """Of held versions those that wait for a person, unless the live version is newer, those all of whose batches that
    one has learned, and those that brought a batch which it lacks and which was not taken back.

    One that learned a batch that was taken back, itself or by what it was made from, does not wait: it may not go live.
    A challenger brings no batch.
    """
    brings = func.coalesce(Version.more, Version.whole, type_=JSON())
    query = select(_v.id, _v.parent_id, brings, _v.less, Update.challenges)
    query = query.join(Update, Update.id == _v.update_id).where(*between, Update.verdict == Verdict.HELD, THERE)
    query = query.where(_v.id.is_distinct_from(model.live_version_id))
    answers = live.learned if live is not None else ()
    retracted = set(session.scalars(select(Batch.id).where(RETRACTED, Batch.model_id == model.id)))
    in_live, lacking, open_ = set[int](), set[int](), list[tuple[int, int | None, Sequence[str]]]()
    for id_, parent_id, brought, less, challenges in session.execute(query):
        if brought and challenges is None and all(holds(answers, batch) for batch in brought):
            in_live.add(id_)
            continue
        if challenges is None and any(batch not in retracted and not holds(answers, batch) for batch in brought):
            lacking.add(id_)
        if retracted.isdisjoint(brought):
            # a row without `less` is older than that column, and names all that its version learned
            open_.append((id_, parent_id if less is not None else None, less or ()))
    bad = learned_of(session, {parent_id for _, parent_id, _ in open_}, retracted)
    return {id_ for id_, parent_id, less in open_ if bad.get(parent_id, set()) <= {*less}}, in_live, lacking
