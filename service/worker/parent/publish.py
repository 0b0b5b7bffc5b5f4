"""Publication: bytes first, which the child has stored, then all rows in one transaction, the live pointer last."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields
from functools import partial

from sqlalchemy.orm import Session

from service.contract.enums import Outcome, Promotion, UpdateKind, UpdateState, Verdict
from service.contract.reports import AnyReport
from service.errors import CorruptArtifact, Incomplete
from service.learning.gate import verdicts
from service.learning.wording import listed
from service.registry import batches, deployments, leases, models, states, updates, versions
from service.registry.rows import file_notes, ledger, same_rows, stopped, unlearned
from service.registry.sql.shown import moment
from service.registry.sql.tables import Batch, LedgerEntry, Model, Update, Version
from service.runtime import Runtime
from service.serving.loaded_versions import Loaded
from service.storage.artifacts import SHARDS, model_area, there
from service.upkeep import gc
from service.worker.assignment import Result
from service.worker.parent import erasure
from service.worker.parent.kinds import kind_of

log = logging.getLogger("tsuika.worker")

NOTES = 10
"""Notes on how files were read that a report repeats of its batches."""


def publish(
    runtime: Runtime, update_id: str, fence: int, result: Result, of_base: Collection[str] = ()
) -> Verdict | None:
    """Makes the version, and where it is promoted moves the pointer and serves it. -> None where it was queued again

    of_base: digests that the base names, so that nobody deletes them: the store is not asked whether they are there.

    Publishes nothing and raises LeaseLost where another worker owns the update by now, CorruptArtifact and Incomplete
    where what was made is not whole.
    """
    began = time.perf_counter()
    model_id, loaded = _warm(runtime, update_id, result)
    result = result.timed({**result.report.cost.parts, "loading": time.perf_counter() - began})
    runtime.crash("before_commit")
    missing = list[str]()
    fresh = [named for named in _bytes(model_id, result) if named[1] not in of_base]
    with runtime.database.writing(partial(_look, runtime, fresh, missing)) as session:
        update = leases.owned(session, update_id, fence)
        model = models.lock(session, update.model_id)
        if _outdated(session, update, model, result):
            return None
        base = session.get(Version, update.base_version_id) if update.base_version_id is not None else None
        if of_base and (base is None or base.erased_at is not None):
            missing.append("A part of the version before")
        if missing:
            raise CorruptArtifact(f"{missing[0]} is missing from the store: it is made again.")
        verdict = _record(session, update, model, base, result)
        if update.erase:
            erasure.mark(session, update)
    runtime.crash("after_commit")
    if verdict is Verdict.PROMOTED and loaded is not None:
        runtime.live.swap(loaded)
    log.info("%s", verdict)
    return verdict


def finish_empty(runtime: Runtime, update_id: str, fence: int) -> None:
    """Ends an update with nothing left to learn or to take back: succeeded, without version and verdict."""
    with runtime.database.writing() as session:
        update = leases.owned(session, update_id, fence)
        model = session.get_one(Model, update.model_id)
        live = None if model.live_version_id is None else session.get_one(Version, model.live_version_id)
        if update.kind == UpdateKind.LEARN and live is not None and {*update.batches} <= {*live.learned}:
            update.why = f"These rows are learned already: version {live.number}, which is live, holds them."
            chosen = update.requested_method if update.requested_method != model.method else None
            options = {"method": chosen, "expect": update.expect, "seed": update.seed, "device": update.device}
            ignored = [word for word, said in options.items() if said]
            if ignored:
                update.why += f" What was said of them now ({listed(ignored)}) did nothing."
        elif update.kind == UpdateKind.LEARN:
            update.why = (
                "Nothing was left to learn: the live version holds these batches, they were retracted, or their rows "
                "have no label."
            )
        elif model.archived_at is None:
            update.why = "The live version holds nothing of these batches, so no new version was needed."
            update.why += unlearned.how_to_learn(session, model)
        else:
            update.why = "The model is archived, so nothing was learned again."
        states.advance(session, update, UpdateState.SUCCEEDED, "succeeded", verdict=None)
        if update.erase:
            erasure.mark(session, update)


def finish_lost(runtime: Runtime, update_id: str, fence: int, why: str) -> None:
    """Ends the update of a challenger that did not win: succeeded, without version and verdict. `why`: how it lost."""
    with runtime.database.writing() as session:
        update = leases.owned(session, update_id, fence)
        update.why = f"auto: a challenger that did not win. {why}"
        states.advance(session, update, UpdateState.SUCCEEDED, "succeeded", verdict=None, challenger=why)


def give_up(runtime: Runtime, model_id: int, result: Result) -> None:
    """Deletes what was stored for a version that does not come, unless a row names the same bytes."""
    gc.discard(runtime, {(where, digest) for where, digest, _ in _bytes(model_id, result)})


def _warm(runtime: Runtime, update_id: str, result: Result) -> tuple[int, Loaded | None]:
    """-> the model, and the version loaded and warm before its row exists, where it may go live"""
    with runtime.database.reading() as session:
        update = session.get_one(Update, update_id)
        model = session.get_one(Model, update.model_id)
        goes_live = update.kind == UpdateKind.RETRACT or (
            result.outcome is Outcome.PASS and model.promotion == Promotion.AUTO
        )
        if not goes_live:
            return model.id, None
        number = versions.next_number(session, model)
        model_id, name = model.id, model.name
    shards = [s.model_dump() for s in result.shards]
    return model_id, runtime.live.prepare(model_id, name, number, result.layout, shards)


def _outdated(session: Session, update: Update, model: Model, result: Result) -> bool:
    """Queues an update again whose result cannot stand: the base of a retraction moved, or a batch was retracted while
    it was learned. One of an archived model is cancelled unless it erases. -> whether it did either

    Other retracted batches do not hinder a retraction: each waits for a retraction of its own.
    """
    if model.archived_at is not None:
        if update.erase:
            leases.hand_back(session, update, "queued again: the model was archived")
        else:
            updates.cancelled(session, update, reason="the model was archived")
        return True
    if update.kind == UpdateKind.RETRACT:
        taken = versions.retracted_batches(session, [b for b in update.adds or () if b in result.learned])
        why = "queued again: the live version moved" if model.live_version_id != update.base_version_id else None
        why = why or ("queued again: a batch was retracted" if taken else None)
    else:
        why = "queued again: a batch was retracted" if versions.retracted_batches(session, result.learned) else None
    if why is not None:
        leases.hand_back(session, update, why)
    return why is not None


def _look(runtime: Runtime, named: Sequence[tuple[str, str, str]], missing: list[str]) -> None:
    """Notes which bytes are missing, now that nobody else can delete them."""
    here = there(runtime.store, [(where, digest) for where, digest, _ in named])
    missing.extend(what for (_, _, what), is_here in zip(named, here, strict=True) if not is_here)


def _bytes(model_id: int, result: Result) -> Iterator[tuple[str, str, str]]:
    """Area, digest and description of the bytes that a result names."""
    yield from ((SHARDS, s.digest, f"Part {s.part}") for s in result.shards)
    yield from ((model_area(model_id), e.digest, f"The entry of batch {e.batch}") for e in result.entries)
    if result.bits is not None:
        yield model_area(model_id), result.bits, "The answers on trusted rows"


def _require_entries(session: Session, model: Model, version: Version, base: Version | None) -> None:
    """Raises Incomplete where a batch of the version has no entry in its feature space: its sums could not be
    recomputed. Those of a base in the same space were looked at when that was made."""
    if version.feature_space is None:
        return
    same_space = base is not None and base.feature_space == version.feature_space
    fresh = version.more or () if same_space else version.learned
    if lacking := ledger.lacking(session, version.feature_space, fresh):
        raise Incomplete(
            f"The sums of batch {lacking[0]} were not stored, so nobody could verify the version or learn on from it. "
            "Nothing was published; a fresh process makes it again."
        )


def _record(session: Session, update: Update, model: Model, base: Version | None, result: Result) -> Verdict:
    """Writes version, entries, verdict, pointer and what follows from them."""
    brought = batches.by_id(session, update.batches)  # held from here on: much of what follows looks at them
    kind = UpdateKind(update.kind)
    expected = _expected_live(session, update)
    before = versions.by_id(session, expected).number if expected is not None else None
    base_is_live = model.live_version_id == expected
    verdict = states.verdict(kind, result.outcome, Promotion(model.promotion), base_is_live)
    number = versions.next_number(session, model)
    of_kind = kind_of(model)
    report = of_kind.settled(session, model, update, result.report, verdict is Verdict.HELD)
    if kind is UpdateKind.LEARN:
        report = _with_taken_back(session, model, brought, report)
        if read := file_notes.to_say(session, [batch for batch in brought if batch.id in result.learned]):
            report = _told(report, notes=[*report.batch.notes, *read[:NOTES]])
        if len(brought) > 1 and report.gate.outcome is not Outcome.PASS:
            report = _told(report, stopped_alone=[*stopped.alone(session, update.batches)])
    live = versions.by_id(session, model.live_version_id).number if model.live_version_id is not None else None
    why = verdicts.verdict_sentence(report, verdict, number, before, live)
    gate = report.gate.model_copy(update={"why": f"{why}{of_kind.outlook(session, model, update, report)}"})
    others = {field.name for field in fields(versions.Made)} - {"report", "learned"}
    with_gate = report.model_copy(update={"gate": gate}).model_dump(mode="json")
    made = versions.Made(**result.model_dump(include=others), learned=result.learned, report=with_gate)
    version = versions.add(session, model, update, base.id if base else None, made)
    ledger.add_all(
        session,
        [
            LedgerEntry(batch_id=e.batch, feature_space=e.space, digest=e.digest, rows=e.rows, device=e.device)
            for e in result.entries
        ],
    )
    _require_entries(session, model, version, base)
    update.version_id, update.verdict = version.id, verdict
    update.method, update.why = result.method, result.why
    update.learned_rows, update.exam_rows = result.learned_rows, result.exam_rows
    for stored in brought:
        blamed = verdict is Verdict.REJECTED and result.blames_batch
        stored.rejected_by = update.id if blamed else None
        if stored.id in result.trusted:
            stored.trusted = result.trusted[stored.id].model_dump()
    if verdict is Verdict.PROMOTED:
        by = deployments.BY_GATE if kind is UpdateKind.LEARN else deployments.BY_ORDER
        deployments.promote(session, model, version, update.reason or gate.why, by)
        of_kind.went_live(session, model, update, report)
    states.advance(session, update, UpdateState.SUCCEEDED, "succeeded", verdict=verdict, version=version.number)
    if verdict is Verdict.PROMOTED and result.challenge is not None:
        updates.challenge(session, model, update, result.challenge.method, f"auto: {result.challenge.why} challenges.")
    return verdict


def _with_taken_back(session: Session, model: Model, brought: Sequence[Batch], report: AnyReport) -> AnyReport:
    """The report with when rows of its batches were last taken back, where they were before they came again; or with
    the batch that has them corrected."""
    pairs = same_rows.taken_back_before(session, model, brought)
    if not pairs:
        return report
    both = ((new, now) for new, old in pairs if (now := same_rows.in_place_of(session, old)) and now is not new)
    if corrected := next(both, None):
        new, now = corrected
        at = None
        note = (
            f"Batch {new.id} has the rows of batch {now.id} as they were before they were corrected: they count twice. "
            f"If that is not meant, take {new.id} back."
        )
    else:
        at = moment(max(old.retracted_at for _, old in pairs if old.retracted_at is not None))
        which = "These rows" if len(brought) == 1 else "Rows of these batches"
        note = f"{which} were taken back on {at:%Y-%m-%d %H:%M} UTC; they are learned again."
    told = {"taken_back_at": at, "notes": [*report.batch.notes, note]}
    return _told(report, **told)


def _told(report: AnyReport, **facts: object) -> AnyReport:
    """The report with facts of its batches."""
    return report.model_copy(update={"batch": report.batch.model_copy(update=facts)})


def _expected_live(session: Session, update: Update) -> int | None:
    """The version that must still be live: the base, or the one that a challenger beat."""
    if update.challenges is None:
        return update.base_version_id
    return session.get_one(Update, update.challenges).version_id
