"""Classes: answers of earlier versions are remembered, and batches that contradict them open disputes."""

from __future__ import annotations

from sqlalchemy.orm import Session

from service.contract.reports.class_report import Report
from service.contract.targets import CLASS_POLICY
from service.registry import lineage
from service.registry.sql.tables import Model, Update, Version
from service.worker.assignment import Lineage, Shown
from service.worker.parent import disputes
from service.worker.parent.kinds.kind import Kind
from service.worker.parent.remembered import remembered


class ClassKind(Kind[Report]):
    def lineage(self, session: Session, model: Model, update: Update, base: Version) -> Lineage:
        """Answers of promoted versions, best accuracies, evidence of batches."""
        policy = CLASS_POLICY.as_stored(model.gate)
        rule = policy.contradicts_class
        return Lineage(
            bits=remembered(session, model, policy.slow_loss.versions),
            evidence=lineage.evidence(session, base, rule.pooled_batches - 1),
            shown=[
                Shown(version=of.version, rows=of.rows, conflicts=of.conflicts, evidence=of.evidence)
                for of in lineage.shown(session, base, update.batches, rule.lasting_batches)
            ],
        )

    def settled(self, session: Session, model: Model, update: Update, report: Report, held: bool) -> Report:
        return disputes.with_disputes(session, model, update, report, held)

    def outlook(self, session: Session, model: Model, update: Update, report: Report) -> str:
        return disputes.outlook(session, model, update, report)
