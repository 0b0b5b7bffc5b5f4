"""One update: how far it is while it runs, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from service.contract.enums import UpdateState
from service.contract.resources import Update
from service.web.charts.losses import losses
from service.web.client import Refused, address
from service.web.forms import faults
from service.web.verdicts import COLOURS, short
from service.web.view import Answer, Moved, Route, Shown, View

UNFINISHED = (UpdateState.QUEUED, UpdateState.RUNNING)
RETRIED = (UpdateState.FAILED, UpdateState.CANCELLED)


def show(view: View, wrong: dict[str, str] | None = None, status: int = 200) -> Answer:
    """The update as it is now; a browser loads it again until it has ended."""
    update = view.api.get(address("updates", view.params["update"]), Update)
    curve = update.progress.losses if update.progress is not None else []
    facts = {
        "update": update,
        "unfinished": update.state in UNFINISHED,
        "chart": losses(curve, view.words) if curve else None,
        "left": seconds_left(update, datetime.now(UTC)),
        "short": short(update.verdict, update.report, view.words) if update.verdict is not None else "",
        "colour": COLOURS[update.verdict] if update.verdict is not None else "bad",
        "retried": update.state in RETRIED,
        "faults": wrong or {},
    }
    return Shown("update.html", facts, json=address("updates", update.id), status=status)


def ask_cancel(view: View, wrong: dict[str, str] | None = None, status: int = 200) -> Answer:
    """Says what cancelling changes."""
    update = view.api.get(address("updates", view.params["update"]), Update)
    facts = {"update": update, "unfinished": update.state in UNFINISHED, "faults": wrong or {}}
    return Shown("cancel.html", facts, json=address("updates", update.id), status=status)


def cancel(view: View) -> Answer:
    """Stops the update, and shows how it stops."""
    return _ordered(view, "cancel", ask_cancel)


def retry(view: View) -> Answer:
    """Queues the update again."""
    return _ordered(view, "retry", show)


def _ordered(view: View, what: str, again: Callable[[View, dict[str, str], int], Answer]) -> Answer:
    """Has something done with the update and shows it; the page before, with what is wrong, where the API refuses."""
    update = view.params["update"]
    try:
        view.api.post(address("updates", update, what), Update)
    except Refused as refused:
        return again(view, faults(refused.problem), refused.problem.status)
    return Moved(f"/updates/{update}")


def seconds_left(update: Update, now: datetime) -> float | None:
    """About how long its training goes on, if it goes on as it did; None in any other phase."""
    progress = update.progress
    if progress is None or progress.phase != "training" or not progress.done or update.started_at is None:
        return None
    return (now - update.started_at).total_seconds() * (progress.total - progress.done) / progress.done


ROUTES = (
    Route("/updates/{update}", show),
    Route("/updates/{update}/cancel", ask_cancel, cancel),
    Route("/updates/{update}/retry", show, retry),
)
