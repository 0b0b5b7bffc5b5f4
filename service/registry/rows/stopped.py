"""Batches that the gate stopped: which versions learned them and did not go live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import Session, aliased

from service.contract.enums import Outcome, UpdateKind, Verdict
from service.registry.sql.tables import NamedBatch, Update, Version

STOPPED = Version.report["gate"]["outcome"].as_string().is_distinct_from(Outcome.PASS)
"""Of versions that wait for a person: a version that passed every check does, too, where people promote."""
_other = aliased(NamedBatch)


def by(session: Session, ids: Sequence[str]) -> dict[str, int]:
    """The latest version that learned each of these batches and was held or rejected, or waits for a person."""
    return dict(session.execute(_latest(ids)).all())


def alone(session: Session, ids: Sequence[str]) -> dict[str, int]:
    """The latest version of each of these batches that learned it alone and that the gate stopped: what was learned
    together was stopped together, whichever of it was bad."""
    beside = exists().where(_other.update_id == NamedBatch.update_id, _other.batch_id != NamedBatch.batch_id)
    query = _latest(ids).where(STOPPED, Update.kind == UpdateKind.LEARN, ~beside)
    return dict(session.execute(query).all())


def by_gate(session: Session, version_id: int) -> bool:
    """Whether the gate stopped a version that is held or rejected: one that passed every check waits for a person."""
    return bool(session.scalar(select(STOPPED).where(Version.id == version_id)))


def _latest(ids: Sequence[str]) -> Select[Any, Any]:
    query = select(NamedBatch.batch_id, func.max(Version.number)).join(Update, Update.id == NamedBatch.update_id)
    query = query.join(Version, Version.id == Update.version_id).group_by(NamedBatch.batch_id)
    judged = Update.verdict.in_((Verdict.HELD, Verdict.REJECTED))
    return query.where(judged, NamedBatch.batch_id.in_(ids))
