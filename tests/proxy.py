"""A line between clients and a server that can go wrong in ways a server of tests cannot: a proxy of TCP."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from functools import partial
from pathlib import Path

CRAWL_BYTES, CRAWL_SECONDS = 64, 0.5
"""What a line that crawls carries at once, and the pause after it."""
_ANSWER = b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Line(Enum):
    """What becomes of bytes. A line keeps what it holds back for the time when it is good again."""

    GOOD = 1
    SILENT = 2
    """Connections stay and are accepted, and nothing comes."""
    CRAWLING = 3
    REFUSING = 4
    """Every request of HTTP is answered with 503."""
    FULL = 5
    """What is to be stored is answered with 507."""


REFUSALS = {
    Line.REFUSING: (b"", _ANSWER % b"503 Service Unavailable"),
    Line.FULL: (b"PUT ", _ANSWER % b"507 Insufficient Storage"),
}
"""How requests of HTTP begin that such a line answers in the place of the server, and with what."""


class Proxy:
    """Listens on `port` and hands on to a server, an address or a socket in a folder, from threads of its own.

    `silent_for`: connections that have sent these bytes are silent from then on, whatever `line` is.
    """

    def __init__(self, server: tuple[str, int] | Path, silent_for: bytes | None = None) -> None:
        self._server, self._silent_for = server, silent_for
        self.line = Line.GOOD
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._closed = threading.Event()
        self._begin(self._accept)

    def close(self) -> None:
        """Takes no more connections, and carries nothing more."""
        self._closed.set()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                self._begin(partial(self._connect, client))

    def _connect(self, client: socket.socket) -> None:
        with client, self._dial() as server:
            silent = threading.Event()
            back = self._begin(partial(self._carry, server, client, silent, {}))
            self._carry(client, server, silent, REFUSALS)
            back.join()

    def _dial(self) -> socket.socket:
        if not isinstance(self._server, Path):
            return socket.create_connection(self._server)
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(self._server))
        return server

    def _carry(
        self,
        source: socket.socket,
        target: socket.socket,
        silent: threading.Event,
        refusals: Mapping[Line, tuple[bytes, bytes]],
    ) -> None:
        """Bytes of one direction, until either end closes. `refusals`: what the source may be told instead."""
        with suppress(OSError):
            while data := source.recv(65536):
                while (self.line is Line.SILENT or silent.is_set()) and not self._closed.wait(0.02):
                    pass
                if self._closed.is_set():
                    break
                begins, refusal = refusals.get(self.line, (b"", b""))
                if refusal and data.startswith(begins):
                    source.sendall(refusal)
                    break
                if self._silent_for is not None and self._silent_for in data:
                    silent.set()  # what says so still arrives
                while self.line is Line.CRAWLING and data:
                    target.sendall(data[:CRAWL_BYTES])
                    data = data[CRAWL_BYTES:]
                    time.sleep(CRAWL_SECONDS)
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _begin(self, do: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=do, daemon=True)
        thread.start()
        return thread
