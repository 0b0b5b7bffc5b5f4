"""What a lineage remembers, for the gate to compare with; each kind of target its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy.orm import Session

from service.contract.targets import CLASS_POLICY, NUMBER_POLICY
from service.contract.targets.class_target import ClassTarget
from service.contract.targets.kind import TargetKind
from service.contract.targets.number_target import NumberTarget
from service.learning.evaluation.assessment import ages
from service.registry import deployments, models, versions
from service.registry.sql.tables import Model, Update, Version
from service.worker.assignment import Bits, Lineage
from service.worker.parent.stopped import stopped_before


def lineage(session: Session, model: Model, update: Update, base: Version | None) -> Lineage:
    """What is compared with, newest last; nothing where there is no base."""
    return LINEAGES[type(models.target_of(model))](session, model, update, base) if base is not None else Lineage()


def _of_classes(session: Session, model: Model, update: Update, base: Version) -> Lineage:
    """Answers of promoted versions, best accuracies, evidence of batches."""
    policy = CLASS_POLICY.as_stored(model.gate)
    return Lineage(
        bits=_remembered(session, model, policy.slow_loss.versions),
        evidence=versions.evidence(session, base, policy.contradicts_class.pooled_batches - 1),
    )


def _of_numbers(session: Session, model: Model, update: Update, base: Version) -> Lineage:
    """Tested errors of promoted versions, figures of batches that were stopped."""
    policy = NUMBER_POLICY.as_stored(model.gate)
    return Lineage(
        bits=_remembered(session, model, max(policy.slow_loss.versions, policy.recent_batches)),
        stopped=[report.batch.figures for _, report in stopped_before(session, model, update)],
    )


LINEAGES: Mapping[type[TargetKind], Callable[[Session, Model, Update, Version], Lineage]] = {
    ClassTarget: _of_classes,
    NumberTarget: _of_numbers,
}


def _remembered(session: Session, model: Model, last: int) -> list[Bits]:
    """What promoted versions of spaced ages, and the last one that a person promoted, left behind; oldest first."""
    standing = versions.promoted(session, model, deployments.BY_GATE)
    by_person = versions.promoted_by_person(session, model, (deployments.BY_GATE, deployments.BY_ORDER))
    positions = {age - 1 for age in ages(last, len(standing))} | {k for k, v in enumerate(standing) if v == by_person}
    chosen = [standing[k] for k in sorted(positions, reverse=True)]
    return [Bits(version=number, digest=digest) for number, digest in versions.bits(session, chosen)]
