"""What a request must keep to before its body is read: host, origin, content type; and what becomes of its sender."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from service.contract.media import JPEG, JSON, NPY, PNG, RAW, ROWS
from service.errors import ForbiddenHost, LongAddress, UnsupportedMedia
from service.settings import Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

CONTENT_LENGTH = b"content-length"
HEADERS, USUAL = "tsuika.headers", "tsuika.usual"
"""In the scope, what follows from the head of a request but for its length: headers by name; the model and the version
that a usual prediction asks."""
AFTERWARDS = "tsuika.afterwards"
"""In the scope: what is called once the request is over, however it ends."""
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
QUERY_BYTES = 8 * 1024
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:@/?#\s]+)(?::[0-9]*)?", re.IGNORECASE)
"""A Host header: a name or an address, in brackets of version 6; and a port."""
LINGER_SECONDS = 2.0
"""How long a refused sender may go on sending, so that it reads the refusal instead of a broken connection."""
IMPORT_TYPES = ("application/octet-stream", "application/x-safetensors", "multipart/form-data")
"""How a version that was trained elsewhere is sent."""
LATER_TYPES = (
    "text/csv",
    "application/x-ndjson",
    "application/vnd.apache.parquet",
    "application/x-npz",
    "application/zip",
)


class SenderGone(Exception):
    """The sender hung up before it was answered: nobody waits for it."""


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of that (lower-case) name."""
    found: dict[bytes, bytes] | None = scope.get(HEADERS)
    if found is None:
        found = scope[HEADERS] = dict(reversed(scope["headers"]))
    value = found.get(name)
    return None if value is None else str(value, "latin-1")


def check_host(scope: Scope, settings: Settings) -> None:
    """A service without a key answers to loopback names and to the allowed ones, and a page of another origin cannot
    write, nor ask for anything but by a link to it. Raises ForbiddenHost."""
    if settings.key:
        return
    host = header(scope, b"host") or ""
    if not _is_served(host, settings):
        raise ForbiddenHost(
            "Without a key this service answers to this machine only, which the header Host names. Set TSUIKA_KEY, or "
            "name the host in TSUIKA_ALLOWED_HOSTS."
        )
    writes = scope["method"] in WRITES
    origin = header(scope, b"origin")
    if origin is not None and writes and origin.lower().partition("://")[2] != host.lower():
        raise ForbiddenHost("A page of another origin may not write here.")
    site = header(scope, b"sec-fetch-site")  # browsers say it, and no page can change it
    if site in ("cross-site", "same-site") and (writes or header(scope, b"sec-fetch-mode") != "navigate"):
        raise ForbiddenHost("A page of another origin may not ask here.")


def check_query(query: bytes) -> None:
    """What is long comes in a body. Raises LongAddress."""
    if len(query) > QUERY_BYTES:
        raise LongAddress(f"The query of this address is over {QUERY_BYTES:,} bytes. POST rows in a body.")


def _is_served(host: str, settings: Settings) -> bool:
    found = HOST.fullmatch(host)
    if found is None:
        return False
    name = found[1].lower()
    if name == "localhost" or name in settings.allowed_hosts or "*" in settings.allowed_hosts:
        return True
    try:
        address = ipaddress.IPv6Address(name[1:-1]) if name.startswith("[") else ipaddress.IPv4Address(name)
    except ValueError:
        return False
    # A name can be bent to point here, an address cannot: whoever opens the service beyond loopback may use addresses.
    return address.is_loopback or not settings.loopback


def check_content_type(scope: Scope) -> None:
    """A request that writes comes as JSON, but for routes that take other bodies, too. Raises UnsupportedMedia."""
    if scope["method"] not in WRITES:
        return
    told = header(scope, b"content-type")
    if (header(scope, b"transfer-encoding") or "chunked").strip().lower() != "chunked":
        raise UnsupportedMedia("Of transfer codings only chunked is taken. Send the body as it is.")
    usual = (told == JSON and not is_import(scope)) or (told == RAW and _predicts(scope))
    if usual and header(scope, b"content-encoding") is None:
        return
    if told is None and not has_body(scope):
        return
    _check_taken(scope, told)
    if (header(scope, b"content-encoding") or "identity").lower() != "identity":
        raise UnsupportedMedia("A compressed body is not taken. Send it as it is.")


def _check_taken(scope: Scope, told: str | None) -> None:
    media, _, parameters = (told or "").partition(";")
    media = media.strip().lower()
    if media in LATER_TYPES:
        raise UnsupportedMedia(f"{media} is not taken yet. Send application/json.")
    if is_import(scope):
        if media not in IMPORT_TYPES:
            raise UnsupportedMedia(
                f"Send the safetensors file as {IMPORT_TYPES[0]}, or in a part of multipart/form-data."
            )
        return
    # clients of the Open Inference Protocol leave the header out
    if _infers(scope) and media in ("", "application/octet-stream"):
        return
    if _predicts(scope) and media in ROWS:
        return
    charset = parameters.lower().replace('"', "").replace(" ", "")
    if media != JSON or ("charset=" in charset and "charset=utf-8" not in charset):
        also = f" Taken here, too: {', '.join(ROWS)}." if _predicts(scope) else ""
        raise UnsupportedMedia(f"Send JSON in UTF-8, with the header Content-Type: application/json.{also}")


def media_type(scope: Scope) -> str:
    """Of the body, in lower case, without parameters; JSON where none is said."""
    told = header(scope, b"content-type")
    return JSON if told is None or told == JSON else told.partition(";")[0].strip().lower()


def _predicts(scope: Scope) -> bool:
    """Whether the body is rows to answer."""
    return bool(scope["method"] == "POST" and scope["path"].endswith("/predictions"))


def _infers(scope: Scope) -> bool:
    """The same, by the Open Inference Protocol."""
    return bool(scope["method"] == "POST" and scope["path"].endswith("/infer"))


def brings_rows(scope: Scope) -> bool:
    """Whether the body holds rows, as JSON, numbers or tensors; a picture is one row."""
    if _infers(scope) or (_predicts(scope) and media_type(scope) in (RAW, NPY)):
        return True
    return bool(scope["path"].endswith(("/predictions", "/batches", "/updates")) and media_type(scope) == JSON)


def brings_picture(scope: Scope) -> bool:
    """Whether the body is one image file."""
    return _predicts(scope) and media_type(scope) in (PNG, JPEG)


def makes_model(scope: Scope) -> bool:
    """Whether the body says what a model is."""
    return bool(scope["path"] == "/v1/models")


def is_import(scope: Scope) -> bool:
    """Whether the body is a version that was trained elsewhere."""
    return bool(scope["method"] == "POST" and scope["path"].endswith("/versions"))


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
    """Read on and throw away for a moment: a sender that is cut while it sends may never see the answer."""
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return
