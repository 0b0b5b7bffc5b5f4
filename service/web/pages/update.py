"""One update: how far it is while it runs, and what became of it; and all updates of a model."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from service.contract.enums import UpdateKind, UpdateState
from service.contract.resources import Page as Listed
from service.contract.resources import Update
from service.web.charts.losses import losses
from service.web.client import address
from service.web.pages.data.batches import others, stopped, unstopped
from service.web.reports.reasons import method_sentence, note_sentences, taken_back, verdict_sentence
from service.web.reports.verdicts import COLOURS, short
from service.web.view import Answer, Moved, Route, Shown, View, asks_again
from service.web.words import Words

UNFINISHED = (UpdateState.QUEUED, UpdateState.RUNNING)
RETRIED = (UpdateState.FAILED, UpdateState.CANCELLED)
UPDATES_A_PAGE = 50


def show(view: View) -> Answer:
    """The update as it is now; a browser loads it again until it has ended."""
    update = view.api.get(address("updates", view.params["update"]), Update)
    curve = update.progress.losses if update.progress is not None else []
    ended = update.kind is UpdateKind.RETRACT and update.state not in UNFINISHED
    waiting = unstopped(view, update.model) if ended else []
    facts = {
        "update": update,
        "waiting": waiting,
        "waiting_rows": sum(batch.rows for batch in waiting),
        "unfinished": update.state in UNFINISHED,
        "chart": losses(curve, view.words) if curve else None,
        "counted": update.progress is not None and update.progress.total > 1,
        "left": seconds_left(update, datetime.now(UTC)),
        "short": _became(update, view.words),
        "why": verdict_sentence(update.verdict, update.version, update.base_version, update.report, view.words),
        "notes": note_sentences(update.report, view.words) if update.report is not None else [],
        "corrected": _corrected(update, view.words),
        "stopped": stopped(view, update),
        "others": others(view, update),
        "taken_back": taken_back(update.report, view.words),
        "method": method_sentence(update, update.report, view.words),
        "colour": _colour(update),
        "empty": update.state is UpdateState.SUCCEEDED and update.verdict is None,
        "retried": update.state in RETRIED,
        "faults": view.faults,
    }
    return Shown("update.html", facts, json=address("updates", update.id), status=view.status)


def show_all(view: View) -> Answer:
    """Those of a model, newest first."""
    model = view.model()
    path = view.path("updates")
    listed = view.api.get(path, Listed[Update], limit=UPDATES_A_PAGE, cursor=view.query.get("cursor"))
    lines = [_line(view, update) for update in listed.items]
    return Shown(
        "updates.html", {"model": model, "lines": lines, "next_cursor": listed.next_cursor}, json=view.same(path)
    )


def _line(view: View, update: Update) -> tuple[Update, str, str, str]:
    """An update, what became of it in a few words, their colour, and what it corrects."""
    return update, _became(update, view.words), _colour(update), _corrected(update, view.words)


def _corrected(update: Update, words: Words) -> str:
    """Which batch it corrects, and how many rows; "" of any other."""
    made = update.corrected
    if made is None:
        return ""
    counts = (("changed", made.changed), ("taken_out", made.taken_out))
    what = [words(f"update.{name}", n=n) for name, n in counts if n]
    return words("update.corrected", batch=made.batch, what=what)


def _became(update: Update, words: Words) -> str:
    if update.verdict is not None:
        return short(update.verdict, update.report, words)
    if update.state is not UpdateState.SUCCEEDED:
        return words(f"update.{update.state}")
    if update.challenges is not None:
        return words("update.lost")
    return words("update.taken_back" if update.kind is UpdateKind.RETRACT else "update.succeeded")


def _colour(update: Update) -> str:
    if update.verdict is not None:
        return COLOURS[update.verdict]
    return "bad" if update.state is UpdateState.FAILED else ""


def ask_cancel(view: View) -> Answer:
    """Says what cancelling changes."""
    update = view.api.get(address("updates", view.params["update"]), Update)
    facts = {
        "update": update,
        "unfinished": update.state in UNFINISHED,
        "reason": view.form.get("reason", ""),
        "faults": view.faults,
    }
    return Shown("cancel.html", facts, json=address("updates", update.id), status=view.status)


@asks_again(ask_cancel)
def cancel(view: View) -> Answer:
    """Stops the update, and shows how it stops."""
    return _ordered(view, "cancel", {"reason": view.form.get("reason", "")})


@asks_again(show)
def retry(view: View) -> Answer:
    """Queues the update again."""
    return _ordered(view, "retry")


def _ordered(view: View, what: str, order: dict[str, str] | None = None) -> Answer:
    """Has something done with the update, and shows it."""
    update = view.params["update"]
    view.api.post(address("updates", update, what), Update, order)
    return Moved(f"/updates/{update}")


def seconds_left(update: Update, now: datetime) -> int | None:
    """About how many seconds its training goes on, if it goes on as it did; None in any other phase."""
    progress = update.progress
    if progress is None or progress.phase != "training" or not progress.done or update.started_at is None:
        return None
    passed = (now - update.started_at).total_seconds()
    return math.ceil(passed * (progress.total - progress.done) / progress.done)


ROUTES = (
    Route("/models/{model}/updates", show_all),
    Route("/updates/{update}", show),
    Route("/updates/{update}/cancel", ask_cancel, cancel, calls=["POST /v1/updates/{update}/cancel"]),
    Route("/updates/{update}/retry", show, retry, calls=["POST /v1/updates/{update}/retry"]),
)
