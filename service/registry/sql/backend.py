"""What the databases do each in their own way; `Database` is the same on all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from service.errors import TsuikaError

BUSY_SECONDS = 5.0
"""How long a write waits for the one before it."""
Marks = tuple[int, int]
E = TypeVar("E", bound=Exception)


@dataclass(frozen=True)
class Bounds:
    """What one process may take of a database that several share. `kept`, `most`: connections for reads, and as many
    for writes, that stay open, and in all."""

    kept: int = 8
    most: int = 32
    lock_seconds: float = BUSY_SECONDS
    statement_seconds: float = 60.0


class Backend(Protocol):
    """One database, by two engines: many readers, and writers of which one at a time is at work."""

    name: str
    """How people know it: its file, or its address without the password."""
    readers: Engine
    writers: Engine

    def require_place(self) -> None:
        """Raises NotWritable where what is written now would be lost."""

    def begun(self, connection: Connection) -> None:
        """Called once a transaction that writes has begun. Raises SchemaMismatch where the tables are not ours."""

    def committing(self, connection: Connection) -> None:
        """Called before its commit."""

    def committed(self, connection: Connection) -> Marks | None:
        """Called after it. -> `mark` before and after it, None where others may have committed in between"""

    def refusal(self, error: DBAPIError) -> TsuikaError | None:
        """The error for what the database said, where it may pass or can be mended."""

    def mark(self) -> int:
        """Another number once anybody has committed anything. Takes microseconds, in any thread."""

    def trouble(self) -> str | None:
        """Why nothing can be written, if that is known. Takes microseconds."""

    def foreign(self) -> str | None:
        """Why this version must not write the tables, where another one has upgraded them meanwhile. As quick."""

    def faults(self) -> list[str]:
        """Sentences on what is damaged in its own files, as far as it can tell."""

    def snapshot(self, file: Path) -> None:
        """Writes all of one moment into a new file of SQLite, while others read and write. Raises DiskFull."""

    def scrub(self) -> None:
        """Removes what deleted and replaced rows have left in the files. Raises Busy, DiskFull, NotWritable."""

    def close(self) -> None: ...


@contextmanager
def refusing(kind: type[E], refusal: Callable[[E], TsuikaError | None]) -> Iterator[None]:
    """Raises errors of that kind as ours, where there is one for them."""
    try:
        yield
    except kind as error:
        if (ours := refusal(error)) is not None:
            raise ours from error
        raise
