"""How many connections there may be, and how long each may keep still."""

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
"""Of a head: address and headers; and of what frames a body: extensions of chunks and trailers."""
KEEP_ALIVE_SECONDS = 75
"""How long a connection may ask nothing after an answer."""
CLOSING_SECONDS = 2.0
"""How long the sender of what was refused may go on sending, so that it reads the refusal."""
SPARE, SPARE_SECONDS = 64, 1.0
"""Connections beyond the most, which may ask for health alone, and at once."""
OWN_FILES = 128
"""Files that a process has open besides its connections: database, store, large bodies."""
MOST_UNSENT = 256 * 1024 * 1024
"""Bytes of answers that wait in memory to be taken, of all connections."""
NEWS_SECONDS = 60.0
FULL_SECONDS = 0.05
"""Where nobody gave way it is not looked for anybody again so soon."""


class Connection(Protocol):
    """One of a process."""

    @property
    def waits_since(self) -> float | None:
        """Since when its sender has asked nothing that is whole; None where something is."""
        ...

    def give_way(self) -> None:
        """Close it at once."""
        ...

    def cut_off(self) -> None:
        """The same, whatever is being answered."""
        ...


class Place(Enum):
    """Of a new connection."""

    USUAL = 1
    SPARE = 2
    NONE = 3


class Unsent:
    """Answers that wait in memory to be taken, of all connections: beyond `MOST_UNSENT` bytes those whose readers took
    nothing for the longest are cut off."""

    def __init__(self) -> None:
        self._bytes: dict[Connection, int] = {}  # in the order in which they began to wait
        self._sum = 0

    def waits(self, connection: Connection, size: int) -> None:
        """So many bytes of its answers are there that its reader does not take at once."""
        self.goes_on(connection)
        self._bytes[connection] = size
        self._sum += size
        while self._sum > MOST_UNSENT and len(self._bytes) > 1:
            longest = next(iter(self._bytes))
            self.goes_on(longest)
            longest.cut_off()

    def goes_on(self, connection: Connection) -> None:
        """They were taken, or the connection is no more."""
        self._sum -= self._bytes.pop(connection, 0)


@dataclass
class Bounds:
    """Of the connections of a process. head_seconds: from the first byte of a head, or from the beginning of a
    connection, until it is whole · body_seconds: likewise of a short body · most: connections."""

    head_seconds: float = 10.0
    body_seconds: float = 60.0
    most: int = 5000
    unsent: Unsent = field(default_factory=Unsent, init=False)
    _told_at: float = field(default=-NEWS_SECONDS, init=False)
    _full_until: float = field(default=0.0, init=False)

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        """As the settings have them, and as many connections as this process may have open files."""
        most = room_for(settings.max_connections)
        return cls(settings.head_timeout_seconds, settings.body_timeout_seconds, most)

    def place(self, connections: Collection[Connection]) -> Place:
        """Of the newest of them. Where there are too many those that have asked nothing for the longest give way."""
        if len(connections) <= self.most:
            return Place.USUAL
        now = time.monotonic()
        self._tell(len(connections), now)
        if now >= self._full_until:
            if make_room(connections):
                return Place.USUAL
            self._full_until = now + FULL_SECONDS
        return Place.SPARE if len(connections) <= self.most + SPARE else Place.NONE

    def seconds_of_head(self, place: Place) -> float:
        """How long the first head of a connection there may take."""
        return self.head_seconds if place is Place.USUAL else min(SPARE_SECONDS, self.head_seconds)

    def _tell(self, count: int, now: float) -> None:
        if now > self._told_at + NEWS_SECONDS:
            log.warning("%d connections are open; those that ask nothing are closed (TSUIKA_MAX_CONNECTIONS)", count)
            self._told_at = now


def make_room(connections: Collection[Connection]) -> bool:
    """Whether some ask nothing: of these an eighth are closed, those that have waited for the longest. Several, since
    looking for them takes as long as there are connections."""
    idle = [(since, k, one) for k, one in enumerate(connections) if (since := one.waits_since) is not None]
    for _, _, one in sorted(idle)[: len(idle) // 8 + 1]:
        one.give_way()
    return bool(idle)


def room_for(connections: int) -> int:
    """How many connections this process may have at once, at most so many: each is an open file, and the limit of
    those is raised as far as it goes."""
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


UNREAD_SECONDS, UNREAD_BYTES = 30.0, 32 * 1024
"""Of an answer that waits to be taken, so many bytes must go in so long: else nobody reads it, or nobody in earnest."""


LONG_HEAD, LONG_FRAMES = "Send less; rows belong into the body.", "Leave them out, or declare Content-Length."


SLOW_HEAD, SLOW_BODY = "Send it at once.", "Send it faster, or in parts."
"""What to do about a request that is too long, or too slow."""
