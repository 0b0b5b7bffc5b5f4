"""What a running update saves of its trainings: its row names the last save, and what no row names is deleted."""

from __future__ import annotations

import logging

from service.errors import Busy, NotWritable
from service.registry import leases
from service.registry.sql.tables import Update
from service.runtime import Runtime
from service.storage.artifacts import model_area
from service.upkeep import gc

log = logging.getLogger("tsuika.worker")


class SavedTrainings:
    """The saves of one attempt, and the one that it began with."""

    def __init__(self, runtime: Runtime, update: Update) -> None:
        self._runtime, self._update = runtime, update
        self._digests = {update.trainings} - {None}

    def __call__(self, digest: str) -> None:
        """Has the row of the update name a save, which is in the store. Raises LeaseLost: a worker that lost its lease
        leaves no save that another would go on from."""
        self._digests.add(digest)
        try:
            with self._runtime.database.writing() as session:
                leases.save(session, self._update.id, self._update.fence, digest)
        except (Busy, NotWritable) as late:
            log.warning("update %s: a save is not named: %s", self._update.id, late.detail)
        self.tidy()

    def tidy(self) -> None:
        """Deletes the saves that no row names: earlier ones, and all once the update has ended."""
        area = model_area(self._update.model_id)
        gc.discard(self._runtime, {(area, digest) for digest in self._digests if digest is not None})
