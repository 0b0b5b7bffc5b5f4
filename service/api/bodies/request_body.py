"""The body of a request that writes, whole: in memory, or on disk where it is large and brings rows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import ExitStack
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import Any, cast

from service.api.limits.request_checks import (
    MERGES,
    Message,
    Receive,
    Scope,
    SenderGone,
    brings_picture,
    brings_rows,
    has_body,
    header,
    invokes,
    is_import,
    makes_model,
)
from service.api.reader.spool import LARGE_BYTES, Spooled
from service.errors import BodyTimeout, TooLarge
from service.settings import Settings

IN_MEMORY_BYTES = 1024 * 1024
"""A longer body waits on disk until it is whole, so that one that is refused in the end has cost no memory."""
SMALLER_BATCH = "Send it in several batches."
HIGHER_LIMIT = "Ask who runs the service to raise the limit."
FEWER_ROWS = "Send fewer rows at once, or to POST /v1/models/{model}/predictions, which takes more."
SMALLER_FILE = (
    "Leave out the weights of a pretrained backbone, as GET .../weights?whole=false does, or ask who runs the service "
    "to raise the limit."
)


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
        raise _too_large(limit, scope)
    first, waits = _started(receive())
    most = min(limit, LARGE_BYTES)
    if first is not None and first["type"] == "http.disconnect":
        raise SenderGone
    if first is not None and not first.get("more_body", False) and len(first.get("body", b"")) <= most:
        return bytes(first.get("body", b""))
    with ExitStack() as stack:
        spooled: Spooled | None = None
        sink: Spooled | SpooledTemporaryFile[bytes]
        sink = memory = stack.enter_context(SpooledTemporaryFile(max_size=IN_MEMORY_BYTES))
        total, more = 0, True
        try:
            async with asyncio.timeout(settings.body_timeout_seconds):
                while more:
                    message = first or await (waits or receive())
                    first = waits = None
                    if message["type"] == "http.disconnect":
                        raise SenderGone
                    total += len(message.get("body", b""))
                    if total > limit:
                        raise _too_large(limit, scope)
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


def most_bytes(scope: Scope, settings: Settings) -> int:
    """The limit of the body of a request."""
    if brings_rows(scope) or brings_picture(scope) or is_import(scope):
        return settings.max_body_bytes
    own = settings.max_model_body_bytes if makes_model(scope) else settings.max_other_body_bytes
    return min(settings.max_body_bytes, own)


class _Started:
    """A coroutine that was started and waits: awaiting this goes on with it."""

    def __init__(self, coroutine: Coroutine[Any, Any, Message], waits_for: Any) -> None:
        self._coroutine, self._waits_for = coroutine, waits_for

    def __await__(self) -> Generator[Any, Any, Message]:
        waits_for = self._waits_for
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:
                step: Callable[[], Any] = partial(self._coroutine.throw, error)
            else:
                step = partial(self._coroutine.send, sent)
            try:
                waits_for = step()
            except StopIteration as done:
                return cast(Message, done.value)


def _started(receiving: Awaitable[Message]) -> tuple[Message | None, _Started | None]:
    """The message where it is there already, so that a small body needs no timer, which costs more than reading it."""
    coroutine = cast("Coroutine[Any, Any, Message]", receiving)
    try:
        waits_for = coroutine.send(None)
    except StopIteration as done:
        return cast(Message, done.value), None
    return None, _Started(coroutine, waits_for)


def _too_large(limit: int, scope: Scope) -> TooLarge:
    if makes_model(scope):
        return TooLarge(f"The body is over {limit:,} bytes. Round the numbers of its scale.", limit=limit)
    if invokes(scope):
        return TooLarge(f"The body is over {limit:,} bytes. {FEWER_ROWS}", limit=limit)
    if not (brings_rows(scope) or brings_picture(scope) or is_import(scope)):
        return TooLarge(
            f"The body is over {limit:,} bytes, and it brings no rows. Send what is asked for alone.", limit=limit
        )
    remedy = SMALLER_FILE if is_import(scope) else SMALLER_BATCH
    remedy = HIGHER_LIMIT if scope["path"].endswith(MERGES) else remedy
    return TooLarge(f"The body is over {limit:,} bytes (TSUIKA_MAX_BODY_BYTES). {remedy}", limit=limit)
