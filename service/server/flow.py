"""Flow control of a connection: when it is read, in which pieces, how fast its client takes the answers, and how long
it may idle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.flow_control import FlowControl

from service.api.limits import connections

READ_BYTES = 32 * 1024
"""Bytes that are read at once; an event loop of its own accord reads 256 KiB."""
UNTAKEN_BYTES = 16 * 1024
"""Bytes of a body that may wait to be taken; with more nothing is read. So less than 64 KiB are read past a limit."""


class Flow(FlowControl):
    """uvicorn's flow control, which reads nothing while requests wait."""

    _held = False

    def hold(self) -> None:
        """Stops reading until `release`."""
        self._held = True
        self.pause_reading()

    def release(self) -> None:
        self._held = False
        self.resume_reading()

    def resume_reading(self) -> None:
        if not self._held:
            super().resume_reading()


class UnreadWatch:
    """Aborts a connection whose client does not take its answers."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._loop, self._transport = loop, transport
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Starts watching: answers wait."""
        waiting = self._transport.get_write_buffer_size()
        self._timer = self._loop.call_later(connections.UNREAD_SECONDS, self._look, waiting)

    def stop(self) -> None:
        """Stops watching: the answers were taken, or the connection is closed."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, before: int) -> None:
        if before - self._transport.get_write_buffer_size() < connections.UNREAD_BYTES:
            self._transport.abort()  # `close` would wait for the client
        else:
            self.watch()


class IdleTimer:
    """Calls `over` when the deadline of an idle connection passes: a single timer, though every request moves it.

    since: when the deadline was set. until: the deadline, or None. Both on the clock of the loop.
    """

    __slots__ = ("_at", "_loop", "_over", "_timer", "since", "until")

    def __init__(self, loop: asyncio.AbstractEventLoop, over: Callable[[], None]) -> None:
        self._loop, self._over = loop, over
        self.since: float | None = None
        self.until: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0

    def expect(self, seconds: float) -> None:
        """Sets the deadline. A timer that fires earlier stays: it looks again then."""
        self.since = now = self._loop.time()
        self.until = until = now + seconds
        if self._timer is None or self._at > until:
            if self._timer is not None:
                self._timer.cancel()
            self._at, self._timer = until, self._loop.call_at(until, self._look)

    def end(self) -> None:
        self.until = None
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self.until is None:
            return  # a request is being answered; its end sets the timer
        if self.until > self._loop.time():
            self._at, self._timer = self.until, self._loop.call_at(self.until, self._look)
        else:
            self._over()


class LongBodies(asyncio.BufferedProtocol):
    """Stands for the protocol of a connection before its transport once a long body comes, which is read in small
    pieces: so one over the limit is refused soon after it."""

    _buffer = bytearray(READ_BYTES)  # of all connections: what was read into it is copied at once

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._protocol.data_received(bytes(memoryview(self._buffer)[:nbytes]))

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()
