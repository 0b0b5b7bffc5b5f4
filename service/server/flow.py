"""How fast a connection is read and its answers are taken."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.flow_control import FlowControl

from service.api.limits import connections


class Flow(FlowControl):
    """As uvicorn's; while requests wait nothing more is read, whoever would."""

    _held = False

    def hold(self) -> None:
        """Read no more until `release`."""
        self._held = True
        self.pause_reading()

    def release(self) -> None:
        """Read on."""
        self._held = False
        self.resume_reading()

    def resume_reading(self) -> None:
        if not self._held:
            super().resume_reading()


class Pace:
    """Cuts a connection off whose answers wait and are not being taken."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._loop, self._transport = loop, transport
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """From here on answers wait."""
        waiting = self._transport.get_write_buffer_size()
        self._timer = self._loop.call_later(connections.UNREAD_SECONDS, self._look, waiting)

    def stop(self) -> None:
        """They were taken, or the connection is no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, before: int) -> None:
        if before - self._transport.get_write_buffer_size() < connections.UNREAD_BYTES:
            self._transport.abort()  # a close would wait for it
        else:
            self.watch()
