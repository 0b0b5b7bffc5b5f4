"""What a request must keep to before anybody reads it: host, origin, content type, size and pace of the body."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from tempfile import SpooledTemporaryFile
from typing import Any

from service.errors import BodyTimeout, ForbiddenHost, TooLarge, UnsupportedMedia
from service.settings import Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
IN_MEMORY_BYTES = 1024 * 1024
"""A longer body waits on disk until it is whole, so that one that is refused in the end has cost no memory."""
LINGER_SECONDS = 2.0
"""How long a refused sender may go on sending, so that it reads the refusal instead of a broken connection."""
IMPORT_TYPES = ("application/octet-stream", "application/x-safetensors", "multipart/form-data")
"""How a version that was trained elsewhere is sent."""
SMALLER_BATCH = "Send it in several batches."
SMALLER_FILE = (
    "Leave out the weights of a pretrained backbone, as GET .../weights?whole=false does, or ask who runs the service "
    "to raise the limit."
)
LATER_TYPES = (
    "text/csv",
    "application/x-ndjson",
    "application/vnd.apache.parquet",
    "application/x-npz",
    "application/zip",
)


class SenderGone(Exception):
    """The sender hung up before the body was whole: nobody waits for an answer."""


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of that (lower-case) name."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


def check_host(scope: Scope, settings: Settings) -> None:
    """A service without a key answers to loopback names and to the allowed ones, and a page of another origin cannot
    write. Raises ForbiddenHost."""
    if settings.key:
        return
    host = header(scope, b"host") or ""
    name = _host_name(host)
    if host and not _is_served(name, settings):
        raise ForbiddenHost(
            "Without a key this service answers to this machine only. Set TSUIKA_KEY, or name the host in "
            "TSUIKA_ALLOWED_HOSTS."
        )
    origin = header(scope, b"origin")
    if origin is not None and scope["method"] in WRITES and origin.lower().partition("://")[2] != host.lower():
        raise ForbiddenHost("A page of another origin may not write here.")


def _is_served(name: str, settings: Settings) -> bool:
    if name == "localhost" or name in settings.allowed_hosts or "*" in settings.allowed_hosts:
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    # A name can be bent to point here, an address cannot: whoever opens the service beyond loopback may use addresses.
    return address.is_loopback or not settings.loopback


def _host_name(host: str) -> str:
    """The name of a Host header, without the port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def check_content_type(scope: Scope) -> None:
    """A request that writes comes as JSON. Raises UnsupportedMedia."""
    if scope["method"] not in WRITES:
        return
    told = header(scope, b"content-type")
    if told is None and not _has_body(scope):
        return
    media, _, parameters = (told or "").partition(";")
    media = media.strip().lower()
    if media in LATER_TYPES:
        raise UnsupportedMedia(f"{media} is not taken yet. Send application/json.")
    charset = parameters.lower().replace('"', "").replace(" ", "")
    json = media == "application/json" and ("charset=" not in charset or "charset=utf-8" in charset)
    if is_import(scope):
        if media not in IMPORT_TYPES:
            raise UnsupportedMedia(
                f"Send the safetensors file as {IMPORT_TYPES[0]}, or in a part of multipart/form-data."
            )
    elif not json:
        raise UnsupportedMedia("Send JSON in UTF-8, with the header Content-Type: application/json.")
    if (header(scope, b"content-encoding") or "identity").lower() != "identity":
        raise UnsupportedMedia("A compressed body is not taken. Send it as it is.")


def is_import(scope: Scope) -> bool:
    """Whether a version is sent that was trained elsewhere."""
    return bool(scope["method"] == "POST" and scope["path"].endswith("/versions"))


def _has_body(scope: Scope) -> bool:
    return header(scope, b"transfer-encoding") is not None or header(scope, b"content-length") not in (None, "0")


async def read_body(scope: Scope, receive: Receive, settings: Settings) -> bytes:
    """The whole body of a request that writes. Raises TooLarge while it streams, BodyTimeout, SenderGone."""
    limit, remedy = settings.max_body_bytes, SMALLER_FILE if is_import(scope) else SMALLER_BATCH
    declared = header(scope, b"content-length")
    if not _has_body(scope):
        return b""
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise _too_large(limit, remedy)
    with SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as spool:
        total, more = 0, True
        try:
            async with asyncio.timeout(settings.body_timeout_seconds):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise SenderGone
                    total += len(message.get("body", b""))
                    if total > limit:
                        raise _too_large(limit, remedy)
                    spool.write(message.get("body", b""))
                    more = message.get("more_body", False)
        except TimeoutError:
            raise BodyTimeout(
                f"The body was not whole after {settings.body_timeout_seconds:g} s. Send smaller batches."
            ) from None
        spool.seek(0)
        return spool.read()


def _too_large(limit: int, remedy: str) -> TooLarge:
    return TooLarge(f"The body is over {limit:,} bytes (TSUIKA_MAX_BODY_BYTES). {remedy}", limit=limit)


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
