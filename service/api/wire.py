"""Connections: uvicorn's protocol, whose usual requests need no task, and those that come again no parser."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import Protocol, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from service.api import problems
from service.api.corked import Corked
from service.api.limits import Scope, resized
from service.api.offers import behind

LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,8})\r\n", re.IGNORECASE)
MOST_DIGITS = 8
UNREAD_SECONDS, UNREAD_BYTES = 30.0, 32 * 1024
"""Of an answer that waits to be taken, so many bytes must go in so long: else nobody reads it, or nobody in earnest."""


class Express(Protocol):
    """Who answers some requests at once, without a task of their own."""

    def takes(self, cycle: RequestResponseCycle, otherwise: Callable[[], None]) -> bool:
        """Whether it will answer; where it cannot after all, it calls `otherwise`."""
        ...

    def look_after(self, cycle: RequestResponseCycle) -> None:
        """Told after each piece that arrived."""
        ...


class Wire(HttpToolsProtocol):
    """uvicorn's protocol over such a transport; the express answers what it takes, the application all else.

    Senders that keep a connection send the same head again and again. One that is the same as the head before it, byte
    for byte but for the length of the body, and comes with the whole body, is not parsed again: the cycle of the
    request before is used once more.
    """

    _reading = False
    _within = _headed = False
    """Whether the parser is in the middle of a message, and of its body."""
    _answering: RequestResponseCycle | None = None
    """The latest request that was begun to be answered; others may wait behind it."""
    _refusal: str | None = None
    """What the last answer of the connection says, behind those to what could be read."""
    _taken: RequestResponseCycle | None = None
    """The latest request that the express took."""
    _usual: tuple[bytes, bytes] | None = None
    """Head of the request before, before and behind the length of its body, if both came in one piece and the express
    took it; null as soon as the parser is given anything else."""
    _unread: asyncio.TimerHandle | None = None
    """Looks whether what waits to be taken is being taken."""
    _quiet_since: float | None = None
    """When the latest answer was sent, on the clock of the loop, if nothing was asked since."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = cast(asyncio.Transport, Corked(transport, self.loop))

    def pause_writing(self) -> None:
        """The transport has more to write than the other side takes at once: from here on its pace is looked at."""
        super().pause_writing()
        self._look_later()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def _look_later(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self._look_at_reader, waiting)

    def _look_at_reader(self, before: int) -> None:
        if before - self.transport.get_write_buffer_size() < UNREAD_BYTES:
            self.transport.abort()  # a close would wait for it
        else:
            self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)  # which tells the request that came last
        if self._unread is not None:
            self._unread.cancel()
        for cycle in (self._answering, *(cycle for cycle, _ in self.pipeline)):
            if cycle is not None and cycle is not self.cycle and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self.pipeline.clear()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    def on_response_complete(self) -> None:
        """As uvicorn's, but that one timer a connection looks again and again whether it is quiet for long: one for
        each answer would cost more than the rest of this."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        if self._refusal is not None:
            self.send_400_response(self._refusal)
            return
        self._quiet_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._close_in(self.timeout_keep_alive)

    def _unset_keepalive_if_required(self) -> None:
        self._quiet_since = None

    def _close_in(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        if self._quiet_since is None:
            return  # something is being answered: its end sets the timer
        left = self._quiet_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._close_in(left)
        else:
            super().timeout_keep_alive_handler()

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        self._quiet_since = None
        idle = not self._within and (self.cycle is None or self.cycle.response_complete)
        if idle and self._usual is not None and self._answers_again(data, *self._usual):
            return
        self._reading, self._usual = True, None
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self._break_off("This cannot be read as a request: it is not HTTP/1.1, or its address is over 64 kB.")
        self._reading = False
        cycle = self.cycle
        if cycle is None:
            return
        if cycle.more_body and (express := self._express()) is not None:
            express.look_after(cycle)
        elif idle and cycle is self._taken:
            self._usual = _around_length(data[: len(data) - len(cycle.body)])

    def _answers_again(self, data: bytes, before: bytes, behind: bytes) -> bool:
        """Whether this is the request before with another body, and the express takes it."""
        end = data.find(b"\r\n", len(before), len(before) + MOST_DIGITS + 1)
        length = data[len(before) : end]
        start = end + len(behind)
        if not data.startswith(before) or not data.startswith(behind, end) or not length.isdigit():
            return False
        if len(data) != start + int(length) or (express := self._express()) is None:
            return False
        cycle = self.cycle
        resized(cast(Scope, cycle.scope), length)
        cycle.body, cycle.more_body = data[start:], False  # type: ignore[assignment]
        cycle.response_started = cycle.response_complete = False
        cycle.default_headers, cycle.on_response = self.server_state.default_headers, self.on_response_complete
        if express.takes(cycle, partial(self._others, cycle, self.app)):
            return True
        cycle.response_complete = True
        return False

    def _break_off(self, why: str) -> None:
        """Refuse what cannot be read, when what came before it is answered."""
        broken = self.cycle if self._within and self._headed else None
        if broken is not None and self.pipeline and self.pipeline[0][0] is broken:
            self.pipeline.popleft()
        before = self._answering
        if before is not None and before is not broken and not before.response_complete:
            self._refusal = why
        elif broken is not None and broken.response_started:
            self.transport.close()
        else:
            self.send_400_response(why)

    def send_400_response(self, msg: str) -> None:
        """The last answer of a connection: nobody knows where another request would begin."""
        self.logger.warning(msg)
        told = problems.plain_problem(400, "broken-request", "The request is not HTTP", msg, "unread")
        media, data = problems.written("", told)
        headers = [(b"content-type", media), (b"content-length", b"%d" % len(data)), (b"connection", b"close")]
        lines = [b"%b: %b\r\n" % header for header in (*self.server_state.default_headers, *headers)]
        self.transport.write(b"".join([STATUS_LINE[400], *lines, b"\r\n", data]))
        self.transport.close()

    def on_message_begin(self) -> None:
        self._within, self._headed = True, False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._headed = True

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():  # the parser skips the body of a request that offers another protocol
            self._within = False
            super().on_message_complete()

    def _parse(self, data: bytes) -> None:
        """An offer of another protocol (`Upgrade: h2c`, which some clients make with every first request) is not taken:
        the request goes on as it is, and so do those behind it."""
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as offer:
                data = data[offer.args[0] :]
                self.parser = behind(self)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        others = partial(self._others, cycle, app)
        express = self._express()
        # one that waited behind another, and whose body is not whole, would be looked after by nobody
        if express is None or (cycle.more_body and not self._reading) or not express.takes(cycle, others):
            others()
        else:
            self._taken = cycle

    def _others(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._usual = self._taken = None
        super()._start_asgi_task(cycle, app)

    def _express(self) -> Express | None:
        found: Express | None = self.app.express
        return found


def _around_length(head: bytes) -> tuple[bytes, bytes] | None:
    """What is before and behind the digits of its Content-Length; null where that is not said just once."""
    told = list(LENGTH.finditer(head))
    return (head[: told[0].start(1)], head[told[0].end(1) :]) if len(told) == 1 else None
