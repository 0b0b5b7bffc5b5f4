"""Versions: facts that are written once, and which of them may go live. They can only be erased; the number stays."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, exists, func, select
from sqlalchemy.orm import Session, defer

from service.contract import version_resources
from service.contract.enums import Action, Verdict
from service.errors import Conflict, Erased, NotFound
from service.registry import batches, paging
from service.registry.batches import SLIM
from service.registry.callers import audit
from service.registry.rows import same_rows, unlearned
from service.registry.sql.conditions import OPEN, RETRACTED, THERE
from service.registry.sql.database import LARGEST, clock
from service.registry.sql.learned import EVERY, difference, holds, read
from service.registry.sql.shown import shown
from service.registry.sql.tables import Alias, Batch, Deployment, Model, Update, Version
from service.remedies import CORRECT, LIST_VERSIONS


@dataclass(frozen=True)
class Made:
    """A version as a worker made it; its bytes are in the store."""

    learned: Sequence[str]
    layout: dict[str, Any]
    shards: Sequence[dict[str, Any]]
    classes: Sequence[str]
    parameters: int
    feature_space: str | None = None
    ledger_digest: str | None = None
    bits: str | None = None
    report: dict[str, Any] | None = None
    trained_on: str | None = None


# made once: every swap and first prediction runs them, and making a query takes longer than running it
_GET = select(Version).where(Version.model_id == bindparam("model_id"), Version.number == bindparam("number"))
_GET_SLIM = _GET.options(SLIM)
_UNNAMED = [defer(column) for column in (Version.whole, Version.more, Version.less, Version.shards)]
_version = Version.__table__.c
_NUMBER = select(_version.number).where(_version.id == bindparam("id"))
_RETRACTED = select(Batch.id).where(RETRACTED)


def add(session: Session, model: Model, update: Update | None, parent_id: int | None, made: Made) -> Version:
    """Adds the next version of the model; the caller holds the lock of the model row."""
    lists = {name: list(getattr(made, name)) for name in ("shards", "classes")}
    parent = session.get(Version, parent_id) if parent_id is not None else None
    learned, number = sorted(made.learned), next_number(session, model)
    more, less = difference(parent.learned if parent is not None else (), learned)
    version = Version(
        **{name: fact for name, fact in {**vars(made), **lists}.items() if name != "learned"},
        whole=learned if parent is not None and parent.number // EVERY != number // EVERY else None,
        more=more,
        less=less,
        model_id=model.id,
        number=number,
        parent_id=parent_id,
        batch_count=len(learned),
        rows=_rows(session, parent, more, less),
        update_id=update.id if update is not None else None,
        bytes=sum(s["bytes"] for s in made.shards),
        created_at=clock(session),
    )
    session.add(version)
    session.flush()
    if update is None:
        audit.record(session, Action.VERSION_IMPORTED, model.name, version.number)
    return version


def _rows(session: Session, parent: Version | None, more: Collection[str], less: Collection[str]) -> int:
    """Rows of the batches that a version learned: those of its parent, and what it learned more or less."""
    before = 0
    if parent is not None:
        before = parent.rows if parent.rows is not None else batches.rows_of(session, parent.learned).brought
    return before + batches.rows_of(session, more).brought - batches.rows_of(session, less).brought


def next_number(session: Session, model: Model) -> int:
    return (session.scalar(select(func.max(Version.number)).where(Version.model_id == model.id)) or 0) + 1


def get(session: Session, model: Model, number: int, slim: bool = False) -> Version:
    """Version `number` of the model; if `slim`, wide columns are read when they are used, within the session. Raises
    NotFound."""
    query = _GET_SLIM if slim else _GET
    version = session.scalar(query, {"model_id": model.id, "number": min(number, LARGEST)})
    if version is None:
        raise unknown(model, number)
    return version


def unknown(model: Model, number: int) -> NotFound:
    """The error for a version that does not exist."""
    return NotFound(f"{model.name} has no version {number}.")


def present(session: Session, model: Model, number: int, slim: bool = False) -> Version:
    """A version whose bytes are still there; `slim` as in `get`. Raises NotFound, Erased."""
    version = get(session, model, number, slim)
    if version.erased_at is not None:
        raise Erased(f"{_was_erased(model, version)} {LIST_VERSIONS(model=model.name)} lists those that are.")
    return version


def _was_erased(model: Model, version: Version) -> str:
    if version.report is None:
        return f"Version {version.number} of {model.name} was erased."
    return f"The parts of version {version.number} of {model.name} were removed (keep_versions); its report is there."


def remove_old(session: Session, model: Model, most: int) -> tuple[list[int], set[str], set[str]]:
    """Marks up to `most` versions whose parts the model keeps no longer as gone, oldest first; their reports stay.
    -> their numbers, and the digests of their parts and of their answers on trusted rows

    None is live, was live before it, has an alias, is one that an update is learned on, or came from elsewhere.
    """
    there = (Version.model_id == model.id) & THERE
    newest = select(Version.number).where(there).order_by(Version.number.desc()).limit(1)
    kept_from = session.scalar(newest.offset((model.keep_versions or 1) - 1)) or 0
    moves = select(Deployment.previous_id).where(Deployment.model_id == model.id).order_by(Deployment.id.desc())
    needed = {
        model.live_version_id,
        *session.scalars(moves.limit(1)),
        *session.scalars(select(Alias.version_id).where(Alias.model_id == model.id)),
        *session.scalars(select(Update.base_version_id).where(Update.model_id == model.id, OPEN)),
    } - {None}
    made_here = there & Version.update_id.is_not(None) & (Version.number < kept_from)
    query = select(Version).where(made_here, Version.id.not_in(needed)).order_by(Version.number)
    old = list(session.scalars(query.limit(most)))
    parts = {part["digest"] for version in old for part in version.shards}
    bits = {version.bits for version in old if version.bits is not None}
    for version in old:
        version.erased_at, version.shards, version.bits = clock(session), [], None
        audit.record(session, Action.VERSION_ERASED, model.name, version.number, f"keep_versions {model.keep_versions}")
    return [version.number for version in old], parts, bits


def by_id(session: Session, version_id: int, slim: bool = False) -> Version:
    """The version that a row of another table names; `slim` as in `get`."""
    return session.get_one(Version, version_id, options=[SLIM] if slim else None)


def number_of(session: Session, version_id: int) -> int:
    """The number of the version that a row of another table names."""
    number: int = session.execute(_NUMBER, {"id": version_id}).scalar_one()
    return number


def numbers_of(session: Session, version_ids: Iterable[int | None]) -> dict[int | None, int]:
    """The numbers of several such versions, by id; None has no number."""
    ids = {version_id for version_id in version_ids if version_id is not None}
    return dict(session.execute(select(Version.id, Version.number).where(Version.id.in_(ids))).all())


def shards(version: Version) -> list[dict[str, Any]]:
    """The parts of a version with the batches that each learned: those of the version where it names none."""
    return [{**s, "learned": version.learned if s["learned"] is None else s["learned"]} for s in version.shards]


def page(session: Session, model: Model, limit: int, cursor: str | None) -> tuple[list[Version], str | None]:
    """Versions of the model, newest first."""
    return paging.page(session, select(Version).where(Version.model_id == model.id), Version.number, limit, cursor)


def summaries(session: Session, model: Model, limit: int, cursor: str | None) -> tuple[list[Version], str | None]:
    """The same, without the columns that name batches."""
    query = select(Version).where(Version.model_id == model.id).options(*_UNNAMED)
    return paging.page(session, query, Version.number, limit, cursor)


def retracted_batches(session: Session, learned: Collection[str]) -> list[str]:
    """Those of `learned` that were retracted, in that order."""
    if not learned or not (retracted := set(session.scalars(_RETRACTED))):
        return []
    return [batch_id for batch_id in learned if batch_id in retracted]


def retracted_in(session: Session, version: Version) -> list[str]:
    """Batches of the version that were retracted. Where none of the model was, what it learned is not read."""
    retracted = session.scalars(_RETRACTED.where(Batch.model_id == version.model_id).order_by(Batch.id)).all()
    return [batch_id for batch_id in retracted if holds(version.learned, batch_id)]


def why_unfit(session: Session, model: Model, version: Version) -> str:
    """Why a version may not go live: it was erased, or learned a retracted batch; "" where it may."""
    if version.erased_at is not None:
        return _was_erased(model, version)
    gone = _taken_back(session, version)
    return _learned(version, *gone) if gone else ""


def _taken_back(session: Session, version: Version) -> tuple[str, str | None] | None:
    """The first batch of the version that was taken back · the one that has its rows now, where it was corrected; None
    where none was taken back."""
    bad = retracted_in(session, version)
    if not bad:
        return None
    return bad[0], same_rows.corrected_by(session, [session.get_one(Batch, bad[0])]).get(bad[0])


def _learned(version: Version, batch_id: str, now: str | None) -> str:
    return f"Version {version.number} learned batch {batch_id}, which was {'corrected' if now else 'retracted'}."


def require_clean(session: Session, model: Model, version: Version) -> None:
    """Raises Erased for an erased version and Conflict for one that learned a retracted batch, naming the nearest clean
    one that is not live."""
    gone = None if version.erased_at is not None else _taken_back(session, version)
    if version.erased_at is None and gone is None:
        return
    near = nearest_clean(session, model, version.number, but_live=True)
    if gone is None:
        remedy = f"The nearest version that is there is {near}." if near else "No other one is there to go live."
        raise Erased(f"{_was_erased(model, version)} {remedy}", nearest_clean=near)
    why, (_, now) = _learned(version, *gone), gone
    if near:
        raise Conflict(f"{why} The nearest version without it is {near}.", nearest_clean=near)
    remedy = "No other good version is without it." + unlearned.how_to_learn(session, model)
    if now is not None:
        remedy += f" To undo the correction, correct the rows once more: {CORRECT(model=model.name, batch=now)}."
    raise Conflict(f"{why} {remedy}", nearest_clean=near)


def nearest_clean(
    session: Session, model: Model, number: int, without: Collection[str] = (), but_live: bool = False
) -> int | None:
    """The version with the nearest number that is not erased, learned neither a retracted batch nor any of `without`,
    and was not stopped: one that the gate rejected, or that was superseded, counts where it was live all the same.
    `but_live`: not the one that is live."""
    excluded = {*session.scalars(_RETRACTED.where(Batch.model_id == model.id)), *without}
    stopped = exists().where(Update.id == Version.update_id, Update.verdict.in_((Verdict.REJECTED, Verdict.SUPERSEDED)))
    good = ~stopped | exists().where(Deployment.version_id == Version.id)
    there = select(Version).where(Version.model_id == model.id, THERE, good).options(SLIM)
    oldest_first = session.scalars(there.order_by(Version.number))
    passed = model.live_version_id if but_live else None
    clean = [v.number for v in oldest_first if v.id != passed and excluded.isdisjoint(v.learned)]
    return min(clean, key=lambda n: (abs(n - number), n)) if clean else None


def resources_of(session: Session, model: Model, versions: Sequence[Version]) -> list[version_resources.Version]:
    """Versions of the model as the API shows them: four queries, however many they are."""
    read(session, versions)
    each = zip(versions, _facts_of(session, model, versions), strict=True)
    return [
        shown(version_resources.Version, version, batches=version.learned, shards=shards(version), **facts)
        for version, facts in each
    ]


def summaries_of(session: Session, model: Model, versions: Sequence[Version]) -> list[version_resources.VersionSummary]:
    """The same without what each learned, which is not read."""
    each = zip(versions, _facts_of(session, model, versions), strict=True)
    return [shown(version_resources.VersionSummary, version, **facts) for version, facts in each]


def _facts_of(session: Session, model: Model, versions: Sequence[Version]) -> list[dict[str, Any]]:
    """What resources of versions have that stands in other rows, or under another name."""
    parents = numbers_of(session, [version.parent_id for version in versions])
    made_by = select(Update.id, Update.method, Update.verdict)
    made_by = made_by.where(Update.id.in_({version.update_id for version in versions}))
    made = {update: (method, verdict) for update, method, verdict in session.execute(made_by)}
    named = select(Alias.version_id, Alias.name).where(Alias.version_id.in_([version.id for version in versions]))
    names: dict[int, list[str]] = {version.id: [] for version in versions}
    for version_id, name in session.execute(named.order_by(Alias.name)):
        names[version_id].append(name)
    return [
        {
            "model": model.name,
            "parent": parents.get(version.parent_id),
            "update": version.update_id,
            **dict(zip(("method", "verdict"), made.get(version.update_id, (None, None)), strict=True)),
            "architecture": version.layout,
            "live": version.id == model.live_version_id,
            "aliases": names[version.id],
        }
        for version in versions
    ]
