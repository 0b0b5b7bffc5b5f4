"""Reads a connection in small pieces once a long body comes, so that one over the limit is refused soon after it."""

from __future__ import annotations

import asyncio

READ_BYTES = 32 * 1024
"""Bytes that are read at once; an event loop of its own accord reads 256 KiB."""
UNTAKEN_BYTES = 16 * 1024
"""Bytes of a body that may wait to be taken; with more nothing is read. So less than 64 KiB are read past a limit."""


class LongBodies(asyncio.BufferedProtocol):
    """Stands for the protocol of a connection before its transport."""

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
