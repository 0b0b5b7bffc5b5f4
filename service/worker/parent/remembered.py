"""What promoted versions left behind, for the gate to compare with."""

from __future__ import annotations

from sqlalchemy.orm import Session

from service.learning.evaluation.assessment import ages
from service.registry import deployments, standing
from service.registry.sql.tables import Model
from service.worker.assignment import Bits


def remembered(session: Session, model: Model, last: int) -> list[Bits]:
    """What promoted versions of spaced ages, and the last one that a person promoted, left behind; oldest first."""
    ids = standing.promoted(session, model, deployments.BY_GATE)
    by_person = standing.promoted_by_person(session, model, (deployments.BY_GATE, deployments.BY_ORDER))
    positions = {age - 1 for age in ages(last, len(ids))} | {k for k, v in enumerate(ids) if v == by_person}
    chosen = [ids[k] for k in sorted(positions, reverse=True)]
    return [Bits(version=number, digest=digest) for number, digest in standing.bits(session, chosen)]
