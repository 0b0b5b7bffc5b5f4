"""Keys of callers: the list, making one, whose secret is shown once, and revoking one."""

from __future__ import annotations

import re
from typing import Any

from service.contract.enums import KeyScope
from service.contract.keys import Key, NewKey
from service.contract.resources import Page as Listed
from service.web.client import Refused, address
from service.web.forms import whole
from service.web.view import Answer, Moved, Route, Shown, View, asks_again

KEYS = 50
"""Keys a page."""
SHARES = ("rate", "bytes", "queued")
"""How much a key may do, where the service is not asked."""
FRACTION = re.compile(r"\d{1,9}\.\d{1,9}", re.ASCII)
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def show(view: View, made: NewKey | None = None) -> Answer:
    """The list, newest first, and the form of a new one."""
    signs_in = False
    try:
        listed = view.api.get(address("keys"), Listed[Key], limit=KEYS, cursor=view.query.get("cursor"))
    except Refused as refused:
        signs_in = made is not None and refused.problem.status == 401  # from now on this browser needs another key
        if made is None or not signs_in:
            raise
        listed = Listed[Key](items=[made])
    facts = {
        "keys": listed.items,
        "next_cursor": listed.next_cursor,
        "open": view.api.key is None,
        "signs_in": signs_in,
        "scopes": list(KeyScope),
        "shares": SHARES,
        "form": {} if made is not None else view.form,
        "made": made,
        "faults": {place.partition(".")[0]: sentence for place, sentence in view.faults.items()},
    }
    return Shown("keys.html", facts, json=view.same(address("keys")), status=view.status)


@asks_again(show)
def make(view: View) -> Answer:
    """Makes a key and shows its secret, on this answer alone. The first key of a service that asks nobody for one may
    do all: from then on the service asks everybody, and TSUIKA_KEY opens nothing."""
    form, end = view.form, view.form.get("expires_at", "").strip()
    order: dict[str, Any] = {
        "name": form.get("name", "").strip(),
        "scopes": [scope for scope in KeyScope if form.get(f"scope-{scope}")],
        "models": form.get("models", "").replace(",", " ").split() or None,
        "expires_at": f"{end}T00:00:00Z" if DAY.fullmatch(end) else end or None,
        **{share: _number(form.get(share, "").strip()) for share in SHARES},
    }
    if view.api.key is None and KeyScope.ADMIN not in order["scopes"]:
        return show(view.wrong({"scopes": view.words("keys.first_may_all")}))
    asked = {name: value for name, value in order.items() if value is not None}
    return show(view, view.api.post(address("keys"), NewKey, asked))


def _number(text: str) -> float | str | None:
    """A number that was typed; what is none stays text, which the API refuses."""
    return float(text) if FRACTION.fullmatch(text) else whole(text) if text else None


def ask(view: View) -> Answer:
    """Says what revoking changes."""
    key = view.api.get(address("keys", view.params["key"]), Key)
    return Shown("revoke.html", {"key": key, "faults": view.faults}, json=address("keys", key.id), status=view.status)


@asks_again(ask)
def revoke(view: View) -> Answer:
    """Revokes the key."""
    view.api.send("DELETE", address("keys", view.params["key"]))
    return Moved("/keys")


ROUTES = (
    Route("/keys", show, make, calls=["POST /v1/keys"]),
    Route("/keys/{key}/revoke", ask, revoke, calls=["DELETE /v1/keys/{key}"]),
)
