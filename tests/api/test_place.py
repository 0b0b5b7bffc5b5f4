"""The port: who came in stays in, and from one moment on nobody comes in."""

from __future__ import annotations

import socket
import sys
import threading

import pytest

from service.api.place import let_nobody_in, listening
from service.settings import Settings


@pytest.mark.skipif(sys.platform != "linux", reason="the filter is Linux's")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_close_cuts_nobody_who_was_let_in(host: str) -> None:
    with listening(Settings(host=host, port=0)) as listener:
        address = listener.getsockname()[:2]
        early = socket.create_connection(address, 5.0)
        let_nobody_in(listener)
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
