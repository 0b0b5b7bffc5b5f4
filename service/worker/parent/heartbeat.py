"""What the parent does while its child learns: prolong the lease, store progress, and look whether to stop."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from service.errors import Busy, NotWritable
from service.registry import leases
from service.registry.sql.tables import Update
from service.runtime import Runtime
from service.tuning.messages import Progress
from service.worker.parent.child_process import Yielding

log = logging.getLogger("tsuika.worker")

MOST_POINTS = 100


class Stopping(Exception):
    """The worker was told to stop in the middle of an update."""


class Heartbeat:
    """The tick of `WarmChild.run` for an update: True asks it to stop. Raises Stopping, Yielding, LeaseLost."""

    def __init__(self, runtime: Runtime, update: Update, stop: threading.Event) -> None:
        self._runtime, self._update, self._stop = runtime, update, stop
        self._beaten_at = self._looked_at = time.monotonic()
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


class LossCurve:
    """The losses of the training at hand: at most MOST_POINTS epochs, spread evenly, with the first and the last one,
    so that its row can be written once a second. Another training begins anew, and so does one that is done again."""

    def __init__(self) -> None:
        self._latest: Progress | None = None
        self._points: list[dict[str, Any]] = []

    def add(self, progress: Progress) -> None:
        """Takes in the losses of a message, if it has any; the same message again adds nothing."""
        before = self._latest
        if progress.loss is None or progress == before:
            return
        if before is not None and (progress.phase != before.phase or progress.epoch <= before.epoch):
            self._points = []
        self._latest = progress
        self._points.append(
            {"epoch": progress.epoch, "training": _rounded(progress.loss), "kept_back": _rounded(progress.kept_loss)}
        )
        if len(self._points) > MOST_POINTS:
            epochs = [point["epoch"] for point in self._points]
            del self._points[min(range(1, MOST_POINTS), key=lambda k: epochs[k + 1] - epochs[k - 1])]

    def beside(self, progress: Progress) -> dict[str, Any]:
        """Where an update stands, as its row keeps it."""
        facts = {"phase": progress.phase, "done": progress.done, "total": progress.total}
        return {**facts, "losses": self._points.copy()} if self._points else facts


def _rounded(loss: float | None) -> float | None:
    """To four digits: they are looked at."""
    return None if loss is None else float(f"{loss:.4g}")
