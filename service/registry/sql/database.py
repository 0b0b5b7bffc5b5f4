"""The database: `reading()` sees one moment, `writing()` is one story that is wholly true or wholly absent."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import ChainMap
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import JSON, Connection, Engine, Select, event, func, literal, select, text
from sqlalchemy.exc import DBAPIError, TimeoutError
from sqlalchemy.orm import Session

from service.errors import Busy, TsuikaError
from service.registry.sql.learned import KNOWN
from service.settings import file_of
from service.telemetry.metrics import Counter

ERRORS = Counter("tsuika_database_errors_total", "Transactions that the database refused, by the slug.", ["reason"])
BUSY_SECONDS = 5.0
"""How long a write waits for the one before it."""
Reader = Session | Connection
"""Runs a query that returns columns."""
Marks = tuple[int, int]
Look = Callable[[], None]
"""Asks the store for bytes that a transaction is about to name."""
E = TypeVar("E", bound=Exception)
_MARKS = "marks"
_AHEAD = "ahead"  # of a session that writes: by how much the clock of the database is ahead of the monotonic one here
_READS, _WRITES = "The database is busy with other reads", "Another write is still at work"
LARGEST = 2**63 - 1
"""The largest whole number that a column holds."""


@dataclass(frozen=True)
class Bounds:
    """What one process may take of a database that several share. `kept`, `most`: connections for reads, and as many
    for writes, that stay open, and in all · `turn_seconds`: for how long it may do nothing while others wait to write.
    """

    kept: int = 8
    most: int = 32
    lock_seconds: float = BUSY_SECONDS
    statement_seconds: float = 60.0
    turn_seconds: float = BUSY_SECONDS


class Database(ABC):
    """Facts, by two engines on one database: many readers, one writer at a time.

    name: how people know it, its file or its address without the password.
    """

    def __init__(self, url: str, name: str, readers: Engine, writers: Engine) -> None:
        self.url, self.name = url, name
        self.readers, self.writers = readers, writers
        self._learned: dict[int, tuple[str, ...]] = {}

    @property
    def shared(self) -> bool:
        """Whether several services may use it at once."""
        return file_of(self.url) is None

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session on one moment; nothing it changes is kept. Rows that were read stay readable after the block."""
        with self._refusing(_READS), Session(self.readers, expire_on_commit=False, autoflush=False) as session:
            session.info[KNOWN] = self._learned
            yield session
            session.expunge_all()  # a rollback would empty them
            session.rollback()

    @contextmanager
    def looking(self) -> Iterator[Connection]:
        """As `reading`, for queries of columns alone: half the work."""
        with self._refusing(_READS), self.readers.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, look: Look | None = None) -> Iterator[Session]:
        """A session that commits when the block ends well, and otherwise leaves no trace. `look` is called before it
        is this writer's turn, so that a slow store keeps no other waiting: bytes that it sees are there until the
        commit. Raises Busy, DiskFull, NotWritable, and SchemaMismatch where another version has upgraded the tables
        meanwhile."""
        self._require_place()
        with (
            self._refusing(_WRITES),
            self._naming(look) if look is not None else nullcontext(),
            self.writers.connect() as connection,
            Session(connection, expire_on_commit=False) as session,
        ):
            session.connection()
            session.info[KNOWN] = ChainMap({}, self._learned)  # its own is no fact before the commit
            if (at := self._begun(connection, look)) is not None:
                session.info[_AHEAD] = at - time.monotonic()
            yield session
            session.flush()
            self._committing(connection)
            session.commit()
            if (marks := self._committed(connection)) is not None:
                session.info[_MARKS] = marks

    @contextmanager
    def deleting(self) -> Iterator[Session]:
        """A session that reads which bytes rows name, for who deletes those that none does: nobody looks for bytes to
        name until the block ends, and others write. Raises Busy."""
        with self._refusing(_WRITES), self._alone_with_bytes() as connection, Session(connection) as session:
            yield session
            session.rollback()

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
            refusal = self._refusal(error)
            ERRORS.add(refusal.slug if refusal is not None else "unexpected")
            if refusal is not None:
                raise refusal from error
            raise

    def snapshot(self, file: Path) -> None:
        """Writes all of one moment into a new file of SQLite, while others read and write. Raises DiskFull,
        NotWritable."""
        with self._refusing(_READS):
            self._copy(file)

    def require_writable(self) -> None:
        """Raises NotWritable where the database would refuse the first write: a connection to a read-only one opens
        well."""
        with self.writing() as session:
            session.execute(text("UPDATE installation SET id = id"))
            session.rollback()

    def before_each(self, do: Callable[[], None]) -> None:
        """Calls `do` before each transaction from now on, in the thread that begins it; `mark` begins none."""
        for engine in (self.readers, self.writers):
            event.listen(engine, "begin", lambda _: do(), insert=True)

    def faults(self) -> list[str]:
        """Sentences on what is damaged in its own files, as far as it can tell. None where a server checks its pages
        when it reads them, as PostgreSQL does where its cluster has data checksums."""
        return []

    @abstractmethod
    def scrub(self) -> None:
        """Removes what deleted and replaced rows have left in the database. Raises Busy, DiskFull, NotWritable."""

    @abstractmethod
    def mark(self) -> int:
        """Another number once anybody has committed anything since the last call; it reads no table. Takes
        microseconds, in any thread."""

    @abstractmethod
    def trouble(self) -> str | None:
        """Why nothing can be written, if that is known. Takes microseconds."""

    @abstractmethod
    def foreign(self) -> str | None:
        """Why this version must not write the tables, where another one has upgraded them meanwhile. As quick, so the
        event loop may ask."""

    def close(self) -> None:
        """Closes all connections that are not in use."""
        self.readers.dispose()
        self.writers.dispose()

    def _require_place(self) -> None:  # noqa: B027 - who writes to a server learns at once whether it can
        """Raises NotWritable where what is written now would be lost."""

    def _naming(self, look: Look) -> AbstractContextManager[None]:
        """Entered before a transaction that names bytes. Where the lock is no part of the transaction it looks here,
        while nobody is `deleting`."""
        return nullcontext()

    @abstractmethod
    def _begun(self, connection: Connection, look: Look | None) -> float | None:
        """Called once a transaction that writes has begun: it waits for its turn, and where the lock is part of the
        transaction it looks before. -> the time by the clock of its server; None where it is that of this host. Raises
        SchemaMismatch where the tables are not ours."""

    @abstractmethod
    def _alone_with_bytes(self) -> AbstractContextManager[Connection]:
        """A connection that reads while nobody is between a look for bytes and the commit that names them."""

    @abstractmethod
    def _committing(self, connection: Connection) -> None:
        """Called before its commit."""

    def _committed(self, connection: Connection) -> Marks | None:
        """Called after it. -> `mark` before and after it, None where others may have committed in between"""
        return None

    @abstractmethod
    def _refusal(self, error: DBAPIError) -> TsuikaError | None:
        """The error for what the database said, where it may pass or can be mended."""

    @abstractmethod
    def _copy(self, file: Path) -> None:
        """See `snapshot`."""


@contextmanager
def refusing(kind: type[E], refusal: Callable[[E], TsuikaError | None]) -> Iterator[None]:
    """Raises errors of that kind as ours, where there is one for them."""
    try:
        yield
    except kind as error:
        if (ours := refusal(error)) is not None:
            raise ours from error
        raise


def marks(session: Session) -> Marks | None:
    """`mark` before and after what a session of `writing` has committed; None where others did in between, too."""
    return session.info.get(_MARKS)


def now() -> float:
    """Seconds since the epoch, UTC, by the clock of this host."""
    return time.time()


def clock(session: Session) -> float:
    """Seconds since the epoch, UTC, by the clock that all who use the database share: its own; that of the host where
    it is a file, since one host alone uses it. In a session of `writing` it asks nobody."""
    if session.get_bind().dialect.name == "sqlite":
        return now()
    if (ahead := session.info.get(_AHEAD)) is not None:
        return float(ahead + time.monotonic())
    return float(session.scalars(select(func.extract("epoch", func.clock_timestamp()))).one())


def among(session: Session, texts: Collection[str]) -> Select[str]:
    """These texts, for `in_`: as one parameter, however many they are."""
    in_sqlite = session.get_bind().dialect.name == "sqlite"
    each = (func.json_each if in_sqlite else func.json_array_elements_text)(literal(list(texts), JSON))
    return select(each.table_valued("value").c.value)
