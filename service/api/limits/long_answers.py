"""Long answers: how many scores they may hold, and how they are written while others have their turn.

An answer of many rows or classes leaves in pieces, as fast as its reader takes them: what is not taken is not made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from functools import partial
from typing import NamedTuple

from service.api.limits.request_checks import AFTERWARDS, Receive, Scope, Send, SenderGone, gone
from service.api.problems import Headers
from service.errors import Busy, InvalidContent

log = logging.getLogger("tsuika.requests")

MOST_SCORES = 100_000
"""Scores that one answer lists as text, where it lists more than the best class of each row. Each takes the event loop
0.4 us and up to a kilobyte: a row of four bytes may ask for a thousand."""
MOST_BINARY_SCORES = 1_000_000
"""The same, of scores as bytes, which are copied."""
MOST_AT_ONCE = 4_000_000
"""Scores of all long answers that are being made or written: about 50 MB. One that is longer is answered alone."""
WHOLE_BYTES = 256 * 1024
"""A shorter answer leaves in one piece, with its length."""
PIECE_BYTES = 64 * 1024
"""About so much of a longer one leaves at once."""

Pieces = Callable[[], Iterator[bytes]]
"""Gives the pieces of an answer anew each time; making one takes about 0.1 ms."""


class Told(NamedTuple):
    """An answer, with status 200. `rest`: the pieces that follow `data`; null where that is all."""

    data: bytes
    headers: Headers
    media: bytes = b"application/json"
    rest: AsyncGenerator[bytes, None] | None = None


def check_scores(rows: int, classes: int, most: int, pointer: str, remedy: str) -> None:
    """Raises InvalidContent where an answer of so many classes a row would list more scores than one may."""
    if rows * classes > most:
        many = f"{rows:,} rows with {classes:,} classes each are {rows * classes:,} scores"
        raise InvalidContent.at(pointer, f"{many}; an answer lists at most {most:,}. {remedy}")


class LongAnswers:
    """Of a process. The one who writes a piece has the pen; the others wait for it, so that however many long answers
    are written, between two of their pieces everybody else has a turn."""

    def __init__(self) -> None:
        self._pen = asyncio.Lock()
        self._scores = 0

    def admit(self, scope: Scope, scores: int) -> None:
        """Room for an answer of so many scores until the request is over. Raises Busy."""
        if self._scores and self._scores + scores > MOST_AT_ONCE:
            raise Busy("As many long answers as may be made at once are. Ask again in a moment, or for less.", 2)
        self._scores += scores
        scope[AFTERWARDS].append(partial(self._release, scores))

    def _release(self, scores: int) -> None:
        self._scores -= scores

    async def by_turns(self, pieces: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Pieces that are worth sending. A thread would be no better: it and the event loop hold up one another."""
        written, size = list[bytes](), 0
        while True:
            async with self._pen:
                piece = next(pieces, None)
                await asyncio.sleep(0)
            if piece is None:
                break
            written.append(piece)
            size += len(piece)
            if size >= PIECE_BYTES:
                yield b"".join(written)
                written, size = [], 0
        if written:
            yield b"".join(written)

    async def length(self, pieces: Pieces) -> int:
        """Bytes of all of them."""
        return sum([len(piece) async for piece in self.by_turns(pieces())])

    async def told(self, scope: Scope, pieces: Pieces, headers: Headers, media: bytes = b"application/json") -> Told:
        """Whole, where it is not so long after all."""
        rest = self.by_turns(pieces())
        begun, size = list[bytes](), 0
        async for piece in rest:
            begun.append(piece)
            size += len(piece)
            if size > WHOLE_BYTES:
                break
        else:
            return Told(b"".join(begun), headers, media)
        if scope.get("http_version") == "1.0":  # which knows no pieces: it is told the length beforehand
            headers = [*headers, (b"content-length", b"%d" % await self.length(pieces))]
        return Told(b"".join(begun), headers, media, rest)


async def write(told: Told, receive: Receive, send: Send, seconds: float) -> None:
    """Send a long answer as fast as its reader takes it. One who has hung up, or has not taken it in so many seconds,
    gets no more of it. Raises SenderGone, TimeoutError."""
    assert told.rest is not None
    headers = [(b"content-type", told.media), *told.headers]
    hung_up = asyncio.ensure_future(gone(receive))
    try:
        async with aclosing(told.rest), asyncio.timeout(seconds):
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": told.data, "more_body": True})
            async for piece in told.rest:
                if hung_up.done():
                    raise SenderGone
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
    finally:
        hung_up.cancel()
