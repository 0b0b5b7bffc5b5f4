"""Who asks: with a key set, everything but health and the description of the interface needs it."""

from __future__ import annotations

import hmac

from service.api.limits.request_checks import Scope, check_host, header
from service.api.routes.health import ALIVE, READY
from service.errors import ForbiddenHost, Unauthorized
from service.settings import Settings

PUBLIC = ALIVE | READY | {"/openapi.json", "/docs"}
ANONYMOUS = "anonymous"
BOOTSTRAP = "bootstrap key"
"""The caller who holds TSUIKA_KEY."""


def may_see(scope: Scope, settings: Settings) -> bool:
    """Whether somebody who asks what everybody may ask is told of models, too: with the key, or where there is none by
    a name that this service answers to."""
    try:
        check_host(scope, settings)
        return not settings.key or caller(scope, settings) != ANONYMOUS
    except (ForbiddenHost, Unauthorized):
        return False


def caller(scope: Scope, settings: Settings) -> str:
    """The name under which a request acts. Raises Unauthorized; compares in constant time."""
    if not settings.key:
        return ANONYMOUS
    told = header(scope, b"authorization") or ""
    if hmac.compare_digest(told.encode("latin-1"), f"Bearer {settings.key}".encode()):
        return BOOTSTRAP  # as nearly everybody writes it
    scheme, _, given = told.partition(" ")
    if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1"), settings.key.encode()):
        return BOOTSTRAP
    if scope["path"] in PUBLIC:
        return ANONYMOUS
    why = "The key is not the right one." if given else "This service needs a key."
    raise Unauthorized(f"{why} Send the header Authorization: Bearer and the key.")
