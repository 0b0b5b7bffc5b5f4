"""SQLite: WAL, synchronous=FULL, foreign keys, our own BEGIN (Python's driver opens no transaction before DDL, and a
deferred one would fail at its first write instead of waiting). All writes of a process go through one connection."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError, OperationalError, TimeoutError
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from service.errors import Busy, DiskFull, NotWritable, SchemaMismatch, TsuikaError
from service.registry.sql import database, schema, unopened
from service.registry.sql.database import Database, Look, Marks, refusing
from service.tuning import room

LARGEST_LOG = 16 * 2**20
"""To so many bytes the log is cut back once a long reader, as of a backup, lets it: less than the room on the disk that
stays free."""
MOST_FAULTS = 20
"""Faults of its pages that are told."""


class Sqlite(Database):
    """A file of SQLite."""

    def __init__(self, url: str, file: Path) -> None:
        self.file = file
        readers = engine_of(url, begin="BEGIN", pool_size=8, max_overflow=24)
        super().__init__(url, str(file), readers, engine_of(url, begin="BEGIN IMMEDIATE", pool_size=1, max_overflow=0))
        self._identity = _identity(self.file)
        self._watching: PoolProxiedConnection | None = None
        self._marking = threading.Lock()
        self._ours: object = None  # the writer, and what it saw of others' commits when the tables were last ours
        self._began: tuple[int, int] = (0, 0)  # `mark` and the writer's view of others' commits
        self._foreign: tuple[int, str | None] | None = None  # mark, and what is wrong with the tables since

    def _require_place(self) -> None:
        if (trouble := self.trouble()) is not None:
            raise NotWritable(trouble)  # open connections would go on writing to what nobody finds again

    @contextmanager
    def _naming(self, look: Look) -> Iterator[None]:
        with self._bytes(fcntl.LOCK_SH):
            look()
            yield

    def _begun(self, connection: Connection, look: Look | None) -> float | None:
        self._began = self.mark(), _commits(connection.connection)
        state = connection.connection.driver_connection, self._began[1]
        if state != self._ours:  # what others have committed may be other tables
            schema.check(self.name, connection.scalar(text(schema.REVISION)))
            self._ours = state
        return None

    @contextmanager
    def _alone_with_bytes(self) -> Iterator[Connection]:
        with self._bytes(fcntl.LOCK_EX), self.readers.connect() as connection:
            yield connection

    @contextmanager
    def _bytes(self, kind: int) -> Iterator[None]:
        """Holds the lock of who names bytes (shared) or deletes them (alone): that of the folder, which needs no room
        on a full disk. Raises Busy, NotWritable."""
        self._require_place()
        folder, end = os.open(self.file.parent, os.O_RDONLY | os.O_DIRECTORY), time.monotonic() + database.BUSY_SECONDS
        try:
            while True:
                try:
                    fcntl.flock(folder, kind | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise Busy("Stored bytes are being deleted, or named, by others; try again.") from None
                    time.sleep(0.005)
            yield
        finally:
            os.close(folder)

    def _committing(self, connection: Connection) -> None:
        pass

    def _committed(self, connection: Connection) -> Marks | None:
        (before, commits), after = self._began, self.mark()
        return (before, after) if _commits(connection.connection) == commits else None

    def _refusal(self, error: DBAPIError) -> TsuikaError | None:
        return _refusal(error) if isinstance(error, OperationalError) else None

    def mark(self) -> int:
        with self._marking:
            return _commits(self._watch())

    def trouble(self) -> str | None:
        """Three calls of the kernel: the file was moved, replaced or made read-only."""
        identity = _identity(self.file)
        if self._identity is None:
            self._identity = identity  # the first connection makes it
        elif identity is None:
            return "The database was moved or deleted while the service ran: put it back, or start the service anew."
        elif identity != self._identity:
            return "Another file lies where the database was: put that back, or start the service anew."
        if identity is not None and not (_writable(self.file) and _writable(self.file.parent)):
            return "The database or its folder is read-only: make both writable for the user of the service."
        return None

    def foreign(self) -> str | None:
        """It reads one row, and only once somebody has committed something."""
        with self._marking:
            watching = self._watch()
            mark = _commits(watching)
            if self._foreign is None or self._foreign[0] != mark:
                revision = _rows(watching, schema.REVISION)
                try:
                    schema.check(self.name, revision[0][0] if revision else None)
                    self._foreign = mark, None
                except SchemaMismatch as mismatch:
                    self._foreign = mark, mismatch.detail
            return self._foreign[1]

    def faults(self) -> list[str]:
        with closing(self.readers.raw_connection()) as connection:
            try:
                damaged = [str(row[0]) for row in _rows(connection, f"PRAGMA integrity_check({MOST_FAULTS})")]
                astray = _rows(connection, "PRAGMA foreign_key_check")
            except sqlite3.DatabaseError as error:
                damaged, astray = [str(error)], []
        sentences = [f"The database is damaged: {words}." for words in damaged if words != "ok"]
        if astray:
            sentences.append(f"{len(astray)} rows name others that are not there, the first in {astray[0][0]}.")
        return sentences

    def _copy(self, file: Path) -> None:
        """It holds up nobody: the log grows meanwhile. Nothing of deleted rows is in the new file."""
        with refusing(sqlite3.OperationalError, _refusal), closing(self.readers.raw_connection()) as connection:
            driver = connection.driver_connection
            assert driver is not None
            driver.execute("VACUUM INTO ?", (str(file),))

    def scrub(self) -> None:
        """Rewrites the file and empties its log: nothing of what was deleted or replaced is left in either.

        SQLite overwrites what is deleted (secure_delete), but not the copies that stay behind where rows have moved
        from page to page, and the log holds pages as they were. Others write when it is done: about a second for 100
        MB.
        """
        try:
            with refusing(sqlite3.OperationalError, _refusal), closing(self.writers.raw_connection()) as connection:
                _rows(connection, "VACUUM")
                [(busy, _, _)] = _rows(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
        except TimeoutError:
            raise Busy("Another write is still at work; try again.") from None
        if busy:
            raise Busy("The database is being read; try again.")

    def close(self) -> None:
        with self._marking:
            if self._watching is not None:
                self._watching.close()
            self._watching = None
        super().close()

    def _watch(self) -> PoolProxiedConnection:
        """A connection that begins no transaction; the caller holds `_marking`."""
        if self._watching is None:
            self._watching = self.readers.raw_connection()
        return self._watching


def prepare(url: str, revision: str) -> None:
    """Brings the tables to that revision: see `database.migrate`."""
    engine = engine_of(url, begin="BEGIN IMMEDIATE", pool_size=1, max_overflow=0, foreign_keys=False)
    try:
        with refusing(OperationalError, _refusal):
            unopened.require_upgradable(url)
            with engine.begin() as connection:
                if _at_head(connection):
                    return
                schema.upgrade(connection, revision)
                if broken := connection.execute(text("PRAGMA foreign_key_check")).all():
                    raise SchemaMismatch(
                        f"The upgrade of {engine.url.database} would leave {len(broken)} rows that name others which "
                        f"are not there, the first in {broken[0][0]}: nothing was changed. "
                        "Restore the file from a copy."
                    )
    finally:
        engine.dispose()


def _at_head(connection: Connection) -> bool:
    """Whether the last migration was run."""
    if not inspect(connection).has_table("alembic_version"):
        return False
    return bool(connection.scalar(text(schema.REVISION)) == schema.revisions()[-1])


def engine_of(url: str, begin: str, pool_size: int, max_overflow: int, foreign_keys: bool = True) -> Engine:
    """An engine whose transactions begin with that statement."""
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=database.BUSY_SECONDS,
        connect_args={"timeout": database.BUSY_SECONDS, "check_same_thread": False, "isolation_level": None},
    )
    keys = f"foreign_keys={'ON' if foreign_keys else 'OFF'}"

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: Any) -> None:
        log_limit = f"journal_size_limit={LARGEST_LOG}"
        for pragma in ("journal_mode=WAL", "synchronous=FULL", keys, "secure_delete=ON", log_limit):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _identity(file: Path) -> tuple[int, int] | None:
    """Device and number of a file: another one has others, whatever its name. None where it is missing."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _refusal(error: Exception) -> TsuikaError | None:
    """The error for SQLite's words about a failed write, where it may pass or can be mended."""
    words = str(getattr(error, "orig", error))
    if "locked" in words:
        return Busy("The database is held by another write; try again.")
    if "full" in words:
        return DiskFull(f"The database has no room left; nothing was stored. {room.REMEDY}")
    if any(sign in words for sign in ("readonly", "unable to open", "disk I/O")):
        return NotWritable(
            f"The database cannot be written ({words}): see that its disk, folder and file are writable."
        )
    return None


def _commits(connection: PoolProxiedConnection) -> int:
    """Another number once anybody but this connection has committed anything; it reads no table."""
    return int(_rows(connection, "PRAGMA data_version")[0][0])


def _rows(connection: PoolProxiedConnection, statement: str) -> list[tuple[Any, ...]]:
    """Runs a statement outside any transaction of SQLAlchemy's; -> its rows."""
    driver = connection.driver_connection
    assert driver is not None
    rows: list[tuple[Any, ...]] = driver.execute(statement).fetchall()
    return rows
