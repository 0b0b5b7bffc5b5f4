"""Numbers: errors of earlier versions are remembered, and batches that were stopped, which a later one may be like."""

from __future__ import annotations

from sqlalchemy.orm import Session

from service.contract.enums import Outcome
from service.contract.reports.number_report import NumberReport
from service.contract.targets import NUMBER_POLICY
from service.registry.sql.tables import Model, Update, Version
from service.worker.assignment import Lineage
from service.worker.parent.kinds.kind import Kind
from service.worker.parent.remembered import remembered
from service.worker.parent.stopped import learn_again, still_waiting, stopped_before


class NumberKind(Kind[NumberReport]):
    def lineage(self, session: Session, model: Model, update: Update, base: Version) -> Lineage:
        """Tested errors of promoted versions, figures of batches that were stopped."""
        policy = NUMBER_POLICY.as_stored(model.gate)
        return Lineage(
            bits=remembered(session, model, max(policy.slow_loss.versions, policy.recent_batches)),
            stopped=[report.batch.figures for _, report in stopped_before(session, model, update)],
        )

    def outlook(self, session: Session, model: Model, update: Update, report: NumberReport) -> str:
        """Of one that is stopped, which batches before it are not learned, either."""
        return "" if report.gate.outcome is Outcome.PASS else still_waiting(session, model, update)

    def went_live(self, session: Session, model: Model, update: Update, report: NumberReport) -> None:
        """Batches that were stopped and that this one is like are judged once more."""
        if report.batch.follows:
            learn_again(session, model, update)
