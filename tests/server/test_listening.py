"""The port: who came in stays in, and from one moment on nobody comes in."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from pathlib import Path
from typing import cast

import pytest
import uvloop

from service.errors import ImpossibleSettings
from service.server.listening import accepting, drop_new_connections, listening, locked
from service.settings import Settings


@pytest.mark.skipif(sys.platform != "linux", reason="the filter is Linux's")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_close_cuts_nobody_who_was_let_in(host: str) -> None:
    with listening(Settings(host=host, port=0)) as listener:
        address = listener.getsockname()[:2]
        early = socket.create_connection(address, 5.0)
        drop_new_connections(listener)
        with pytest.raises(TimeoutError):
            socket.create_connection(address, 0.2)
        early.sendall(b"hello")
        accepted, _ = listener.accept()
        assert accepted.recv(5) == b"hello"
        with pytest.raises(BlockingIOError):
            listener.accept()
        threading.Timer(0.2, listener.close).start()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, 5.0)  # it asks a second time, and nobody listens
        accepted.close()
        early.close()


def test_many_connections_are_accepted_in_a_turn_of_the_event_loop(tmp_path: Path) -> None:
    turn, turns = 0, list[int]()

    class Accepted(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            turns.append(turn)
            cast(asyncio.Transport, transport).abort()

    async def turn_after_turn(listener: socket.socket) -> None:
        nonlocal turn
        loop = asyncio.get_running_loop()
        servers = [await loop.create_server(Accepted, sock=accepts) for accepts in accepting(listener)]
        clients = [socket.create_connection(listener.getsockname()) for _ in range(48)]
        while len(turns) < len(clients) and turn < 1000:
            turn += 1
            await asyncio.sleep(0)
        for closes in (*servers, *clients):
            closes.close()
        await asyncio.sleep(0)

    settings = Settings(data=tmp_path, port=0)
    with listening(settings) as listener, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(turn_after_turn(listener))
    assert len(turns) == 48
    assert len(set(turns)) <= 8, "one a turn would take 48 turns"


def test_one_service_a_data_folder_and_a_database_whatever_the_folders_are_called(tmp_path: Path) -> None:
    first = Settings(data=tmp_path / "one")
    (tmp_path / "link").symlink_to(tmp_path / "one")
    by_link = f"sqlite:///{tmp_path}/link/tsuika.db"
    with locked(first, "http://first"):
        for other, setting in [
            (first, "TSUIKA_DATA"),
            (Settings(data=tmp_path / "link"), "TSUIKA_DATA"),
            (Settings(data=tmp_path / "two", database_url=first.database_url), "TSUIKA_DATABASE_URL"),
            (
                Settings(data=tmp_path / "two", database_url=by_link),
                "TSUIKA_DATABASE_URL",
            ),
        ]:
            with pytest.raises(ImpossibleSettings, match=f"http://first.*{setting}"), locked(other, "http://second"):
                pass
        with locked(Settings(data=tmp_path / "three"), "http://third"):
            pass
    with locked(Settings(data=tmp_path / "two", database_url=first.database_url), "http://second"):
        pass
