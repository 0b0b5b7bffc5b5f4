"""Conditions that several statements put on rows."""

from __future__ import annotations

from sqlalchemy import exists
from sqlalchemy.orm import aliased

from service.contract.enums import DeploymentKind, UpdateState
from service.registry.sql.tables import Batch, Deployment, Update, Version

_undoing = aliased(Deployment)

OPEN = Update.state.in_((UpdateState.QUEUED, UpdateState.RUNNING))
"""Updates that have not ended."""
RETRACTED = Batch.retracted_at.is_not(None)
"""Batches that were taken back."""
WAITING = Batch.in_live.is_(False) & ~RETRACTED & Batch.rejected_by.is_(None) & (Batch.kept_rows == Batch.rows)
"""Batches that wait to be learned. An index holds few others."""
THERE = Version.erased_at.is_(None)
"""Versions that were neither erased nor removed."""
STANDING = (Deployment.kind == DeploymentKind.PROMOTE) & ~exists().where(_undoing.undoes == Deployment.id)
"""Promotions that no rollback has undone."""
