"""Disputes: a batch contradicts what the model is sure of, and a later batch, or a person, settles which is right."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from service.contract.enums import UpdateKind
from service.contract.policy import GatePolicy
from service.contract.reports.class_report import BatchEvidence, ClassEvidence, Report, Settled
from service.contract.targets import CLASS_POLICY
from service.learning.statistics import at_least
from service.learning.wording import chance
from service.registry import disputes, states
from service.registry.sql.tables import Batch, Dispute, Model, Update


def with_disputes(session: Session, model: Model, update: Update, report: Report, held: bool) -> Report:
    """The report with the disputes that its batches settle, and those that they open where the version is held."""
    settled = _settle(session, model, update, report.batch)
    notes = [*report.batch.notes, *map(_sentence, settled)]
    confirmed = {(each.class_, each.suggested) for each in settled if each.verdict == "confirmed"}
    opened = [each for each in report.batch.disputes if held and (each.class_, each.suggested) not in confirmed]
    disputes.open_all(session, model, update, opened)
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
    for dispute, opened in disputes.open_before(session, model, update):
        if (evidence := shown.evidence.get(dispute.class_)) is None:
            continue
        independent = _independent(session, opened, update, policy)
        if (end := _settled(dispute, evidence, policy, independent, source)) is not None:
            end = end.model_copy(update={"batches": opened.batches})
            disputes.settle(session, dispute, end.verdict, update, _sentence(end))
            facts = end.model_dump(mode="json", exclude={"source", "update", "verdict", "batches"})
            states.note(session, opened, f"dispute {end.verdict}", by_update=update.id, batches=update.batches, **facts)
            settled.append(end)
    return settled


def _independent(session: Session, opened: Update, update: Update, policy: GatePolicy) -> bool:
    """Whether the batches of an update owe nothing to those of another: other keys sent them, or they came so many
    hours later. Without keys time alone shows it, for a source can be named by anybody."""
    first, second = disputes.senders(session, opened), disputes.senders(session, update)
    if first is not None and second is not None and first.isdisjoint(second):
        return True
    return update.created_at - opened.created_at >= timedelta(hours=policy.disputes.hours).total_seconds()


def outlook(session: Session, model: Model, update: Update, report: Report) -> str:
    """A sentence on what will settle the disputes that a report opens; empty where it opens none."""
    if not report.batch.disputes:
        return ""
    hours = CLASS_POLICY.as_stored(model.gate).disputes.hours
    later = f"{hours:g} hours later or more" if hours else "later"
    keyed = disputes.senders(session, update) is not None
    when = f"under another key, or {later}," if keyed else later
    return f" A batch that says the same {when} confirms the labels; rows that agree with the live version refute them."


def _sentence(settled: Settled) -> str:
    """How a dispute was settled, and what to do then."""
    share = (
        f'{f"{settled.rows:,}" if settled.rows else "none"} of {settled.sure:,} rows that are surely "{settled.class_}"'
    )
    if settled.verdict == "confirmed":
        return (
            f'Confirmed what update {settled.update} disputed: {share} say "{settled.suggested}" here, too '
            f"({chance(settled.p)}). If the world has changed, promote its version and take back the older batches "
            "that say otherwise."
        )
    of = settled.batches
    them = f"its batch {of[0]}" if len(of) == 1 else f"its {len(of):,} batches"
    return (
        f'Refuted what update {settled.update} disputed (most often as "{settled.suggested}"): '
        f"{'only ' * bool(settled.rows)}{share} say anything else here. Take back {them}."
    )


def _settled(
    opened: Dispute, evidence: ClassEvidence, policy: GatePolicy, independent: bool, source: str | None
) -> Settled | None:
    """Confirmed or refuted, by what a later batch shows of the class; None where neither.

    Rows of another key, or of another day, that say the same are no slip of one sender: then the concept has moved, or
    two people are wrong alike. Enough rows of the class that agree with the model refute it, whoever sent them.
    """
    rule, rows, alike = policy.disputes, evidence.confident, evidence.toward.get(opened.suggested, 0)
    facts: dict[str, Any] = {"update": opened.update_id, "class_": opened.class_, "suggested": opened.suggested}
    facts |= {"source": source, "sure": rows}
    p = at_least(alike, rows, evidence.expected, evidence.tested)
    if independent and rows >= policy.contradicts_class.min_rows and p < policy.contradicts_class.p:
        return Settled(verdict="confirmed", rows=alike, p=p, **facts)
    if rows >= rule.min_rows and evidence.conflicts < rule.max_share * rows:
        p = at_least(evidence.conflicts, rows, evidence.expected, evidence.tested)
        return Settled(verdict="refuted", rows=evidence.conflicts, p=p, **facts)
    return None
