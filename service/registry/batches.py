"""Batches: accepted once, retracted, erased; their state is computed, never stored."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import Row, bindparam, case, func, select, update
from sqlalchemy.orm import Session, load_only
from sqlalchemy.orm.util import identity_key

from service.contract import resources
from service.contract.enums import Action, BatchState, DisputeState
from service.contract.tables import LACKED
from service.errors import Conflict, InvalidContent, NotFound
from service.registry import paging
from service.registry.callers import audit
from service.registry.callers.actor import acting
from service.registry.ids import new_id
from service.registry.rows import currencies, same_rows, sketches, stopped
from service.registry.rows.arrival import Arrival
from service.registry.sql.conditions import RETRACTED, STANDING, THERE, WAITING
from service.registry.sql.database import among, clock
from service.registry.sql.shown import moment, shown
from service.registry.sql.tables import Batch, Deployment, Dispute, Model, NamedBatch, Update, Version
from service.remedies import MERGE, RETRACT, listed

AT_ONCE = 500
"""Rows that are read at once where there may be many."""
FACTS = ("id", "stored_digest", "rows", "kept_rows", "merged", "source")
ValueNames = Mapping[str, Collection[str]]
"""Values of categories, by the name of the column."""
_LACKING = select(Batch.id, Batch.rows, Batch.kept_rows, Batch.merged)
_LACKING = _LACKING.where(Batch.model_id == bindparam("model_id"), Batch.kept_rows < Batch.rows)
_of_learned = (Version.parent_id, Version.whole, Version.more, Version.less)
SLIM = load_only(Version.model_id, Version.number, Version.update_id, *_of_learned, Version.erased_at)
"""Reads of a version what its wide columns do not hold."""
LEARN = 2
"""Place of the learning rows in `Batch.folds`."""


class RowCounts(NamedTuple):
    """Rows that batches brought · those of them that are still stored · those that are elsewhere, in merged ledgers."""

    brought: int = 0
    kept: int = 0
    elsewhere: int = 0


def same(session: Session, model: Model, digest: str, source: str | None) -> Batch | None:
    """The batch of this content and source, if there is one that was not retracted. Raises Conflict where another one
    has the rows, corrected.

    One whose rows were deleted counts while the live version knows them; afterwards they can be sent anew."""
    candidates = session.scalars(
        select(Batch)
        .where(Batch.model_id == model.id, Batch.digest == digest, ~RETRACTED)
        .where(Batch.source.is_(None) if source is None else Batch.source == source)
        .order_by(Batch.id)
    )
    if known := next((b for b in candidates if is_whole(b) or b.in_live), None):
        return known
    if corrected := same_rows.corrected_before(session, model, digest, source):
        old, new = corrected
        raise Conflict(
            f"These rows came as batch {old.id}, which was corrected: batch {new.id} has them now. Learned as they "
            f"were, they would count twice, with what was wrong. If you want that instead, take {new.id} back first "
            f"({RETRACT(model=model.name, batches=listed([new.id]))}).",
            batch=new.id,
        )
    return None


def accept(session: Session, model: Model, arrival: Arrival) -> tuple[Batch, bool]:
    """Adds a batch of rows, unless its content and source are there, or `again`. -> the batch, and whether it is new.
    Raises Conflict as `same` does."""
    if not arrival.again:
        if known := same(session, model, arrival.digest, arrival.source):
            return known, False
        twice = same_rows.note_of_other_source(session, model, arrival) or sketches.note(session, model, arrival)
        notes = [*twice, *currencies.compared(session, model, arrival)]
        arrival = replace(arrival, notes=notes or None)
    rows = arrival.rows + arrival.unlabelled
    return add(session, model, arrival, f"{rows} {'row' if rows == 1 else 'rows'}", kept_rows=arrival.rows), True


def add(session: Session, model: Model, arrival: Arrival, received: str, **others: Any) -> Batch:
    """Adds a batch; `others`: what is otherwise than it arrived. What happens to it later begins as None. `received`:
    how much it is, for the audit."""
    facts = {name: value for name, value in vars(arrival).items() if name not in ("again", "space")} | others
    batch = Batch(**facts, model_id=model.id, by=acting().by, received_at=clock(session))
    session.add(batch)
    session.flush()
    sketches.add_marks(session, batch)
    audit.record(session, Action.BATCH_RECEIVED, model.name, batch.id, received)
    return batch


def retract(session: Session, model: Model, batch: Batch, reason: str = "") -> None:
    """Marks a batch as taken back: nothing learns it any more. Once more changes nothing."""
    if batch.retracted_at is None:
        batch.retracted_at = clock(session)
        audit.record(session, Action.BATCH_RETRACTED, model.name, batch.id, reason)


def restore(session: Session, model: Model, batch: Batch) -> None:
    """Takes that mark away: its retraction was cancelled."""
    if batch.retracted_at is not None:
        batch.retracted_at = None
        audit.record(session, Action.BATCH_RESTORED, model.name, batch.id)


def known_values(
    session: Session, model: Model, wanted: ValueNames | None = None, of: Collection[str] | None = None
) -> dict[str, set[str]]:
    """Values that batches of a model of tables brought and that were not retracted, by column: all, or of the newest
    batches as many as it takes to hold all that are wanted. `of`: of these batches alone, retracted or not."""
    known: dict[str, set[str]] = {column: set() for column in wanted or ()}
    query = select(Batch.id, Batch.values).where(Batch.model_id == model.id)
    oldest, newest = min(of or (), default=""), max(of or (), default="")
    query = query.where(~RETRACTED if of is None else Batch.id.between(oldest, newest))
    with closing(session.execute(query.order_by(Batch.id.desc()).execution_options(yield_per=20))) as newest_first:
        for batch_id, values in newest_first:
            if of is not None and batch_id not in of:
                continue
            for column, counts in (values or {}).items():
                if column != LACKED:
                    known.setdefault(column, set()).update(counts)
            if wanted is not None and all(known[column].issuperset(names) for column, names in wanted.items()):
                break
    return known


def values_of(session: Session, ids: Collection[str]) -> dict[str, dict[str, dict[str, int]]]:
    """Batch -> column -> rows of each value of a category, and what rows lack, of those of these batches that have
    any."""
    query = select(Batch.id, Batch.values).where(Batch.id.in_(among(session, ids)))
    return {batch_id: values for batch_id, values in session.execute(query) if values is not None}


def new_batch_id() -> str:
    return new_id("bat")


def get(session: Session, model: Model, batch_id: str) -> Batch:
    """A batch of this model. Raises NotFound."""
    batch = session.get(Batch, batch_id)
    if batch is None or batch.model_id != model.id:
        raise NotFound(f'There is no batch "{batch_id[:64]}" in {model.name}.')
    return batch


def named(session: Session, model: Model, ids: Sequence[str], pointer: str = "/batches") -> list[Batch]:
    """Batches that a body names, each once, in that order. Raises InvalidContent with the pointer."""
    names = list(dict.fromkeys(ids))
    of_model = select(Batch).where(Batch.model_id == model.id, Batch.id.in_(among(session, names)))
    by_id = {batch.id: batch for batch in session.scalars(of_model)}
    for k, batch_id in enumerate(names):
        if batch_id not in by_id:
            raise InvalidContent.at(f"{pointer}/{k}", f'There is no batch "{batch_id[:64]}" in {model.name}.')
    return [by_id[batch_id] for batch_id in names]


def classes_of(session: Session, ids: Sequence[str]) -> set[str]:
    counts = select(Batch.label_counts).where(Batch.id.in_(among(session, ids))).execution_options(yield_per=AT_ONCE)
    return {name for of_batch in session.scalars(counts) for name in of_batch}


def rows_of(session: Session, ids: Collection[str]) -> RowCounts:
    if not ids:
        return RowCounts()
    merged = case((Batch.merged.is_not(None), Batch.rows), else_=0)
    sums = select(*(func.sum(rows) for rows in (Batch.rows, Batch.kept_rows, merged)))
    return RowCounts(*(int(n or 0) for n in session.execute(sums.where(Batch.id.in_(among(session, ids)))).one()))


def rows_learned(session: Session, version: Version) -> RowCounts:
    """Of the batches that a version learned. What it takes does not grow with them, only with those that lack rows."""
    if version.rows is None:
        return rows_of(session, version.learned)
    lacking = session.execute(_LACKING, {"model_id": version.model_id}).all()
    learned = frozenset(version.learned) if lacking else frozenset()
    here = [batch for batch in lacking if batch.id in learned]
    kept = version.rows - sum(batch.rows - batch.kept_rows for batch in here)
    return RowCounts(version.rows, kept, sum(batch.rows for batch in here if batch.merged is not None))


def page(
    session: Session, model: Model, limit: int, cursor: str | None, source: str | None = None, waiting: bool = False
) -> tuple[list[Batch], str | None]:
    """Batches of the model, newest first. `waiting`: those that wait to be learned."""
    query = select(Batch).where(Batch.model_id == model.id)
    if source is not None:
        query = query.where(Batch.source == source)
    if waiting:
        query = query.where(WAITING)
    return paging.page(session, query, Batch.id, limit, cursor)


def of(session: Session, model: Model) -> list[Batch]:
    """All batches of the model, oldest first."""
    return list(session.scalars(select(Batch).where(Batch.model_id == model.id).order_by(Batch.id)))


def facts_of(session: Session, ids: Collection[str]) -> Sequence[Row[Any]]:
    """What an update has to know of each of these batches, oldest first: columns, since there may be many."""
    query = select(*(getattr(Batch, name) for name in FACTS)).where(Batch.id.in_(among(session, ids)))
    return session.execute(query.order_by(Batch.id)).all()


def by_id(session: Session, ids: Sequence[str]) -> list[Batch]:
    """Batches in this order: those that the session does not hold yet are read at once."""
    absent = [batch_id for batch_id in ids if identity_key(Batch, batch_id) not in session.identity_map]
    query = select(Batch).where(Batch.id.in_(among(session, absent)))
    read = {batch.id: batch for batch in session.scalars(query)} if absent else {}
    return [read.get(batch_id) or session.get_one(Batch, batch_id) for batch_id in ids]


def move_live(session: Session, more: Collection[str], less: Collection[str]) -> None:
    """Notes that another version is live, which has learned these batches more than the one before, and less."""
    for ids, learned in ((more, True), (less, False)):
        if ids:
            session.execute(update(Batch).where(Batch.id.in_(among(session, ids))).values(in_live=learned))


def state(batch: Batch) -> BatchState:
    """The first that holds of erased, retracted, learned, rejected, pending."""
    if is_erased(batch):
        return BatchState.ERASED
    if batch.retracted_at is not None:
        return BatchState.RETRACTED
    if batch.in_live:
        return BatchState.LEARNED
    return BatchState.REJECTED if batch.rejected_by else BatchState.PENDING


def pending(session: Session, model: Model) -> Sequence[Row[str, int, int]]:
    """Of batches that wait to be learned and whose rows are there `id`, `rows` and `unlabelled`, oldest first."""
    query = select(Batch.id, Batch.rows, Batch.unlabelled).where(Batch.model_id == model.id, WAITING)
    return session.execute(query.order_by(Batch.id)).all()


def taken_back(session: Session, update: Update) -> bool:
    return any(session.get_one(Batch, b).retracted_at is not None for b in update.batches)


def is_erased(batch: Batch) -> bool:
    """Whether its bytes are gone; from the end of its retraction until then it is retracted."""
    return batch.erased_at is not None and batch.doomed is None


def are_erased(session: Session, ids: Sequence[str]) -> bool:
    """Whether the bytes of all of these batches are gone."""
    return all(is_erased(session.get_one(Batch, batch_id)) for batch_id in ids)


def pending_counts(session: Session, model_ids: Collection[int]) -> dict[int, resources.Pending]:
    """How many batches and rows `pending` has, by model. What it takes grows with those that wait, not with all."""
    sums = select(Batch.model_id, func.count(), func.sum(Batch.rows + Batch.unlabelled))
    waiting = session.execute(sums.where(Batch.model_id.in_(model_ids), WAITING).group_by(Batch.model_id))
    counts = {model_id: resources.Pending(batches=count, rows=int(rows)) for model_id, count, rows in waiting}
    return {model_id: counts.get(model_id, resources.Pending(batches=0, rows=0)) for model_id in model_ids}


def is_whole(batch: Batch) -> bool:
    """Whether all of its rows are still stored, so that it can be learned."""
    return batch.kept_rows == batch.rows


def stored_rows(batch: Batch) -> int:
    """Rows that are still stored; those without a label are, until some of the batch's are deleted."""
    all_stored = batch.stored_digest is not None and is_whole(batch)
    return batch.kept_rows + (batch.unlabelled if all_stored else 0)


def require_whole(session: Session, model: Model, batch: Batch) -> None:
    """Raises Conflict for a batch whose rows were deleted, naming the version that learned them, and for one that is a
    merged ledger."""
    if is_whole(batch):
        return
    if batch.merged is not None:
        raise Conflict(
            f"Batch {batch.id} is a merged ledger, which has no rows. Where it is not learned, send it again: "
            f"{MERGE(model=model.name)}.",
            batch=batch.id,
        )
    versions = select(Version).where(Version.model_id == model.id, THERE)
    newest = session.scalars(versions.order_by(Version.number.desc()))
    number = next((v.number for v in newest if batch.id in v.learned), None)
    known = f"Version {number} knows them: make it live again, or send" if number else "Send"
    raise Conflict(
        f"The rows of batch {batch.id} were deleted once they were learned (retention {batch.kept_as}). {known} the "
        "rows anew.",
        batch=batch.id,
    )


def learning_rows(
    session: Session, model: Model, names: Sequence[str], enough: int, besides: str = ""
) -> dict[str, int]:
    """Learning rows that unretracted batches hold of each class, counted up to `enough`; `besides`: a batch that does
    not count."""
    counts = dict.fromkeys(names, 0)
    query = select(Batch.folds).where(Batch.model_id == model.id, ~RETRACTED, Batch.id != besides)
    with closing(session.scalars(query.order_by(Batch.id.desc()).execution_options(yield_per=20))) as newest_first:
        for folds in newest_first:
            for name in folds.keys() & counts.keys():
                counts[name] += folds[name][LEARN]
            if all(k >= enough for k in counts.values()):
                break
    return counts


def resources_of(session: Session, model: Model, batches: Sequence[Batch]) -> list[resources.Batch]:
    """Batches of the model as the API shows them: six queries, however many they are."""
    named = _named_by(session, [batch.id for batch in batches])
    refuted = refuted_by(session, [batch.id for batch in batches])
    unlearned = [batch.id for batch in batches if not batch.in_live]
    by_gate, alone = stopped.by(session, unlearned), stopped.alone(session, unlearned)
    corrected = same_rows.corrected_by(session, [batch for batch in batches if batch.retracted_at is not None])
    return [
        resource_of(
            model,
            batch,
            updates=named[batch.id],
            stopped=by_gate.get(batch.id),
            stopped_alone=alone.get(batch.id),
            refuted=refuted.get(batch.id),
            corrected_by=corrected.get(batch.id),
        )
        for batch in batches
    ]


def resource_of(model: Model, batch: Batch, **known: Any) -> resources.Batch:
    """A batch as the API shows it: a new one, or one of which other rows tell what is `known`."""
    return shown(
        resources.Batch,
        batch,
        model=model.name,
        rows=batch.rows + batch.unlabelled,
        target_summary=_target_summary(batch),
        notes=batch.notes or [],
        digest=batch.digest or None,
        state=state(batch),
        kept_rows=stored_rows(batch),
        erased_at=moment(batch.erased_at) if is_erased(batch) else None,
        **{**dict.fromkeys(("stopped", "stopped_alone", "refuted", "corrected_by")), "updates": [], **known},
    )


def judged_by(session: Session, model: Model, batch: Batch) -> list[Version]:
    """The versions whose reports judge the rows of the batch as their own, and are still there, newest first: of those
    that went live, the live one and older ones, if it is among them, else all; where none did, those that were stopped.
    """
    ids = _named_by(session, [batch.id])[batch.id]
    made = select(Version).where(Version.update_id.in_(ids))
    newest_first = session.scalars(made.order_by(Version.number.desc()))
    judged = [v for v in newest_first if v.report is not None and batch.id in v.learned]
    promoted = select(Deployment.version_id).where(Deployment.model_id == model.id, STANDING)
    went_live = set(session.scalars(promoted.where(Deployment.version_id.in_([v.id for v in judged]))))
    of_live = [v for v in judged if v.id in went_live]
    places = [k for k, v in enumerate(of_live) if v.id == model.live_version_id]
    return of_live[places[0] if places else 0 :] or judged


def _target_summary(batch: Batch) -> resources.TargetSummary | None:
    """Of the one number of a row, or of each of several."""
    each = [resources.NumberSummary.model_validate(summary) for summary in batch.target_summary or ()]
    return each[0] if len(each) == 1 else each or None


def _named_by(session: Session, ids: Sequence[str]) -> dict[str, list[str]]:
    """Updates that name each of these batches, oldest first."""
    named: dict[str, list[str]] = {batch_id: [] for batch_id in ids}
    query = select(NamedBatch.batch_id, NamedBatch.update_id).where(NamedBatch.batch_id.in_(ids))
    for batch_id, update_id in session.execute(query.order_by(NamedBatch.update_id)):
        named[batch_id].append(update_id)
    return named


def refuted_by(session: Session, ids: Sequence[str]) -> dict[str, str]:
    """The latest dispute over each of these batches in which the model was found right."""
    query = select(NamedBatch.batch_id, func.max(Dispute.id)).join(Dispute, Dispute.update_id == NamedBatch.update_id)
    query = query.where(Dispute.verdict == DisputeState.REFUTED, NamedBatch.batch_id.in_(among(session, ids)))
    return dict(session.execute(query.group_by(NamedBatch.batch_id)).all())
