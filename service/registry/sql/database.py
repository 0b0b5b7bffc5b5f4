"""The database: `reading()` sees one moment, `writing()` is one story that is wholly true or wholly absent.

SQLite: WAL, synchronous=FULL, foreign keys, our own BEGIN (Python's driver opens no transaction before DDL, and a
deferred one would fail at its first write instead of waiting). All writes of a process go through one connection.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, TimeoutError
from sqlalchemy.orm import Session
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from service.errors import Busy, DiskFull, ImpossibleSettings, NotWritable, SchemaMismatch, TsuikaError
from service.registry.sql import schema

BUSY_SECONDS = 5.0
"""How long a write waits for the one before it."""
Reader = Session | Connection
"""Runs a query that returns columns."""
Marks = tuple[int, int]
_MARKS = "marks"
LARGEST = 2**63 - 1
"""The largest whole number that a column holds."""


class Database:
    """Two engines on one database: many readers, one writer."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.file = Path(str(make_url(url).database))
        self._identity = _identity(self.file)
        self._readers = _engine(url, begin="BEGIN", pool_size=8, max_overflow=24)
        self._writer = _engine(url, begin="BEGIN IMMEDIATE", pool_size=1, max_overflow=0)
        self._watching: PoolProxiedConnection | None = None
        self._marking = threading.Lock()
        self._ours: object = None  # the writer, and what it saw of others' commits when the tables were last ours
        self._foreign: tuple[int, str | None] | None = None  # mark, and what is wrong with the tables since

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session on one moment; nothing it changes is kept. Rows that were read stay readable after the block."""
        with Session(self._readers, expire_on_commit=False, autoflush=False) as session:
            yield session
            session.expunge_all()  # a rollback would empty them
            session.rollback()

    @contextmanager
    def looking(self) -> Iterator[Connection]:
        """As `reading`, for queries of columns alone: half the work."""
        with self._readers.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that commits when the block ends well, and otherwise leaves no trace. Raises Busy, DiskFull,
        NotWritable, and SchemaMismatch where another version has upgraded the tables meanwhile."""
        if (trouble := self.trouble()) is not None:
            raise NotWritable(trouble)  # open connections would go on writing to what nobody finds again
        try:
            with self._writer.connect() as connection, Session(connection, expire_on_commit=False) as session:
                session.connection()
                before, commits = self.mark(), _commits(connection.connection)
                state = connection.connection.driver_connection, commits
                if state != self._ours:  # what others have committed may be other tables
                    schema.check(self.file, session.scalar(text(schema.REVISION)))
                    self._ours = state
                yield session
                session.commit()
                after = self.mark()
                if _commits(connection.connection) == commits:
                    session.info[_MARKS] = before, after
        except TimeoutError:
            raise Busy("Another write is still at work; try again.") from None
        except OperationalError as error:
            if (refusal := _refusal(str(error.orig))) is not None:
                raise refusal from error
            raise

    def scrub(self) -> None:
        """Rewrites the file and empties its log: nothing of what was deleted or replaced is left in either.

        SQLite overwrites what is deleted (secure_delete), but not the copies that stay behind where rows have moved
        from page to page, and the log holds pages as they were. Others write when it is done: about a second for 100
        MB. Raises Busy, DiskFull, NotWritable.
        """
        try:
            connection = self._writer.raw_connection()
            try:
                _rows(connection, "VACUUM")
                [(busy, _, _)] = _rows(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                connection.close()
        except TimeoutError:
            raise Busy("Another write is still at work; try again.") from None
        except sqlite3.OperationalError as error:
            if (refusal := _refusal(str(error))) is not None:
                raise refusal from error
            raise
        if busy:
            raise Busy("The database is being read; try again.")

    def trouble(self) -> str | None:
        """Why nothing can be written, if so: the file was moved, replaced or made read-only. Takes microseconds: three
        calls of the kernel."""
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
        """Why this version must not write the tables, where another one has upgraded them meanwhile. Quick enough for
        the event loop: it reads one row, and only once somebody has committed something."""
        with self._marking:
            watching = self._watch()
            mark = _commits(watching)
            if self._foreign is None or self._foreign[0] != mark:
                revision = _rows(watching, schema.REVISION)
                try:
                    schema.check(self.file, revision[0][0] if revision else None)
                    self._foreign = mark, None
                except SchemaMismatch as mismatch:
                    self._foreign = mark, mismatch.detail
            return self._foreign[1]

    def require_writable(self) -> None:
        """Raises NotWritable where SQLite would refuse the first write: a connection to a read-only file opens well."""
        with self.writing() as session:
            session.execute(text("UPDATE installation SET id = id"))
            session.rollback()

    def mark(self) -> int:
        """Another number once anybody has committed anything since the last call; it reads no table."""
        with self._marking:
            return _commits(self._watch())

    def _watch(self) -> PoolProxiedConnection:
        """A connection that begins no transaction; the caller holds `_marking`."""
        if self._watching is None:
            self._watching = self._readers.raw_connection()
        return self._watching

    def before_each(self, do: Callable[[], None]) -> None:
        """Calls `do` before each transaction from now on, in the thread that begins it; `mark` begins none."""
        for engine in (self._readers, self._writer):
            event.listen(engine, "begin", lambda _: do(), insert=True)

    def close(self) -> None:
        """Closes all connections."""
        with self._marking:
            if self._watching is not None:
                self._watching.close()
            self._watching = None
        self._readers.dispose()
        self._writer.dispose()


def marks(session: Session) -> Marks | None:
    """`mark` before and after what a session of `writing` has committed; None where others did in between, too."""
    return session.info.get(_MARKS)


def _identity(file: Path) -> tuple[int, int] | None:
    """Device and number of a file: another one has others, whatever its name. None where it is missing."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _refusal(words: str) -> TsuikaError | None:
    """The error for SQLite's words about a failed write, where it may pass or can be mended."""
    if "locked" in words:
        return Busy("The database is held by another write; try again.")
    if "full" in words:
        return DiskFull("The database has no room left; nothing was stored.")
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


def now() -> float:
    """Seconds since the epoch, UTC. SQLite takes the time in each process, so it serves one host only."""
    return time.time()


def _engine(url: str, begin: str, pool_size: int, max_overflow: int, foreign_keys: bool = True) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        raise ImpossibleSettings(
            f"TSUIKA_DATABASE_URL names {parsed.get_backend_name()}; this version keeps its registry in SQLite. "
            "Leave the setting out, or use sqlite:////folder/tsuika.db."
        )
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=BUSY_SECONDS,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False, "isolation_level": None},
    )
    keys = f"foreign_keys={'ON' if foreign_keys else 'OFF'}"

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: Any) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", keys, "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


def migrate(url: str, revision: str = "head") -> None:
    """Brings the tables of the database up to this version of the code or to an earlier revision, wholly or not at all.

    Tables are made anew under their names, so foreign keys are checked at the end instead of at each step. Raises
    SchemaMismatch where the tables are of a newer version, Busy where somebody else holds the database, and DiskFull
    and NotWritable.
    """
    engine = _engine(url, begin="BEGIN IMMEDIATE", pool_size=1, max_overflow=0, foreign_keys=False)
    try:
        schema.require_upgradable(Path(str(engine.url.database)))
        with engine.begin() as connection:
            if _at_head(connection):
                return
            from alembic import command  # a fifth of a second and 20 MB, for nothing at nearly every start
            from alembic.config import Config

            config = Config()
            config.set_main_option("script_location", str(schema.migrations_path()))
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            if broken := connection.execute(text("PRAGMA foreign_key_check")).all():
                raise SchemaMismatch(
                    f"The upgrade of {engine.url.database} would leave {len(broken)} rows that name others which are "
                    f"not there, the first in {broken[0][0]}: nothing was changed. Restore the file from a copy."
                )
    except OperationalError as error:
        if (refusal := _refusal(str(error.orig))) is not None:
            raise refusal from error
        raise
    finally:
        engine.dispose()


def _at_head(connection: Connection) -> bool:
    """Whether the last migration was run."""
    if not inspect(connection).has_table("alembic_version"):
        return False
    return bool(connection.scalar(text(schema.REVISION)) == schema.revisions()[-1])
