"""PostgreSQL, for several processes and machines on one registry.

Writers take turns by an advisory lock that a transaction holds to its end: what the code reads before it writes is then
as true as on SQLite, and no two transactions can wait for each other. A write takes a few milliseconds, and an update
writes a few times; what is many, predictions, writes nothing. Readers see one moment (repeatable read) and wait for
nobody.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, make_url, text
from sqlalchemy.engine.interfaces import IsolationLevel
from sqlalchemy.exc import DataError, DBAPIError, InvalidatePoolError, OperationalError

from service.errors import Busy, DiskFull, InvalidContent, NotWritable, TsuikaError
from service.registry.sql import all_rows, schema, unopened
from service.registry.sql.base import Table
from service.registry.sql.database import Bounds, Database, Look, refusing
from service.registry.sql.pg_driver import ALIVE, CHANNEL, CONNECT_SECONDS, Listener, require_driver
from service.registry.sql.tables import Installation

TURN = 0x7473_7569_6B61
"""The number of the advisory lock of writers: "tsuika"."""
BYTES = TURN + 1
"""The number of the lock that who deletes bytes has alone, and who looks for bytes to name shares. It belongs to the
transaction that names them, so it cannot be lost before the commit fails, too."""
BUSY, FULL, READ_ONLY = {"55P03", "57014", "53300"}, {"53100"}, {"25006"}
"""Codes of what may pass (a lock that did not come, a statement that took too long, too many connections), of a full
disk, and of a replica."""
CONFLICTS = {"40001", "40P01"}
"""Codes of transactions that cannot be put in an order, and of those that wait for each other: one is undone."""
NOT_ALLOWED = "42501"
"""The code of what the role has no right to."""
NUL_IN_JSON = "22P05"
"""The code of JSON that holds a character which no text may hold: U+0000 alone."""
IDLE_SECONDS = 1.0
"""A connection that was used within them is not looked at before it is used again; where it was cut meanwhile, that
refuses one transaction, which says so."""
_NOTIFY = text(f"SELECT pg_notify('{CHANNEL}', '')")
_TURN = f"SELECT pg_advisory_xact_lock({TURN})"
_NAMES, _DELETES = f"SELECT pg_advisory_xact_lock_shared({BYTES})", f"SELECT pg_advisory_xact_lock({BYTES})"
_PATIENT = "SET LOCAL idle_in_transaction_session_timeout = 0"
_SCRUBBED = ("idempotency_keys", "row_marks", "ledger_entries", "update_events", "updates", "batches", "versions")
"""Tables of which an erasure deletes rows or members; the largest last, since reports are in it."""


class Postgres(Database):
    """A database of PostgreSQL."""

    def __init__(self, url: str, bounds: Bounds) -> None:
        require_driver()
        readers = _engine(url, "default_transaction_read_only=on", "REPEATABLE READ", bounds)
        writers = _engine(url, "default_transaction_read_only=off", "READ COMMITTED", bounds)
        super().__init__(url, schema.name_of(url), readers, writers)
        self._listener = Listener(url)
        most = math.ceil(bounds.turn_seconds * 1000)
        timeout = f"set_config('idle_in_transaction_session_timeout', '{most}', true)"
        self._turn = f"{_TURN}, {timeout}, extract(epoch from clock_timestamp())"
        self._closed = False
        for engine in (self.readers, self.writers):
            event.listen(engine, "checkin", self._returned)

    def _begun(self, connection: Connection, look: Look | None) -> float:
        if look is not None:
            connection.exec_driver_sql(_NAMES)
            look()
        *_, at = connection.exec_driver_sql(self._turn).one()
        schema.check(self.name, connection.scalar(text(schema.REVISION)))
        return float(at)

    @contextmanager
    def _alone_with_bytes(self) -> Iterator[Connection]:
        with self.writers.connect() as connection:  # whose statements each see what is committed by then
            connection.exec_driver_sql(_DELETES)
            connection.exec_driver_sql(_PATIENT)  # a slow store must not cost it the lock
            yield connection

    def _committing(self, connection: Connection) -> None:
        connection.execute(_NOTIFY)

    def _refusal(self, error: DBAPIError) -> TsuikaError | None:
        return refusal_of(error)

    def mark(self) -> int:
        return self._listener.count()

    def trouble(self) -> str | None:
        return self._listener.gone()

    def foreign(self) -> str | None:
        return self._listener.foreign()

    def _copy(self, file: Path) -> None:
        with self.readers.connect() as connection:
            all_rows.to_file(connection, file)

    def scrub(self) -> None:
        """Writes tables anew, without what was deleted or replaced, which VACUUM alone leaves in their pages. Each is
        locked while it is written, however long it takes. Its log of writes, replicas and backups keep what they have
        until they are recycled: that is for whoever runs the database."""
        with refusing(DBAPIError, refusal_of), self.writers.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.detach()  # no other statement may take as long
            connection.execute(text("SET statement_timeout = 0"))
            for table in _SCRUBBED:
                connection.execute(text(f"VACUUM (FULL) {table}"))

    def close(self) -> None:
        self._closed = True
        self._listener.stop()
        super().close()

    def _returned(self, connection: Any, _record: Any) -> None:
        """Closes what another thread had in use while the rest was closed."""
        if self._closed:
            connection.close()


def refusal_of(error: DBAPIError) -> TsuikaError | None:
    """The error for what PostgreSQL said, where it may pass or can be mended."""
    code = getattr(error.orig, "sqlstate", None)
    if code in CONFLICTS:
        return _undone(Busy("The database has undone this in favour of another transaction; try again."))
    if code in BUSY:
        return Busy("The database is held by another write, or has no time now; try again.")
    if code in FULL:
        return DiskFull("The database has no room left; nothing was stored. Free some on the disk of PostgreSQL.")
    if code in READ_ONLY:
        return NotWritable("The database takes no writes now: it is a replica, or was made read-only.")
    if code == NOT_ALLOWED:
        return NotWritable("The role of TSUIKA_DATABASE_URL may not do this. Make it the owner of the database.")
    if code == NUL_IN_JSON or (isinstance(error, DataError) and "NUL" in str(error.orig)):
        return InvalidContent("A text holds the character U+0000, which cannot be stored. Leave it out.")
    cut_off = isinstance(error, OperationalError) and (code is None or code.startswith(("08", "57P")))
    if cut_off or error.connection_invalidated:
        away = NotWritable("The database cannot be reached: nothing was stored. Try again in a moment.")
        # a commit that nobody has answered is no statement: it may have come about
        return away if error.statement is None else _undone(away)
    return None


def _undone(error: TsuikaError) -> TsuikaError:
    error.undone = True
    return error


def _engine(url: str, option: str, isolation_level: IsolationLevel, bounds: Bounds) -> Engine:
    busy, longest = math.ceil(bounds.lock_seconds * 1000), math.ceil(bounds.statement_seconds * 1000)
    options = f"-c lock_timeout={busy} -c statement_timeout={longest} -c {option}"
    idle = f"-c idle_in_transaction_session_timeout={longest}"
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        isolation_level=isolation_level,
        pool_size=min(bounds.kept, bounds.most),
        max_overflow=max(0, bounds.most - bounds.kept),
        pool_timeout=bounds.lock_seconds,
        pool_use_lifo=True,
        connect_args={"connect_timeout": CONNECT_SECONDS, "options": f"{options} {idle}", **ALIVE},
    )

    @event.listens_for(engine, "checkin")
    def _used(_connection: Any, record: Any) -> None:
        record.info["used"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _look(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("used", math.inf) > IDLE_SECONDS:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error:
                raise InvalidatePoolError from None

    return engine


def prepare(url: str) -> None:
    """Makes the tables of an empty database, or upgrades them; a second caller waits for the first.

    An empty one gets the tables of today, so it meets later revisions alone. Earlier ones are of SQLite alone: they
    make tables anew, and what they made comes here by `tsuika restore`. Raises SchemaMismatch for tables of a newer
    version or of another program, Busy, DiskFull, NotWritable.
    """
    revision = unopened.revision_of(url)
    schema.require_known(schema.name_of(url), revision)
    if revision == schema.revisions()[-1]:
        return
    engine = _engine(url, "default_transaction_read_only=off", "READ COMMITTED", Bounds())
    try:
        with refusing(DBAPIError, refusal_of), engine.begin() as connection:
            connection.exec_driver_sql(_TURN)
            if not inspect(connection).has_table("alembic_version"):
                _create(connection)
            schema.upgrade(connection)
            connection.execute(_NOTIFY)
    finally:
        engine.dispose()


def _create(connection: Connection) -> None:
    """Makes every table as it is today."""
    Table.metadata.create_all(connection)
    schema.order_by_code_point(connection, Table.metadata.tables)
    schema.guard_audit(connection)
    connection.execute(insert(Installation).values(secret=secrets.token_hex(32), created_at=time.time()))
    connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": schema.revisions()[-1]})
