"""Bodies over a limit, over a real connection: what a service has read of them by the time it refuses."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from socket import create_connection
from typing import Any, cast

import pytest
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from service.api.bodies.request_body import read_body
from service.api.limits.bodies import check_content_type
from service.api.reader.spool import Spooled
from service.errors import TooLarge, TsuikaError, UnsupportedMedia
from service.server.protocol import HttpProtocol
from service.settings import Settings

LIMIT = 1_000_000
SPARE = 64 * 1024
PIECE = b" " * 16_384
HEAD = b"POST /v1/models/m/batches HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


class Refusing:
    """An application that reads bodies as the service does; `read`: bytes of the connection, at the refusal."""

    fast_path = None

    def __init__(self, folder: Path) -> None:
        self._settings = Settings(data=folder, max_body_bytes=LIMIT)
        self.arrived = self.read = 0
        self.refusal: TsuikaError | None = None
        self.over = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            check_content_type(scope)
            await read_body(scope, receive, self._settings, lambda: Spooled(self._settings.data / "spool"))
        except TsuikaError as error:
            self.refusal, self.read = error, self.arrived
        self.over.set()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": b""})


def declared(length: int) -> Iterator[bytes]:
    yield HEAD + b"content-length: %d\r\n\r\n" % length
    while True:
        yield PIECE


def chunked(head: bytes = HEAD) -> Iterator[bytes]:
    yield head + b"transfer-encoding: chunked\r\n\r\n"
    while True:
        yield b"%x\r\n%b\r\n" % (len(PIECE), PIECE)


async def refused(folder: Path, sending: Iterator[bytes]) -> Refusing:
    """Sends as fast as a socket takes it, until the end of the connection."""
    app, loop = Refusing(folder), asyncio.get_running_loop()

    class Counted(HttpProtocol):
        def data_received(self, data: bytes) -> None:
            app.arrived += len(data)
            super().data_received(data)

    config = uvicorn.Config(cast(Any, app), interface="asgi3", loop="none", ws="none", lifespan="off", log_config=None)
    config.load()
    config.loaded_app = cast(Any, app)
    server = await loop.create_server(lambda: Counted(config, ServerState(), {}, loop), "127.0.0.1", 0)

    def send(address: tuple[str, int]) -> None:
        with create_connection(address) as connection, suppress(ConnectionError):
            for piece in sending:
                connection.sendall(piece)

    sender = threading.Thread(target=send, args=(server.sockets[0].getsockname(),))
    sender.start()
    await asyncio.wait_for(app.over.wait(), 20)
    await asyncio.to_thread(sender.join)
    server.close()
    return app


@pytest.mark.parametrize(
    ("sending", "kind", "most"),
    [
        (declared(100 * LIMIT), TooLarge, 256 * 1024),
        (chunked(), TooLarge, LIMIT + SPARE),
        (chunked(HEAD + b"content-encoding: gzip\r\n"), UnsupportedMedia, 256 * 1024),
    ],
    ids=["declared", "chunked", "compressed"],
)
def test_a_body_over_the_limit_is_refused_before_64_kilobytes_more_are_read(
    tmp_path: Path, sending: Iterator[bytes], kind: type[TsuikaError], most: int
) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        app = runner.run(refused(tmp_path, sending))
    assert isinstance(app.refusal, kind)
    assert 0 < app.read <= most
