"""Rows that wait to be learned, by model, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from sqlalchemy.orm import Session

from service.registry import models
from service.telemetry import metrics
from service.telemetry.metrics import Family, Sample

REST = 100
"""After a look so many times as long as it took pass until the next: of many batches it takes a hundredth of a core."""


class WaitingRows:
    """How many rows wait, of the models that figures name, as of the last look."""

    def __init__(self) -> None:
        self._rows: Mapping[str, int] = {}
        self._mark: int | None = None
        self._next = 0.0

    def is_due(self, mark: int) -> bool:
        """Whether something was committed since the last look, and that is long enough ago. mark: of the database."""
        return mark != self._mark and time.monotonic() >= self._next

    def refresh(self, session: Session, mark: int) -> None:
        """Looks, where it is due. mark: of the database, before the session began."""
        if not self.is_due(mark):
            return
        began = time.monotonic()
        self._rows = models.waiting_rows(session, lambda name: metrics.NAMED.label(name) != metrics.OTHER)
        self._mark, self._next = mark, began + (1 + REST) * (time.monotonic() - began)

    def families(self) -> Iterator[Family]:
        """The rows by model."""
        samples = [Sample((("model", name),), rows) for name, rows in self._rows.items()]
        yield Family("tsuika_pending_rows", "gauge", "Rows that wait to be learned.", samples)
