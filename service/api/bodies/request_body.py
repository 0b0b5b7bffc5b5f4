"""The body of a request that writes, whole: in memory, or on disk where it is large and brings rows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from tempfile import SpooledTemporaryFile

from starlette.types import Receive, Scope

from service.api.limits.bodies import brings_rows, most_bytes, too_large
from service.api.limits.request_checks import SenderGone, has_body, header
from service.api.reader.spool import LARGE_BYTES, Spooled
from service.errors import BodyTimeout
from service.settings import Settings

IN_MEMORY_BYTES = 1024 * 1024
"""A longer body waits on disk until it is whole, so that one that is refused in the end has cost no memory."""


async def read_body(
    scope: Scope, receive: Receive, settings: Settings, spool: Callable[[], Spooled]
) -> bytes | Spooled:
    """The whole body of a request that writes; a large one that brings rows stays on disk, in `spool()`.

    Raises TooLarge while it streams, BodyTimeout, SenderGone, DiskFull.
    """
    declared = header(scope, b"content-length")
    if not has_body(scope):
        return b""
    limit = most_bytes(scope, settings)
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise too_large(limit, scope)
    with ExitStack() as stack:
        spooled: Spooled | None = None
        sink: Spooled | SpooledTemporaryFile[bytes]
        sink = memory = stack.enter_context(SpooledTemporaryFile(max_size=IN_MEMORY_BYTES))
        total, more = 0, True
        try:
            async with asyncio.timeout(settings.body_timeout_seconds):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise SenderGone
                    total += len(message.get("body", b""))
                    if total > limit:
                        raise too_large(limit, scope)
                    sink.write(message.get("body", b""))
                    if total > LARGE_BYTES and spooled is None and brings_rows(scope):
                        sink = spooled = stack.enter_context(spool())
                        memory.seek(0)
                        spooled.write(memory.read())
                    more = message.get("more_body", False)
        except TimeoutError:
            raise BodyTimeout(
                f"The body was not whole after {settings.body_timeout_seconds:g} s. Send smaller batches."
            ) from None
        if spooled is not None:
            return spooled
        memory.seek(0)
        return memory.read()
