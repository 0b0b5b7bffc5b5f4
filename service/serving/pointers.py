"""Where the names of every model point, in memory: which version is live, which was before it, and the aliases."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from service.errors import NotFound, NotLive
from service.registry import aliases, models
from service.registry.aliases import Pointers
from service.registry.sql.database import Database


class Pointing:
    """As the database had it at the last look. Looking up takes no lock and does no I/O."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pointers: dict[str, Pointers] = {}
        self._lock = threading.Lock()

    @contextmanager
    def looking(self) -> Iterator[Connection]:
        """A look at the database that no other look overtakes: what is put in memory within it is the newest."""
        with self._lock, self._database.looking() as reader:
            yield reader

    def read_all(self, reader: Connection) -> None:
        """Of all models; within `looking`."""
        self._pointers = aliases.pointers(reader)

    def read(self, reader: Connection, name: str) -> Pointers:
        """Of one model; within `looking`. Raises NotFound."""
        found = aliases.pointers(reader, name).get(name)
        if found is None:
            self.drop(name)
            raise models.unknown(name)
        self._pointers[name] = found
        return found

    def look(self, name: str) -> Pointers:
        """Of one model, now. Raises NotFound."""
        with self.looking() as reader:
            return self.read(reader, name)

    def drop(self, name: str) -> None:
        """Forget a model."""
        self._pointers.pop(name, None)

    def knows(self, name: str) -> bool:
        """Whether the model was there."""
        return name in self._pointers

    def live(self, name: str) -> int | None:
        """The number of the live version."""
        pointers = self._pointers.get(name)
        return pointers.live if pointers is not None else None

    def pinned(self, name: str) -> Collection[int]:
        """Numbers of the versions that stay loaded with the live one."""
        pointers = self._pointers.get(name)
        return () if pointers is None or pointers.previous is None else (pointers.previous,)

    def number(self, name: str, text: str) -> int | None:
        """Of the version that a path names; null: ask the database, it may be newer than the last look."""
        if (number := aliases.number_in(text)) is not None:
            return number
        try:
            return self._pointers[name].number(name, text)
        except (KeyError, NotFound, NotLive):
            return None
