"""psycopg, the driver of PostgreSQL (the extra `postgres`): looking before anything is opened, and hearing of commits.

A commit notifies the channel, and who listens counts. The clock is the net under it: once in NET_SECONDS it asks which
transactions have ended, and counts where these are others than before: nothing is read where nothing was committed.
Where no answer comes, since the connection hangs without a word, the clock counts.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from service.errors import ImpossibleSettings, NotWritable, SchemaMismatch
from service.registry.sql import schema

if TYPE_CHECKING:
    import psycopg

log = logging.getLogger("tsuika.database")

CHANNEL = "tsuika"
NET_SECONDS = 1.0
"""How long a commit can go unnoticed whose notification was lost."""
CONNECT_SECONDS = 3
AGAIN_SECONDS = 0.25
"""Wait before another try to connect."""
ENDED = "SELECT pg_current_snapshot()::text"
"""Another text once any transaction that wrote has ended, on the whole server; it reads no table."""
ALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
"""libpq notices within about ten seconds that a peer is gone without a word."""


def require_driver() -> None:
    """Raises ImpossibleSettings where the driver is not installed."""
    if importlib.util.find_spec("psycopg") is None:
        raise ImpossibleSettings(
            "TSUIKA_DATABASE_URL names PostgreSQL, and its driver is not here: pip install -e '.[postgres]'."
        )


def conninfo(url: str) -> str:
    """The URL as libpq takes it."""
    scheme, rest = url.split("://", 1)
    return f"{scheme.partition('+')[0]}://{rest}"


def read(url: str, table: str, query: str) -> tuple[list[tuple[Any, ...]], set[str]]:
    """-> rows of a query of one table, none where it is not there; the tables that are. Raises NotWritable where the
    database cannot be reached, ImpossibleSettings without the driver."""
    require_driver()
    import psycopg

    try:
        with psycopg.connect(conninfo(url), connect_timeout=CONNECT_SECONDS) as connection:
            return _look(connection, table, query)
    except psycopg.Error as error:  # nobody is there, the role may not look, or the URL is none
        raise NotWritable(f"The database {schema.name_of(url)} cannot be reached: {_first_line(error)}.") from None


def _look(connection: psycopg.Connection, table: str, query: str) -> tuple[list[tuple[Any, ...]], set[str]]:
    """As `read`, on a connection."""
    names = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
    tables = {name for (name,) in connection.execute(names)}
    return connection.execute(query.encode()).fetchall() if table in tables else [], tables


class Listener:
    """Counts the commits of others, in a thread of its own with its own connection."""

    def __init__(self, url: str) -> None:
        self._url, self._name = url, schema.name_of(url)
        self._count, self._heard = 0, time.monotonic()
        self._gone: str | None = None
        self._foreign: str | None = None
        self._stopped = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def count(self) -> int:
        """Goes up after commits of anybody, by the clock while the database says nothing, and else stays. Starts to
        listen at the first call."""
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._listen, name="listener", daemon=True)
                    self._thread.start()
        return self._count + self._silence()

    def _silence(self) -> int:
        """How often NET_SECONDS went by without a word of the database, beyond what is usual."""
        return max(0, int((time.monotonic() - self._heard) / NET_SECONDS) - 1)

    def gone(self) -> str | None:
        """Why the database cannot be reached, if it cannot."""
        return self._gone

    def foreign(self) -> str | None:
        """What is wrong with its tables since another version upgraded them."""
        return self._foreign

    def stop(self) -> None:
        """Ends the thread; it may take NET_SECONDS to notice."""
        self._stopped.set()

    def _listen(self) -> None:
        import psycopg
        from psycopg.conninfo import make_conninfo

        while not self._stopped.is_set():
            try:
                address = make_conninfo(conninfo(self._url), connect_timeout=CONNECT_SECONDS, **ALIVE)
                with psycopg.connect(address, autocommit=True) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    if self._gone is not None:
                        log.warning("the database %s can be reached again", self._name)
                    self._follow(connection)
            except psycopg.Error as error:
                if self._gone is None and not self._stopped.is_set():
                    log.warning("the database %s cannot be reached: %s", self._name, _first_line(error))
                self._gone = "The database cannot be reached: what is loaded goes on answering, nothing can be stored."
                self._count += 1
                self._stopped.wait(AGAIN_SECONDS)

    def _follow(self, connection: psycopg.Connection) -> None:
        ended, due = None, 0.0
        while not self._stopped.is_set():
            if (left := due - time.monotonic()) <= 0.0:
                before, ended = ended, connection.execute(ENDED).fetchone()
                self._hear(0)
                if ended != before:
                    self._look_again(connection)
                left = NET_SECONDS
                due = self._heard + left
            for _ in connection.notifies(timeout=left, stop_after=1):
                self._hear(1)

    def _hear(self, commits: int) -> None:
        """Counts commits, after those that went by in silence."""
        self._count, self._heard = self._count + self._silence() + commits, time.monotonic()

    def _look_again(self, connection: psycopg.Connection) -> None:
        """Looks whether the tables are ours still, and counts."""
        from psycopg.errors import UndefinedTable

        try:
            try:
                looked = connection.execute(schema.REVISION.encode()).fetchall(), set[str]()
            except UndefinedTable:
                looked = _look(connection, "alembic_version", schema.REVISION)
            schema.check(self._name, schema.revision_in(self._name, *looked))
            self._foreign = None
        except SchemaMismatch as mismatch:
            self._foreign = mismatch.detail
        self._gone = None
        self._hear(1)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
