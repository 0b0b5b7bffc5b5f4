"""Figures of the updates that a worker has ended, lost and rescued, for Prometheus."""

from __future__ import annotations

from sqlalchemy.orm import Session

from service.contract.enums import UpdateState, Verdict
from service.registry import states
from service.registry.rows import stopped
from service.registry.sql.tables import Model, Update
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
        verdict = _ended(session, update)
    if not states.is_final(update):
        return
    method = (update.method or update.requested_method or {}).get("name", "")
    UPDATES.add(name, method, verdict)
    SECONDS.observe(seconds, method)
    span.tell(failed=update.state == UpdateState.FAILED, tsuika__method=method, tsuika__verdict=verdict)


def _ended(session: Session, update: Update) -> str:
    """How an update ended."""
    made, is_held = update.version_id, update.verdict == Verdict.HELD
    if made is not None and is_held and not stopped.by_gate(session, made):
        return "ready"
    if update.verdict is not None:
        return update.verdict
    if update.state != UpdateState.SUCCEEDED:
        return update.state
    return "none" if update.challenges is None else "challenger"
