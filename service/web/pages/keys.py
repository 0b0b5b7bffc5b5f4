"""Keys of callers: the list, making one, whose secret is shown once, and revoking one."""

from __future__ import annotations

import re
from typing import Any

from service.contract.enums import KeyScope
from service.contract.keys import Key, NewKey
from service.contract.resources import Page as Listed
from service.web.client import Refused, address
from service.web.forms import faults
from service.web.view import Answer, Moved, Route, Shown, View

KEYS = 50
"""Keys a page."""
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def show(view: View) -> Answer:
    """The list, newest first, and the form of a new one."""
    return _page(view)


def make(view: View) -> Answer:
    """Makes a key and shows its secret, on this answer alone."""
    form, end = view.form, view.form.get("expires_at", "").strip()
    order: dict[str, Any] = {
        "name": form.get("name", "").strip(),
        "scopes": [scope for scope in KeyScope if form.get(f"scope-{scope}")],
        "models": form.get("models", "").replace(",", " ").split() or None,
        "expires_at": f"{end}T00:00:00Z" if DAY.fullmatch(end) else end or None,
    }
    try:
        made = view.api.post(
            address("keys"), NewKey, {name: value for name, value in order.items() if value is not None}
        )
    except Refused as refused:
        return _page(view, wrong=faults(refused.problem), status=refused.problem.status)
    return _page(view, made=made)


def ask(view: View, wrong: dict[str, str] | None = None, status: int = 200) -> Answer:
    """Says what revoking changes."""
    key = view.api.get(address("keys", view.params["key"]), Key)
    return Shown("revoke.html", {"key": key, "faults": wrong or {}}, json=address("keys", key.id), status=status)


def revoke(view: View) -> Answer:
    """Revokes the key."""
    try:
        view.api.send("DELETE", address("keys", view.params["key"]))
    except Refused as refused:
        return ask(view, faults(refused.problem), refused.problem.status)
    return Moved("/keys")


def _page(view: View, made: NewKey | None = None, wrong: dict[str, str] | None = None, status: int = 200) -> Shown:
    listed = view.api.get(address("keys"), Listed[Key], limit=KEYS, cursor=view.query.get("cursor"))
    placed = {place.partition(".")[0]: sentence for place, sentence in (wrong or {}).items()}
    facts = {
        "keys": listed.items,
        "next_cursor": listed.next_cursor,
        "scopes": list(KeyScope),
        "form": {} if made is not None else view.form,
        "made": made,
        "faults": placed,
    }
    return Shown("keys.html", facts, json=address("keys"), status=status)


ROUTES = (Route("/keys", show, make), Route("/keys/{key}/revoke", ask, revoke))
