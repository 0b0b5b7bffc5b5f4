"""One update: how far it is while it runs, and what became of it."""

from __future__ import annotations

from datetime import UTC, datetime

from service.contract.enums import UpdateState
from service.contract.resources import Update
from service.web.charts.losses import losses
from service.web.client import address
from service.web.verdicts import COLOURS, short
from service.web.view import Answer, Route, Shown, View

UNFINISHED = (UpdateState.QUEUED, UpdateState.RUNNING)


def show(view: View) -> Answer:
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
    }
    return Shown("update.html", facts, json=address("updates", update.id))


def seconds_left(update: Update, now: datetime) -> float | None:
    """About how long its training goes on, if it goes on as it did; None in any other phase."""
    progress = update.progress
    if progress is None or progress.phase != "training" or not progress.done or update.started_at is None:
        return None
    return (now - update.started_at).total_seconds() * (progress.total - progress.done) / progress.done


ROUTE = Route("/updates/{update}", show)
