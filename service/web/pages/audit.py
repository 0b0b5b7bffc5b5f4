"""Who changed what, when and why."""

from __future__ import annotations

from service.contract.enums import Action
from service.contract.keys import AuditEntry
from service.contract.resources import Model
from service.contract.resources import Page as Listed
from service.web.client import Refused, address
from service.web.forms import faults
from service.web.view import Answer, Route, Shown, View
from service.web.words import Words

ENTRIES = 50
"""Entries a page."""
COUNTED = {
    Action.CLASSES_ADDED,
    Action.BATCH_RECEIVED,
    Action.UPDATE_QUEUED_AGAIN,
    Action.UPDATE_SUCCEEDED,
    Action.DISPUTE_OPENED,
    Action.VERSION_PROMOTED_BY_GATE,
    Action.VERSION_PROMOTED_BY_RETRACTION,
    Action.VERSION_ERASED,
    Action.ALIAS_PUT,
    Action.KEY_REPLACED,
}
"""Changes whose reason is the service's own, and not the words of a person."""

PLACES = {
    "batch": "/models/{model}/batches/{subject}",
    "dispute": "/models/{model}/disputes/{subject}",
    "update": "/updates/{subject}",
    "version": "/models/{model}/versions/{subject}",
}
"""The page of what a change is of, by the first word of the change."""


def show(view: View) -> Answer:
    """Changes of state, newest first; of one model, where the query names it."""
    model, wrong, status = view.query.get("model", "").strip(), {}, 200
    of = {"model": model} if model else {}
    entries: Listed[AuditEntry] = Listed(items=[])
    try:
        entries = view.api.get(
            address("audit"), Listed[AuditEntry], limit=ENTRIES, cursor=view.query.get("cursor"), **of
        )
    except Refused as refused:
        if not refused.problem.errors:
            raise
        wrong, status = faults(refused.problem), refused.problem.status
    facts = {
        "entries": [(entry, reason(entry, view.words), _place(entry)) for entry in entries.items],
        "there": {name for name in {entry.model for entry in entries.items} if name and _is_there(view, name)},
        "next_cursor": entries.next_cursor,
        "chosen": model,
        "faults": wrong,
    }
    return Shown("audit.html", facts, json=view.same(address("audit"), **of), status=status)


def reason(entry: AuditEntry, words: Words) -> str:
    """What the service says of a change; "" where a person does, or there are no words for it."""
    if entry.action == Action.UPDATE_FAILED and entry.reason:
        return words.failure(entry.reason)
    return words.said(entry.reason) if entry.action in COUNTED else ""


def _place(entry: AuditEntry) -> str:
    """The page of what a change is of; "" where it has none."""
    place = PLACES.get(entry.action.partition(".")[0])
    return place.format(model=entry.model, subject=entry.subject) if place and entry.model and entry.subject else ""


def _is_there(view: View, model: str) -> bool:
    """Whether a model has pages: one that was archived has none."""
    return view.api.find(address("models", model), Model) is not None


ROUTE = Route("/audit", show, reads=["GET /v1/audit"])
