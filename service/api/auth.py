"""Authentication: with a key set, everything but health and the description of the interface needs it."""

from __future__ import annotations

import hmac

from service.api.health import ALIVE, READY
from service.api.limits.request_checks import Scope, check_host, header
from service.errors import ForbiddenHost, Unauthorized
from service.settings import Settings

PUBLIC = ALIVE | READY | {"/openapi.json", "/docs"}
ANONYMOUS = "anonymous"
BOOTSTRAP = "bootstrap key"
"""The caller who holds TSUIKA_KEY."""


def may_see(scope: Scope, settings: Settings) -> bool:
    """Whether an answer that needs no key may name models: to who holds the key or, where none is set, to who asks by
    a host name that this service answers to."""
    try:
        check_host(scope, settings)
        return not settings.key or caller(scope, settings) != ANONYMOUS
    except (ForbiddenHost, Unauthorized):
        return False


def caller(scope: Scope, settings: Settings) -> str:
    """The name of the caller. Compares keys in constant time. Raises Unauthorized."""
    if not settings.key:
        return ANONYMOUS
    authorization = header(scope, b"authorization") or ""
    if hmac.compare_digest(authorization.encode("latin-1"), f"Bearer {settings.key}".encode()):
        return BOOTSTRAP  # nearly everybody writes it so
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() == "bearer" and hmac.compare_digest(key.strip().encode("latin-1"), settings.key.encode()):
        return BOOTSTRAP
    if scope["path"] in PUBLIC:
        return ANONYMOUS
    reason = "The key is not the right one." if key else "This service needs a key."
    raise Unauthorized(f"{reason} Send the header Authorization: Bearer and the key.")
