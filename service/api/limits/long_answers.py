"""Long answers: how many scores they may hold, and how they are written without holding up other requests.

An answer of many rows or classes leaves in pieces, as fast as its reader takes them: what is not taken is not made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from functools import partial
from typing import NamedTuple

from starlette.types import Receive, Scope, Send

from service.api.limits.request_checks import AFTERWARDS, SenderGone, gone
from service.api.problems import Headers
from service.errors import Busy, InvalidContent
from service.serving.kinds.kind import Listing

log = logging.getLogger("tsuika.requests")

MOST_SCORES = 100_000
"""Scores that one answer lists as text, where it lists more than the best class, or one number, of each row. Each takes
the event loop 0.4 us and up to a kilobyte: a row of four bytes may ask for a thousand."""
MOST_BINARY_SCORES = 1_000_000
"""Scores of one answer that lists them as bytes, which are copied."""
WHOLE_BYTES = 256 * 1024
"""A shorter answer leaves in one piece, with its length."""
PIECE_BYTES = 64 * 1024
"""About as many bytes of a longer answer leave at once."""

Pieces = Callable[[], Iterator[bytes]]
"""Returns the pieces of an answer anew each time; making a piece takes about 0.1 ms."""


class WrittenAnswer(NamedTuple):
    """An answer with status 200. `rest`: the pieces that follow `data`; None where there are none."""

    data: bytes
    headers: Headers
    media: bytes = b"application/json"
    rest: AsyncGenerator[bytes, None] | None = None


def check_scores(rows: int, a_row: int, most: int, listing: Listing) -> None:
    """Raises InvalidContent where an answer of so many scores a row would list more of them than one may."""
    if rows * a_row > most:
        many = f"{rows:,} rows with {a_row:,} {listing.noun} each are {rows * a_row:,} scores"
        raise InvalidContent.at(listing.pointer, f"{many}; an answer lists at most {most:,}. {listing.remedy}")


class LongAnswers:
    """The long answers of a process. One at a time writes a piece, so that however many of them are written, other
    requests have their turn between two pieces.

    most: scores of all that are being made or written; one that is longer is answered alone."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._writing = asyncio.Lock()
        self._scores = 0

    def admit(self, scope: Scope, scores: int) -> None:
        """Reserves room for an answer of so many scores until the request is over. Raises Busy."""
        if self._scores and self._scores + scores > self._most:
            raise Busy("As many long answers as may be made at once are. Ask again in a moment, or for less.", 2)
        self._scores += scores
        scope[AFTERWARDS].append(partial(self._release, scores))

    def _release(self, scores: int) -> None:
        self._scores -= scores

    async def by_turns(self, pieces: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Joins pieces until they are worth sending. A thread would be no better: it holds up the event loop, too."""
        batch, size = list[bytes](), 0
        while True:
            async with self._writing:
                piece = next(pieces, None)
                await asyncio.sleep(0)
            if piece is None:
                break
            batch.append(piece)
            size += len(piece)
            if size >= PIECE_BYTES:
                yield b"".join(batch)
                batch, size = [], 0
        if batch:
            yield b"".join(batch)

    async def length(self, pieces: Pieces) -> int:
        """The number of bytes of all pieces."""
        return sum([len(piece) async for piece in self.by_turns(pieces())])

    async def written(
        self, scope: Scope, pieces: Pieces, headers: Headers, media: bytes = b"application/json"
    ) -> WrittenAnswer:
        """The answer, in one piece where it is at most WHOLE_BYTES long."""
        rest = self.by_turns(pieces())
        first, size = list[bytes](), 0
        async for piece in rest:
            first.append(piece)
            size += len(piece)
            if size > WHOLE_BYTES:
                break
        else:
            return WrittenAnswer(b"".join(first), headers, media)
        if scope.get("http_version") == "1.0":  # which knows no chunks: it needs the length beforehand
            headers = [*headers, (b"content-length", b"%d" % await self.length(pieces))]
        return WrittenAnswer(b"".join(first), headers, media, rest)


async def write(answer: WrittenAnswer, receive: Receive, send: Send, seconds: float) -> None:
    """Sends a long answer as fast as its reader takes it, until it hangs up or so many seconds have passed.

    Raises SenderGone, TimeoutError.
    """
    assert answer.rest is not None
    headers = [(b"content-type", answer.media), *answer.headers]
    hung_up = asyncio.ensure_future(gone(receive))
    try:
        async with aclosing(answer.rest), asyncio.timeout(seconds):
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": answer.data, "more_body": True})
            async for piece in answer.rest:
                if hung_up.done():
                    raise SenderGone
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
    finally:
        hung_up.cancel()
