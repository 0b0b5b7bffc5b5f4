"""Figures of the updates that a worker has ended, lost and rescued, for Prometheus."""

from __future__ import annotations

from service.contract.enums import Outcome, UpdateState, Verdict
from service.registry import states
from service.registry.sql.tables import Model, Update, Version
from service.runtime import Runtime
from service.telemetry.metrics import Counter, Histogram
from service.telemetry.tracing import Span

UPDATE_SECONDS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
"""Bounds of the buckets of the durations of updates."""
UPDATES = Counter(
    "tsuika_updates_total",
    "Updates that this process has ended: the verdict, or ready where all that is missing is a person; or failed, "
    "cancelled, challenger (one that did not win), none where no version came of it.",
    ["model", "method", "verdict"],
)
SECONDS = Histogram(
    "tsuika_update_duration_seconds", "Time of updates that ended, from the claim on.", ["method"], UPDATE_SECONDS
)
LEASES_LOST = Counter("tsuika_lease_losses_total", "Updates that another worker took while this one had them.")
RESCUED = Counter("tsuika_rescued_updates_total", "Updates that were queued again: their worker was not heard of.")


def count(runtime: Runtime, update_id: str, seconds: float, span: Span) -> None:
    """Counts an update, if it has ended, and tells the span how."""
    with runtime.database.reading() as session:
        update = session.get_one(Update, update_id)
        name = session.get_one(Model, update.model_id).name
        made = session.get(Version, update.version_id) if update.version_id is not None else None
        passed = made is not None and (made.report or {}).get("gate", {}).get("outcome") == Outcome.PASS
    if not states.is_final(update):
        return
    method = (update.method or update.requested_method or {}).get("name", "")
    verdict = _ended(update, passed)
    UPDATES.add(name, method, verdict)
    SECONDS.observe(seconds, method)
    span.tell(failed=update.state == UpdateState.FAILED, tsuika__method=method, tsuika__verdict=verdict)


def _ended(update: Update, passed: bool) -> str:
    """How an update ended. passed: whether its version passed every check"""
    if update.verdict is not None:
        return "ready" if passed and update.verdict == Verdict.HELD else update.verdict
    if update.state != UpdateState.SUCCEEDED:
        return update.state
    return "none" if update.challenges is None else "challenger"
