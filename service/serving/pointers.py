"""The pointers of every model, in memory: the live version, the one before it, and the aliases."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection

from service.errors import NotFound, NotLive
from service.registry import aliases, models
from service.registry.aliases import Pointers
from service.registry.sql.database import Database, Reader
from service.serving.loaded_versions import USUAL_LEVEL


class PointerTable:
    """Pointers as of the last read of the database. Looking one up takes no lock and does no I/O."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pointers: dict[str, Pointers] = {}
        self.lock = threading.Lock()
        """Held from before a reader begins, so that no older state overwrites a newer one in memory."""

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Opens the database for one reader at a time."""
        with self.lock, self._database.looking() as reader:
            yield reader

    def read_all(self, reader: Reader) -> None:
        """Reads the pointers of all models, within `reading`."""
        self._pointers = aliases.pointers(reader)

    def read(self, reader: Connection, name: str) -> Pointers:
        """Reads the pointers of one model, within `reading`. Raises NotFound."""
        pointers = aliases.pointers(reader, name).get(name)
        if pointers is None:
            self.drop(name)
            raise models.unknown(name)
        self._pointers[name] = pointers
        return pointers

    def refresh(self, name: str) -> Pointers:
        """Reads the pointers of one model. Raises NotFound."""
        with self.reading() as reader:
            return self.read(reader, name)

    def drop(self, name: str) -> None:
        self._pointers.pop(name, None)

    def knows(self, name: str) -> bool:
        """Whether the model existed at the last read."""
        return name in self._pointers

    def live(self, name: str) -> int | None:
        pointers = self._pointers.get(name)
        return pointers.live if pointers is not None else None

    def all_live(self) -> dict[str, int]:
        """The number of the live version, by model."""
        return {name: p.live for name, p in list(self._pointers.items()) if p.live is not None}

    def pinned(self, name: str) -> Collection[int]:
        """Numbers of the versions that stay loaded with the live one."""
        pointers = self._pointers.get(name)
        return () if pointers is None or pointers.previous is None else (pointers.previous,)

    def level(self, name: str) -> float:
        pointers = self._pointers.get(name)
        return USUAL_LEVEL if pointers is None or pointers.level is None else pointers.level

    def leave_out(self, name: str) -> Sequence[str]:
        pointers = self._pointers.get(name)
        return () if pointers is None else pointers.leave_out

    def number(self, name: str, text: str) -> int | None:
        """The number of the version that a path names, or None if only the database knows."""
        if (number := aliases.number_in(text)) is not None:
            return number
        try:
            return self._pointers[name].number(name, text)
        except (KeyError, NotFound, NotLive):
            return None
