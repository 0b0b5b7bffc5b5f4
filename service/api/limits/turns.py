"""Requests that write take turns: so many at a time, apart from those that read, and so many more may wait.

Each works in a thread that waits for the disk and for the writer of the database. A rollback does not wait for uploads
of rows, nor a small body for large ones, which are read one after another.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from starlette.types import Scope

from service.api.limits.bodies import body_of, brings_rows
from service.api.limits.request_checks import AFTERWARDS, WRITES
from service.api.reader.spool import Spooled
from service.errors import Busy
from service.settings import Settings

ROWS, ORDERS, LARGE = 8, 4, 4
"""Requests at a time: uploads of rows, all other orders, and large bodies."""
WRITERS = ROWS + ORDERS + LARGE
"""Threads of handlers that write."""
READERS = 12
"""Threads of handlers that read: at most so many of these at once."""
TURN = "tsuika.turn"
"""In the scope of a request that writes: its turn."""


@dataclass
class Lane:
    """The queue of one kind of requests: `at_once` have their turn, `waiting` more may wait."""

    at_once: int
    waiting: int
    _waits: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._free = asyncio.Semaphore(self.at_once)

    @property
    def waits(self) -> int:
        """Requests that wait."""
        return self._waits

    async def turn(self) -> Turn:
        """Waits for a turn, behind those who came before. Raises Busy."""
        if self._free.locked() and self._waits >= self.waiting:
            raise Busy("As many requests of this kind as may wait do. Send it again in a moment.", retry_after=2)
        self._waits += 1
        try:
            await self._free.acquire()
        finally:
            self._waits -= 1
        return Turn(self._free)


class Turn:
    """The turn of a request; it may end before the request does, and ends once."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free: asyncio.Semaphore | None = free

    def end(self) -> None:
        """Ends the turn: the next request may begin."""
        free, self._free = self._free, None
        if free is not None:
            free.release()


class Turns:
    """The turns of a process, one queue for each kind of requests."""

    def __init__(self, settings: Settings) -> None:
        self.rows, self.orders = (Lane(at_once, settings.waiting_requests) for at_once in (ROWS, ORDERS))
        self.large = Lane(LARGE, settings.waiting_large_bodies)

    async def wait(self, scope: Scope) -> None:
        """Waits until a request that writes has its turn, which ends with it; one that reads has none. Raises Busy."""
        if scope["method"] not in WRITES:
            return
        turn = await self._lane(scope).turn()
        scope[TURN] = turn
        scope[AFTERWARDS].append(turn.end)

    def _lane(self, scope: Scope) -> Lane:
        if isinstance(scope["tsuika.body"], Spooled) or body_of(scope).weights:
            return self.large
        return self.rows if brings_rows(scope) else self.orders
