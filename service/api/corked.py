"""Answers that leave in one write: uvicorn writes head and body apart, which is two calls of the system a request."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Corked:
    """A transport that keeps the head of an answer until its body comes, or until this turn of the loop is over."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._head = b""
        self._flush: asyncio.Handle | None = None

    def write(self, data: bytes) -> None:
        """As a transport does."""
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
            head, self._head = self._head, b""
            self._transport.write(head + data)
        elif data.endswith(b"\r\n\r\n") and data.startswith(b"HTTP/"):
            self._head, self._flush = data, self._loop.call_soon(self._pour)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """As a transport does; nothing is lost."""
        if self._flush is not None:
            self._flush.cancel()
            self._pour()
        self._transport.close()

    def _pour(self) -> None:
        self._flush = None
        head, self._head = self._head, b""
        self._transport.write(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class CorkedProtocol(HttpToolsProtocol):
    """uvicorn's protocol over such a transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = cast(asyncio.Transport, Corked(transport, self.loop))
