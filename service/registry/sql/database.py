"""The database: `reading()` sees one moment, `writing()` is one story that is wholly true or wholly absent."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, Select, TableValuedAlias, event, func, literal, select, text
from sqlalchemy.exc import DBAPIError, TimeoutError
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.errors import Busy
from service.registry.sql import sqlite
from service.registry.sql.backend import Backend, Bounds, Marks
from service.registry.sql.sqlite import Sqlite
from service.settings import file_of
from service.telemetry.metrics import Counter

ERRORS = Counter("tsuika_database_errors_total", "Transactions that the database refused, by the slug.", ["reason"])
Reader = Session | Connection
"""Runs a query that returns columns."""
_MARKS = "marks"
_READS, _WRITES = "The database is busy with other reads", "Another write is still at work"
BOUNDS = Bounds()
LARGEST = 2**63 - 1
"""The largest whole number that a column holds."""


class Database:
    """Facts, by two engines on one database: many readers, one writer at a time."""

    def __init__(self, url: str, bounds: Bounds = BOUNDS) -> None:
        self.url = url
        self._backend: Backend = _backend(url, bounds)
        self.name = self._backend.name

    @property
    def shared(self) -> bool:
        """Whether several services may use it at once."""
        return file_of(self.url) is None

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session on one moment; nothing it changes is kept. Rows that were read stay readable after the block."""
        with self._refusing(_READS), Session(self._backend.readers, expire_on_commit=False, autoflush=False) as session:
            yield session
            session.expunge_all()  # a rollback would empty them
            session.rollback()

    @contextmanager
    def looking(self) -> Iterator[Connection]:
        """As `reading`, for queries of columns alone: half the work."""
        with self._refusing(_READS), self._backend.readers.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that commits when the block ends well, and otherwise leaves no trace. Raises Busy, DiskFull,
        NotWritable, and SchemaMismatch where another version has upgraded the tables meanwhile."""
        backend = self._backend
        backend.require_place()
        with (
            self._refusing(_WRITES),
            backend.writers.connect() as connection,
            Session(connection, expire_on_commit=False) as session,
        ):
            session.connection()
            backend.begun(connection)
            yield session
            session.flush()
            backend.committing(connection)
            session.commit()
            if (marks := backend.committed(connection)) is not None:
                session.info[_MARKS] = marks

    @contextmanager
    def _refusing(self, others: str) -> Iterator[None]:
        """Raises what the database says as an error of ours, where it may pass or can be mended. `others`: those who
        have all connections where none comes free."""
        try:
            yield
        except TimeoutError:
            ERRORS.add(Busy.slug)
            raise Busy(f"{others}; try again.") from None
        except DBAPIError as error:
            refusal = self._backend.refusal(error)
            ERRORS.add(refusal.slug if refusal is not None else "unexpected")
            if refusal is not None:
                raise refusal from error
            raise

    def faults(self) -> list[str]:
        """Sentences on what is damaged in its own files, as far as it can tell: PostgreSQL checks its pages itself."""
        return self._backend.faults()

    def snapshot(self, file: Path) -> None:
        """Writes all of one moment into a new file of SQLite, while others read and write. Raises DiskFull,
        NotWritable."""
        with self._refusing(_READS):
            self._backend.snapshot(file)

    def scrub(self) -> None:
        """Removes what deleted and replaced rows have left in the database. Raises Busy, DiskFull, NotWritable."""
        self._backend.scrub()

    def trouble(self) -> str | None:
        """Why nothing can be written, if that is known. Takes microseconds."""
        return self._backend.trouble()

    def foreign(self) -> str | None:
        """Why this version must not write the tables, where another one has upgraded them meanwhile. As quick, so the
        event loop may ask."""
        return self._backend.foreign()

    def require_writable(self) -> None:
        """Raises NotWritable where the database would refuse the first write: a connection to a read-only one opens
        well."""
        with self.writing() as session:
            session.execute(text("UPDATE installation SET id = id"))
            session.rollback()

    def mark(self) -> int:
        """Another number once anybody has committed anything since the last call; it reads no table."""
        return self._backend.mark()

    def before_each(self, do: Callable[[], None]) -> None:
        """Calls `do` before each transaction from now on, in the thread that begins it; `mark` begins none."""
        for engine in (self._backend.readers, self._backend.writers):
            event.listen(engine, "begin", lambda _: do(), insert=True)

    def close(self) -> None:
        self._backend.close()


def _backend(url: str, bounds: Bounds) -> Backend:
    if (file := file_of(url)) is not None:
        return Sqlite(url, file)
    from service.registry.sql.postgres import Postgres

    return Postgres(url, bounds)


def marks(session: Session) -> Marks | None:
    """`mark` before and after what a session of `writing` has committed; None where others did in between, too."""
    return session.info.get(_MARKS)


def now() -> float:
    """Seconds since the epoch, UTC, by the clock of this host."""
    return time.time()


def clock(session: Session) -> float:
    """Seconds since the epoch, UTC, by the clock that all who use the database share: its own; that of the host where
    it is a file, since one host alone uses it."""
    if session.get_bind().dialect.name == "sqlite":
        return now()
    return float(session.scalars(select(func.extract("epoch", func.clock_timestamp()))).one())


def elements(session: Session, texts: InstrumentedAttribute[Any] | ColumnElement[Any]) -> TableValuedAlias:
    """The members of a JSON list of texts, to be joined: a table with one column, `value`."""
    in_sqlite = session.get_bind().dialect.name == "sqlite"
    return (func.json_each if in_sqlite else func.json_array_elements_text)(texts).table_valued("value")


def among(session: Session, texts: Collection[str]) -> Select[str]:
    """These texts, for `in_`: as one parameter, however many they are."""
    return select(elements(session, literal(list(texts), JSON)).c.value)


def migrate(url: str, revision: str = "head") -> None:
    """Brings the tables of the database up to this version of the code or to an earlier revision, wholly or not at all.

    In SQLite, tables are made anew under their names, so foreign keys are checked at the end instead of at each step.
    Raises SchemaMismatch where the tables are of a newer version, Busy where somebody else holds the database, and
    DiskFull and NotWritable.
    """
    if file_of(url) is not None:
        sqlite.prepare(url, revision)
    else:
        from service.registry.sql import postgres

        postgres.prepare(url)
