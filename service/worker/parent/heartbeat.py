"""What the parent does while its child learns: prolong the lease, store progress, and look whether to stop."""

from __future__ import annotations

import logging
import threading
import time

from service.errors import Busy, NotWritable
from service.registry import leases
from service.registry.sql.tables import Update
from service.runtime import Runtime
from service.tuning.messages import Progress
from service.worker.parent.child_process import Yielding
from service.worker.parent.loss_curve import LossCurve

log = logging.getLogger("tsuika.worker")


class Stopping(Exception):
    """The worker was told to stop in the middle of an update."""


class Heartbeat:
    """The tick of `WarmChild.run` for an update: True asks it to stop. Raises Stopping, Yielding, LeaseLost."""

    def __init__(self, runtime: Runtime, update: Update, stop: threading.Event) -> None:
        self._runtime, self._update, self._stop = runtime, update, stop
        self._beaten_at, self._looked_at = time.monotonic(), 0.0
        self._stored: Progress | None = None
        self._curve = LossCurve()

    def __call__(self, progress: Progress | None) -> bool:
        if progress is not None:
            self._curve.add(progress)
        if self._stop.is_set():
            raise Stopping
        at, settings = time.monotonic(), self._runtime.settings
        changed = self._runtime.work.is_set()
        if not changed and at - self._looked_at < settings.poll_seconds:
            return False
        if changed:
            self._runtime.work.clear()
        self._looked_at, since = at, at - self._beaten_at
        fresh = progress is not None and progress != self._stored and since >= min(1.0, settings.beat_seconds)
        if fresh or since >= settings.beat_seconds:
            try:
                facts = None if progress is None else self._curve.beside(progress)
                with self._runtime.database.writing() as session:
                    cancel = leases.beat(session, self._update.id, self._update.fence, settings.lease_seconds, facts)
            except (Busy, NotWritable) as late:
                log.warning("update %s: a heartbeat comes late: %s", self._update.id, late.detail)
                return False
            self._beaten_at, self._stored = at, progress
            self._runtime.changed()
            return cancel
        try:
            with self._runtime.database.reading() as session:
                if self._update.challenges is not None and leases.somebody_waits(session):
                    raise Yielding("An update waits that somebody asked for.")
                return leases.cancel_requested(session, self._update.id)
        except (Busy, NotWritable):  # the database is away; it will be asked again
            return False
