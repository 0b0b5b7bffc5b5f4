"""Disputes: a batch contradicts what the model is sure of, and a later batch, or a person, settles which is right."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contract.enums import UpdateKind, Verdict
from service.contract.number_report import AnyReport, NumberReport
from service.contract.policies import CLASS_POLICY
from service.contract.policy import GatePolicy
from service.contract.report import BatchEvidence, ClassEvidence, Dispute, Report, Settled
from service.learning.statistics import at_least
from service.registry import states, updates
from service.registry.sql.tables import Batch, Deployment, Model, Update, UpdateEvent, Version

LOOKED_BACK = 20
"""How many of the latest held updates have disputes that may still be settled."""


def with_disputes(session: Session, model: Model, update: Update, report: AnyReport, held: bool) -> AnyReport:
    """The report with the disputes that its batches settle, and those that they open where the version is held. Numbers
    have none: a batch of them is compared with the last ones as a whole."""
    if isinstance(report, NumberReport):
        return report
    settled = _settle(session, model, update, report.batch)
    notes = [*report.batch.notes, *map(_sentence, settled)]
    opened = report.batch.disputes if held else []
    batch = report.batch.model_copy(update={"disputes": opened, "settled": settled, "notes": notes})
    return report.model_copy(update={"batch": batch})


def _settle(session: Session, model: Model, update: Update, shown: BatchEvidence) -> list[Settled]:
    """Settles the open disputes that the batches of an update decide; each gets an event in the update that opened it.

    A confirmed one is still for a person to decide: old rows say otherwise, and stay in the sums until taken back.
    """
    if update.kind != UpdateKind.LEARN or update.challenges is not None or not shown.evidence:
        return []
    policy, settled = CLASS_POLICY.as_stored(model.gate), list[Settled]()
    sources = {session.get_one(Batch, b).source for b in update.batches}
    source = sources.pop() if len(sources) == 1 else None
    for opened, dispute in _open(session, model, update):
        evidence = shown.evidence.get(dispute.class_)
        independent = updates.ordered_by(session, opened) != updates.ordered_by(session, update) or (
            update.created_at - opened.created_at >= timedelta(hours=policy.disputes.hours).total_seconds()
        )
        end = _settled(opened.id, dispute, evidence, policy, independent, source) if evidence else None
        if end is not None:
            facts = end.model_dump(mode="json", exclude={"source", "update", "verdict"})
            states.note(session, opened, f"dispute {end.verdict}", by_update=update.id, batches=update.batches, **facts)
            settled.append(end)
    return settled


def outlook(model: Model, report: AnyReport) -> str:
    """A sentence on what will settle the disputes that a report opens; empty where it opens none."""
    if isinstance(report, NumberReport) or not report.batch.disputes:
        return ""
    hours = CLASS_POLICY.as_stored(model.gate).disputes.hours
    later = f"{hours:g} hours later or more" if hours else "later"
    return (
        f" A batch that says the same {later} confirms the labels; rows that agree with the live version refute them."
    )


def _sentence(settled: Settled) -> str:
    """How a dispute was settled, and what to do then."""
    share = f'{settled.rows:,} of {settled.sure:,} rows that are surely "{settled.class_}"'
    if settled.verdict == "confirmed":
        return (
            f'Confirmed what update {settled.update} disputed: {share} say "{settled.suggested}" here, too '
            f"(p = {settled.p:.2g}). If the world has changed, promote it and take back the older batches that say "
            'otherwise. Where another version has gone live since, promote it with "rebase": true: that is learned on '
            "the live one, held once more, and can then be promoted."
        )
    return (
        f'Refuted what update {settled.update} disputed (most often as "{settled.suggested}"): only {share} say '
        "anything else here. Take its batch back."
    )


def _settled(
    update: str,
    opened: Dispute,
    evidence: ClassEvidence,
    policy: GatePolicy,
    independent: bool,
    source: str | None,
) -> Settled | None:
    """Confirmed or refuted, by what a later batch shows of the class that the `update` disputed; None where neither.

    Rows of another key, or of another day, that say the same are no slip of one sender: then the concept has moved, or
    two people are wrong alike. Enough rows of the class that agree with the model refute it, whoever sent them.
    """
    rule, rows, alike = policy.disputes, evidence.confident, evidence.toward.get(opened.suggested, 0)
    facts: dict[str, Any] = {"update": update, "class_": opened.class_, "suggested": opened.suggested, "source": source}
    facts["sure"] = rows
    p = at_least(alike, rows, evidence.expected)
    if independent and rows >= policy.contradicts_class.min_rows and p < policy.contradicts_class.p:
        return Settled(verdict="confirmed", rows=alike, p=p, **facts)
    if rows >= rule.min_rows and evidence.conflicts < rule.max_share * rows:
        p = at_least(evidence.conflicts, rows, evidence.expected)
        return Settled(verdict="refuted", rows=evidence.conflicts, p=p, **facts)
    return None


def _open(session: Session, model: Model, update: Update) -> Iterator[tuple[Update, Dispute]]:
    """Unsettled disputes of earlier held updates with other batches, the oldest first."""
    held = (Update.model_id == model.id) & (Update.verdict == Verdict.HELD) & (Update.id != update.id)
    latest = session.scalars(select(Update).where(held).order_by(Update.id.desc()).limit(LOOKED_BACK))
    for opened in reversed(list(latest)):
        if set(opened.batches) & set(update.batches) or opened.version_id is None or _by_person(session, opened):
            continue
        report = session.get_one(Version, opened.version_id).report
        past = select(UpdateEvent).where(UpdateEvent.update_id == opened.id, UpdateEvent.kind.startswith("dispute "))
        settled = {(e.detail["class"], e.detail["suggested"]) for e in session.scalars(past)}
        for dispute in Report.model_validate(report).batch.disputes if report else ():
            if (dispute.class_, dispute.suggested) not in settled:
                yield opened, dispute


def _by_person(session: Session, opened: Update) -> bool:
    """Whether somebody promoted the version or took a batch of it back."""
    promoted = session.scalar(select(Deployment.id).where(Deployment.version_id == opened.version_id).limit(1))
    return promoted is not None or any(session.get_one(Batch, b).retracted_at is not None for b in opened.batches)
