"""Head and body of an answer leave in one write; a head without a body leaves by itself."""

from __future__ import annotations

import asyncio

from service.api.corked import Corked

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Noted(asyncio.Transport):
    """What was written, and whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def test_head_and_body_are_one_write() -> None:
    async def go() -> Noted:
        wire = Noted()
        corked = Corked(wire, asyncio.get_running_loop())
        for body in (b"{}", b"[]"):
            corked.write(HEAD)
            corked.write(body)
        corked.write(b"more")
        await asyncio.sleep(0)
        return wire

    assert asyncio.run(go()).written == [HEAD + b"{}", HEAD + b"[]", b"more"]


def test_a_head_whose_body_comes_later_does_not_wait_for_it() -> None:
    async def go() -> Noted:
        wire = Noted()
        corked = Corked(wire, asyncio.get_running_loop())
        corked.write(HEAD)
        await asyncio.sleep(0)
        assert wire.written == [HEAD]
        corked.write(b"data: 1\n\n")
        return wire

    assert asyncio.run(go()).written == [HEAD, b"data: 1\n\n"]


def test_nothing_is_lost_by_closing() -> None:
    async def go() -> Noted:
        wire = Noted()
        corked = Corked(wire, asyncio.get_running_loop())
        corked.write(HEAD)
        corked.close()
        await asyncio.sleep(0)
        assert corked.is_closing()
        return wire

    found = asyncio.run(go())
    assert (found.written, found.closed) == ([HEAD], True)
