"""Limits of connections: how many there may be, and how long each may be silent."""

from __future__ import annotations

import logging
import resource
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from service.settings import Settings

log = logging.getLogger("tsuika")

HEAD_BYTES = 64 * 1024
"""Most bytes of a head, that is address and headers; and of chunk extensions and trailers of a body."""
CLOSING_SECONDS = 2.0
"""How long the sender of a refused request may go on sending, so that it reads the refusal."""
SPARE, SPARE_SECONDS = 64, 1.0
"""Connections beyond the limit, which may ask for health alone, and how soon they must."""
OWN_FILES = 128
"""Files that a process has open besides its connections: database, store, large bodies."""
UNREAD_SECONDS, UNREAD_BYTES = 30.0, 32 * 1024
"""Of an answer that waits for its reader so many bytes must be taken in so long: else nobody reads it in earnest."""
LONG_HEAD, LONG_FRAMES = "Send less; rows belong into the body.", "Leave them out, or declare Content-Length."
SLOW_HEAD, SLOW_BODY = "Send it at once.", "Send it faster, or in parts."
"""Remedies for a request that is too long, or too slow."""
NEWS_SECONDS = 60.0
"""How often the log says at most that there are too many connections."""
FULL_SECONDS = 0.05
"""How soon after a search in vain idle connections are searched for again."""


class Connection(Protocol):
    """A connection of a process."""

    @property
    def waits_since(self) -> float | None:
        """Since when no request of its sender is whole; None while one is answered."""

    def give_way(self) -> None:
        """Closes it at once."""

    def cut_off(self) -> None:
        """Closes it at once, whatever is being answered."""


class Place(Enum):
    """Where a new connection finds room."""

    USUAL = 1
    SPARE = 2
    NONE = 3


class Unsent:
    """Answers of all connections that wait in memory for their readers: beyond `most` bytes those are cut off whose
    readers took nothing for the longest."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._bytes: dict[Connection, int] = {}  # in the order in which they began to wait
        self._sum = 0

    def waits(self, connection: Connection, size: int) -> None:
        """Counts the bytes of a connection that its reader does not take at once."""
        self.goes_on(connection)
        self._bytes[connection] = size
        self._sum += size
        while self._sum > self._most and len(self._bytes) > 1:
            longest = next(iter(self._bytes))
            self.goes_on(longest)
            longest.cut_off()

    def goes_on(self, connection: Connection) -> None:
        """Forgets the bytes of a connection: they were taken, or it is closed."""
        self._sum -= self._bytes.pop(connection, 0)


@dataclass
class Bounds:
    """Limits of the connections of a process. head_seconds: from the first byte of a head, or from the beginning of a
    connection, to its last byte · body_seconds: likewise of a short body · most: connections · unsent_bytes: of answers
    that wait in memory for their readers."""

    head_seconds: float = 10.0
    body_seconds: float = 60.0
    most: int = 5000
    unsent_bytes: int = 256 * 1024 * 1024
    unsent: Unsent = field(init=False)
    _warned_at: float = field(default=-NEWS_SECONDS, init=False)
    _full_until: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.unsent = Unsent(self.unsent_bytes)

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        """The limits under these settings, with as many connections as this process may have open files."""
        most = room_for(settings.max_connections)
        return cls(settings.head_timeout_seconds, settings.body_timeout_seconds, most, settings.unsent_bytes)

    def place(self, connections: Collection[Connection]) -> Place:
        """The place of the newest connection; where there are too many the idle ones are closed, oldest first."""
        if len(connections) <= self.most:
            return Place.USUAL
        now = time.monotonic()
        self._warn(len(connections), now)
        if now >= self._full_until:
            if make_room(connections):
                return Place.USUAL
            self._full_until = now + FULL_SECONDS
        return Place.SPARE if len(connections) <= self.most + SPARE else Place.NONE

    def seconds_of_head(self, place: Place) -> float:
        """How long the first head of a connection in that place may take."""
        return self.head_seconds if place is Place.USUAL else min(SPARE_SECONDS, self.head_seconds)

    def _warn(self, count: int, now: float) -> None:
        if now > self._warned_at + NEWS_SECONDS:
            log.warning("%d connections are open; those that ask nothing are closed (TSUIKA_MAX_CONNECTIONS)", count)
            self._warned_at = now


def make_room(connections: Collection[Connection]) -> bool:
    """Closes an eighth of the idle connections, those that have waited for the longest; -> whether there were any.

    Several at once, since the search looks at every connection.
    """
    idle = [(since, k, c) for k, c in enumerate(connections) if (since := c.waits_since) is not None]
    for _, _, connection in sorted(idle)[: len(idle) // 8 + 1]:
        connection.give_way()
    return bool(idle)


def room_for(connections: int) -> int:
    """How many connections, of those wanted, this process may have at once: each is an open file, and the limit of open
    files is raised as far as it goes."""
    wanted = connections + SPARE + OWN_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = sys.maxsize if hard == resource.RLIM_INFINITY else hard
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    files = min(wanted, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    room = min(connections, max(files - SPARE - OWN_FILES, files // 4))
    if room < connections:
        log.warning("Only %d files may be open here (ulimit -n): there is room for %d connections", files, room)
    return room
