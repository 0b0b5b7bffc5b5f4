"""Flow control of a connection: when it is read, and how fast its client takes the answers."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.flow_control import FlowControl

from service.api.limits import connections


class Flow(FlowControl):
    """uvicorn's flow control, which reads nothing while requests wait."""

    _held = False

    def hold(self) -> None:
        """Stops reading until `release`."""
        self._held = True
        self.pause_reading()

    def release(self) -> None:
        """Reads again."""
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
