"""Signing in with a key, and out."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from service.contract.keys import CurrentKey
from service.web.client import Refused, address
from service.web.view import Answer, Moved, Route, Shown, View

OURS = re.compile(r"/(?![/\\])[^\\\x00-\x20]*")
"""An address of this service, none that a browser takes for another host's."""


def show(view: View) -> Answer:
    """Asks for a key, where the service does."""
    try:
        _try(view)
    except Refused as refused:
        if refused.problem.status != 401:
            raise
        ended = {} if view.api.key is None else {"key": view.words("sign_in.wrong")}
        return _form(view, view.query.get("next", "/"), ended)
    return Moved(_after(view.query.get("next", "/")))


def sign_in(view: View) -> Answer:
    """Keeps a key that the service takes in the browser."""
    key, after = view.form.get("key", "").strip(), view.form.get("next", "/")
    try:
        _try(view, key)
    except Refused as refused:
        if refused.problem.status != 401:
            raise
        return _form(view, after, {"key": view.words("sign_in.wrong")}, status=401)
    return Moved(_after(after), key=key)


def sign_out(view: View) -> Answer:
    """Takes the key out of the browser."""
    return Moved("/sign-in", key="")


def _try(view: View, key: str | None = None) -> None:
    """Makes the smallest call that takes any key. Raises Refused."""
    api = view.api if key is None else replace(view.api, key=key)
    api.get(address("keys", "current"), CurrentKey)


def _after(wanted: str) -> str:
    return wanted if OURS.fullmatch(wanted) else "/"


def _form(view: View, after: str, faults: dict[str, str] | None = None, **options: Any) -> Shown:
    return Shown("sign_in.html", {"after": after, "faults": faults or {}}, **options)


ROUTES = (Route("/sign-in", show, sign_in), Route("/sign-out", act=sign_out))
