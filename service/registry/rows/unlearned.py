"""Sentences on what a model has not learned, and what to do with it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Row, case, exists, func, select
from sqlalchemy.orm import Session

from service.contract.enums import DisputeState, Verdict
from service.contract.resources import Pending
from service.registry import batches
from service.registry.rows.stopped import STOPPED, by
from service.registry.sql.conditions import WAITING
from service.registry.sql.tables import Batch, Dispute, Model, NamedBatch, Update, Version
from service.remedies import LEARN, NAMED, PROMOTE, listed


def counted(session: Session, model_ids: Collection[int]) -> dict[int, Pending]:
    """How many batches and rows wait, by model, and how many of these the gate stopped or a dispute refuted."""
    counts = batches.pending_counts(session, model_ids)
    waiting = [model_id for model_id, count in counts.items() if count.batches]
    if not waiting:
        return counts
    named = NamedBatch.batch_id == Batch.id
    judged = (Version.id == Update.version_id) & Update.verdict.in_((Verdict.HELD, Verdict.REJECTED)) & STOPPED
    stopped = exists().where(named, Update.id == NamedBatch.update_id, judged)
    wrong = (Dispute.model_id == Batch.model_id) & (Dispute.verdict == DisputeState.REFUTED)
    refuted = exists().where(named, Dispute.update_id == NamedBatch.update_id, wrong)
    each = [func.sum(case((of, 1), else_=0)) for of in (stopped & ~refuted, refuted)]
    query = select(Batch.model_id, *each).where(Batch.model_id.in_(waiting), WAITING).group_by(Batch.model_id)
    for model_id, held, found_wrong in session.execute(query):
        counts[model_id] = counts[model_id].model_copy(update={"stopped": int(held), "refuted": int(found_wrong)})
    return counts


def how_to_learn(session: Session, model: Model) -> str:
    """Sentences of what waits, behind a space: how it is learned; of what passed, which version is promoted; of what
    the gate stopped, which one says what to do; of what was refuted, that it is corrected or taken back. "" where
    nothing waits."""
    waiting = batches.pending(session, model)
    ids = [batch.id for batch in waiting]
    refuted, stopped = batches.refuted_by(session, ids), by(session, ids)
    wrong = [batch for batch in waiting if batch.id in refuted]
    learned = [batch for batch in waiting if batch.id in stopped and batch.id not in refuted]
    passed = _passed(session, model, stopped.values())
    ready = [batch for batch in learned if stopped[batch.id] in passed]
    held = [batch for batch in learned if stopped[batch.id] not in passed]
    fresh = [batch for batch in waiting if batch.id not in stopped and batch.id not in refuted]
    said = list[str]()
    if fresh:
        every = len(fresh) == len(waiting) or len(fresh) > NAMED
        which = '"pending"' if every else listed(batch.id for batch in fresh)
        how = LEARN(model=model.name, batches=which)
        said.append(f"{_counted(fresh)} {'wait' if len(fresh) > 1 else 'waits'} to be learned: {how}.")
    if ready:
        last = max(stopped[batch.id] for batch in ready)
        how, wait = PROMOTE(model=model.name, version=last), "wait" if len(ready) > 1 else "waits"
        said.append(f"{_counted(ready)} passed every check and {wait} for you: {how}.")
    if held:
        were, last = "were" if len(held) > 1 else "was", max(stopped[batch.id] for batch in held)
        said.append(f"{_counted(held)} {were} stopped by the gate: the report of version {last} says what to do.")
    if wrong:
        do = "correct their rows, or take them back" if len(wrong) > 1 else "correct its rows, or take it back"
        said.append(f"The labels of {_counted(wrong)} were refuted: {do}.")
    return "".join(f" {sentence}" for sentence in said)


def _passed(session: Session, model: Model, numbers: Collection[int]) -> set[int]:
    """Those of these versions that the gate let pass."""
    query = select(Version.number).where(Version.model_id == model.id, Version.number.in_({*numbers}), ~STOPPED)
    return set(session.scalars(query))


def _counted(some: Sequence[Row[str, int, int]]) -> str:
    rows, of = sum(batch.rows + batch.unlabelled for batch in some), len(some)
    return f"{'1 batch of' if of == 1 else f'{of:,} batches of'} {rows:,} {'row' if rows == 1 else 'rows'}"
