"""Who changed what, when and why."""

from __future__ import annotations

from service.contract.keys import AuditEntry
from service.contract.resources import Page as Listed
from service.web.client import Refused, address
from service.web.forms import faults
from service.web.view import Answer, Route, Shown, View

ENTRIES = 50
"""Entries a page."""


def show(view: View) -> Answer:
    """Changes of state, newest first; of one model, where the query names it."""
    model, wrong, status = view.query.get("model", "").strip(), {}, 200
    entries: Listed[AuditEntry] = Listed(items=[])
    try:
        entries = view.api.get(
            address("audit"),
            Listed[AuditEntry],
            limit=ENTRIES,
            cursor=view.query.get("cursor"),
            model=model or None,
        )
    except Refused as refused:
        if not refused.problem.errors:
            raise
        wrong, status = faults(refused.problem), refused.problem.status
    facts = {"entries": entries.items, "next_cursor": entries.next_cursor, "chosen": model, "faults": wrong}
    return Shown("audit.html", facts, json=address("audit"), status=status)


ROUTE = Route("/audit", show)
