"""Checks of a request before its body is read: host, origin, length; and whether its sender is still there."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from typing import Any

from starlette.types import Receive, Scope

from service.api.limits.connections import CLOSING_SECONDS
from service.errors import ForbiddenHost, LongAddress
from service.settings import Settings

CONTENT_LENGTH, TRACE = b"content-length", b"traceparent"
HEADERS, CALLER = "tsuika.headers", "tsuika.caller"
"""In the scope: headers by name; who calls, once that is known."""
COUNTED = "tsuika.counted"
"""In the scope of what a page asks: callers for whom it has counted, which it does once."""
SIGNED_IN = "tsuika.signed_in"
"""In the scope of a browser that reads /v1: the key that it signed in with, as the header would have it."""
AFTERWARDS = "tsuika.afterwards"
"""In the scope: functions that are called once the request is over, however it ends."""
READS_AGAIN = "tsuika.reads_again"
"""In the scope: whether a read whose transaction the database undoes is asked once more."""
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
QUERY_BYTES = 8 * 1024
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:@/?#\s]+)(?::[0-9]*)?", re.IGNORECASE)
"""A Host header: a name or an address, in brackets of version 6; and a port."""


class SenderGone(Exception):
    """The sender hung up before it was answered: nobody waits for it."""


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of that (lower-case) name."""
    headers: dict[bytes, bytes] | None = scope.get(HEADERS)
    if headers is None:
        headers = scope[HEADERS] = dict(reversed(scope["headers"]))
    value = headers.get(name)
    return None if value is None else str(value, "latin-1")


def check_host(scope: Scope, settings: Settings, asks_for_key: bool) -> None:
    """Raises ForbiddenHost where a service is asked by a name that is neither loopback nor in TSUIKA_ALLOWED_HOSTS, be
    that set or no key asked for; and where one that asks for no key is asked by a page of another origin: that one
    cannot write, nor read but by a link."""
    if asks_for_key and not settings.allowed_hosts:
        return
    host = header(scope, b"host") or ""
    if not _is_served(host, settings):
        reason = "This service answers to some" if asks_for_key else "Without a key this service answers to known"
        raise ForbiddenHost(f"{reason} host names alone. Name the one in the header Host in TSUIKA_ALLOWED_HOSTS.")
    if asks_for_key:
        return
    writes = scope["method"] in WRITES
    origin = header(scope, b"origin")
    if origin is not None and writes and origin.lower().partition("://")[2] != host.lower():
        raise ForbiddenHost("A page of another origin may not write here.")
    site = header(scope, b"sec-fetch-site")  # browsers say it, and no page can change it
    if site in ("cross-site", "same-site") and (writes or header(scope, b"sec-fetch-mode") != "navigate"):
        raise ForbiddenHost("A page of another origin may not ask here.")


def check_length(query: bytes) -> None:
    """Raises LongAddress for a query over the limit."""
    if len(query) > QUERY_BYTES:
        raise LongAddress(f"The query of this address is over {QUERY_BYTES:,} bytes. POST rows in a body.")


def _is_served(host: str, settings: Settings) -> bool:
    match = HOST.fullmatch(host)
    if match is None:
        return False
    name = match[1].lower()
    if name == "localhost" or name in settings.allowed_hosts or "*" in settings.allowed_hosts:
        return True
    try:
        address = ipaddress.IPv6Address(name[1:-1]) if name.startswith("[") else ipaddress.IPv4Address(name)
    except ValueError:
        return False
    # A name can be bent to point here, an address cannot: whoever opens the service beyond loopback may use addresses.
    return address.is_loopback or not settings.loopback


def has_body(scope: Scope) -> bool:
    """Whether a body comes."""
    return header(scope, b"transfer-encoding") is not None or header(scope, b"content-length") not in (None, "0")


async def unless_gone(waiting: asyncio.Future[Any], receive: Receive) -> None:
    """Returns once `waiting` is done; where the sender hangs up before, it is cancelled. Raises SenderGone."""
    listening = asyncio.ensure_future(gone(receive))
    try:
        await asyncio.wait([waiting, listening], return_when=asyncio.FIRST_COMPLETED)
    finally:
        listening.cancel()
    if not waiting.done():
        waiting.cancel()
        raise SenderGone


async def gone(receive: Receive) -> None:
    """Returns once the sender has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def linger(receive: Receive) -> None:
    """Reads on for a moment and throws the body away: a sender that is cut off while it sends may never see the
    answer."""
    try:
        async with asyncio.timeout(CLOSING_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return
