"""Disputes: a batch contradicts what the model is sure of; a later batch, or a person, says who is right."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contract.enums import UpdateKind, Verdict
from service.contract.policy import GatePolicy
from service.contract.report import BatchEvidence, Dispute, Report, Settled
from service.learning.contradictions import settles
from service.registry import states
from service.registry.tables import Batch, Deployment, Model, Update, UpdateEvent, Version

LOOKED_BACK = 20
"""Held updates, the latest ones, whose disputes may still be settled."""


def settle(session: Session, model: Model, update: Update, said: BatchEvidence) -> list[Settled]:
    """What the batches of an update say about open disputes; an event of the update that had opened each tells it.

    A confirmed one is still for a person to decide: old rows say otherwise, and stay in the sums until taken back.
    """
    if update.kind != UpdateKind.LEARN or update.challenges is not None or not said.evidence:
        return []
    policy, found = GatePolicy.model_validate(model.gate), list[Settled]()
    for opened, dispute in _open(session, model, update):
        evidence = said.evidence.get(dispute.class_)
        independent = _by(session, opened) != _by(session, update) or (
            update.created_at - opened.created_at >= timedelta(hours=policy.disputes.hours).total_seconds()
        )
        settled = settles(opened.id, dispute, evidence, policy, independent) if evidence else None
        if settled is not None:
            facts = settled.model_dump(mode="json", exclude={"source", "update", "verdict"})
            states.note(
                session, opened, f"dispute {settled.verdict}", by_update=update.id, batches=update.batches, **facts
            )
            found.append(settled)
    return found


def told(settled: Settled) -> str:
    """In a sentence."""
    said = f'{settled.rows:,} of {settled.sure:,} rows that are surely "{settled.class_}"'
    if settled.verdict == "confirmed":
        return (
            f'Confirmed what update {settled.update} disputed: {said} say "{settled.suggested}" here, too '
            f"(p = {settled.p:.2g}). If the world has changed, promote it and take back the older batches that say "
            "otherwise."
        )
    return (
        f'Refuted what update {settled.update} disputed ("{settled.suggested}"): only {said} say anything else here. '
        "Take its batch back."
    )


def _open(session: Session, model: Model, update: Update) -> Iterator[tuple[Update, Dispute]]:
    """Disputes of earlier held updates with other batches that nobody has settled, the oldest first."""
    held = (Update.model_id == model.id) & (Update.verdict == Verdict.HELD) & (Update.id != update.id)
    latest = session.scalars(select(Update).where(held).order_by(Update.id.desc()).limit(LOOKED_BACK))
    for opened in reversed(list(latest)):
        if set(opened.batches) & set(update.batches) or opened.version_id is None or _by_person(session, opened):
            continue
        report = session.get_one(Version, opened.version_id).report
        past = select(UpdateEvent).where(UpdateEvent.update_id == opened.id, UpdateEvent.kind.startswith("dispute "))
        over = {(e.detail["class"], e.detail["suggested"]) for e in session.scalars(past)}
        for dispute in Report.model_validate(report).batch.disputes if report else ():
            if (dispute.class_, dispute.suggested) not in over:
                yield opened, dispute


def _by_person(session: Session, opened: Update) -> bool:
    """Whether somebody promoted the version or took a batch of it back."""
    promoted = session.scalar(select(Deployment.id).where(Deployment.version_id == opened.version_id).limit(1))
    return promoted is not None or any(session.get_one(Batch, b).retracted_at is not None for b in opened.batches)


def _by(session: Session, update: Update) -> str | None:
    """Under which key it was ordered."""
    ordered = select(UpdateEvent).where(UpdateEvent.update_id == update.id, UpdateEvent.kind == "queued")
    event = session.scalar(ordered.order_by(UpdateEvent.id).limit(1))
    return str(event.detail.get("by")) if event is not None else None
