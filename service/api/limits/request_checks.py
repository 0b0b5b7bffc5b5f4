"""Checks of a request before its body is read: host, origin, content type; and whether its sender is still there."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from service.api.limits.connections import CLOSING_SECONDS
from service.contract.enums import CSV, JPEG, JSON, NPY, PNG, RAW, ROWS, SAFETENSORS
from service.errors import ForbiddenHost, LongAddress, UnsupportedMedia
from service.guessing.csv_letters import ENCODINGS
from service.settings import Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

CONTENT_LENGTH, TRACE = b"content-length", b"traceparent"
HEADERS, CALLER = "tsuika.headers", "tsuika.caller"
"""In the scope: headers by name; who calls, once that is known."""
COUNTED = "tsuika.counted"
"""In the scope of what a page asks: callers for whom it has counted, which it does once."""
AFTERWARDS = "tsuika.afterwards"
"""In the scope: functions that are called once the request is over, however it ends."""
READS_AGAIN = "tsuika.reads_again"
"""In the scope: whether a read whose transaction the database undoes is asked once more."""
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
QUERY_BYTES = 8 * 1024
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:@/?#\s]+)(?::[0-9]*)?", re.IGNORECASE)
"""A Host header: a name or an address, in brackets of version 6; and a port."""
_CHARSET = re.compile(r'(?:^|;) *charset *= *"?([^\s";]+)', re.IGNORECASE)
IMPORT_TYPES = (RAW, SAFETENSORS, "multipart/form-data")
"""How a version that was trained elsewhere is sent."""
MERGES = "/merges"
"""How the path ends to which a ledger is sent, never as multipart/form-data."""
LATER_TYPES = ("application/x-ndjson", "application/vnd.apache.parquet", "application/x-npz", "application/zip")


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


def check_content_type(scope: Scope) -> None:
    """Raises UnsupportedMedia where a request that writes has a body of a type that its route does not take."""
    if scope["method"] not in WRITES:
        return
    content_type = header(scope, b"content-type")
    if (header(scope, b"transfer-encoding") or "chunked").strip().lower() != "chunked":
        raise UnsupportedMedia("Of transfer codings only chunked is taken. Send the body as it is.")
    usual = (content_type == JSON and not is_import(scope)) or (content_type == RAW and _predicts(scope))
    if usual and header(scope, b"content-encoding") is None:
        return
    if content_type is None and not has_body(scope):
        return
    _check_taken(scope, content_type)
    if (header(scope, b"content-encoding") or "identity").lower() != "identity":
        raise UnsupportedMedia("A compressed body is not taken. Send it as it is.")


def _check_taken(scope: Scope, content_type: str | None) -> None:
    media, _, parameters = (content_type or "").partition(";")
    media = media.strip().lower()
    if media in LATER_TYPES:
        raise UnsupportedMedia(f"{media} is not taken yet. Send application/json.")
    if is_import(scope):
        merges = scope["path"].endswith(MERGES)
        if media not in (IMPORT_TYPES[:2] if merges else IMPORT_TYPES):
            or_part = "" if merges else ", or in a part of multipart/form-data"
            raise UnsupportedMedia(f"Send the safetensors file as {IMPORT_TYPES[0]}{or_part}.")
        return
    # clients of the Open Inference Protocol leave the header out
    if _infers(scope) and media in ("", RAW):
        return
    if _predicts(scope) and media in ROWS:
        return
    letters = _charset(parameters)
    in_utf8 = letters in (None, "utf-8")
    if media == SAFETENSORS and _stores_rows(scope):
        return
    if media == CSV and (_takes_rows(scope) or invokes(scope)):
        if letters is not None and letters not in ENCODINGS:
            listed = ", ".join(ENCODINGS)
            raise UnsupportedMedia(f"A file of {CSV} is taken in UTF-8, which is best, or in one of {listed}.")
        return
    if media != JSON or not in_utf8:
        also = f" Taken here, too: {', '.join((*ROWS, CSV))}." if _predicts(scope) else ""
        also = also or (f" Taken here, too: {CSV}; {SAFETENSORS} of arrays." if _stores_rows(scope) else "")
        also = also or (f" Taken here, too: {CSV}." if invokes(scope) else "")
        came = f"The body came as {media[:100]}. " if media not in ("", JSON) else ""
        raise UnsupportedMedia(f"{came}Send JSON in UTF-8, with the header Content-Type: application/json.{also}")


def charset(scope: Scope) -> str | None:
    """How the letters of the body are stored, in small letters; None where the header does not say."""
    return _charset((header(scope, b"content-type") or "").partition(";")[2])


def _charset(parameters: str) -> str | None:
    match = _CHARSET.search(parameters)
    return None if match is None else match[1].lower()


def media_type(scope: Scope) -> str:
    """The media type of the body, in lower case, without parameters; JSON where the header is missing."""
    content_type = header(scope, b"content-type")
    return JSON if content_type is None or content_type == JSON else content_type.partition(";")[0].strip().lower()


def _predicts(scope: Scope) -> bool:
    """Whether the request is a prediction with a body."""
    return bool(scope["method"] == "POST" and scope["path"].endswith("/predictions"))


def _infers(scope: Scope) -> bool:
    """Whether the request is an inference by the Open Inference Protocol."""
    return bool(scope["method"] == "POST" and scope["path"].endswith("/infer"))


def brings_rows(scope: Scope) -> bool:
    """Whether the body holds rows, as JSON, numbers or tensors; a picture is one row."""
    if _infers(scope) or (_predicts(scope) and media_type(scope) in (RAW, NPY)):
        return True
    return _takes_rows(scope) and media_type(scope) in (JSON, CSV, SAFETENSORS)


def _takes_rows(scope: Scope) -> bool:
    """Whether the route takes rows."""
    return bool(scope["path"].endswith("/predictions")) or _stores_rows(scope)


def _stores_rows(scope: Scope) -> bool:
    """Whether the route takes rows to keep them."""
    return bool(scope["path"].endswith(("/batches", "/updates")))


def invokes(scope: Scope) -> bool:
    """Whether the request is a prediction in the form of MLflow's scoring server."""
    return bool(scope["method"] == "POST" and scope["path"].endswith("/invocations"))


def brings_picture(scope: Scope) -> bool:
    """Whether the body is one image file."""
    return _predicts(scope) and media_type(scope) in (PNG, JPEG)


def makes_model(scope: Scope) -> bool:
    """Whether the body declares a model."""
    return bool(scope["path"] == "/v1/models")


def is_import(scope: Scope) -> bool:
    """Whether the body is a version that was trained elsewhere, or the ledger of one."""
    return bool(scope["method"] == "POST" and scope["path"].endswith(("/versions", MERGES)))


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
