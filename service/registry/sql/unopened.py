"""What is in a database before anything opens it: every command asks first.

Nothing heavy is imported here, and what is asked about stays as it was: what a newer version of Tsuika keeps is not for
an older one to touch.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from service.errors import NotWritable, SchemaMismatch
from service.registry.sql import pg_driver, schema
from service.settings import file_of

WAIT_SECONDS, AGAIN_SECONDS = 60.0, 0.5
"""How long a process that starts waits for its database, and between two tries."""
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"


def wait(url: str) -> None:
    """Waits for a server of PostgreSQL that cannot be reached yet, and says so on stderr. Raises NotWritable where it
    cannot be after WAIT_SECONDS."""
    until, waiting = time.monotonic() + WAIT_SECONDS, False
    while True:
        try:
            _read(url, "alembic_version", schema.REVISION)
            return
        except NotWritable as away:
            if time.monotonic() >= until:
                raise
            if not waiting:
                print(f"{away.detail} It is tried for {WAIT_SECONDS:g} seconds.", file=sys.stderr, flush=True)
            waiting = True
            time.sleep(AGAIN_SECONDS)


def require(url: str) -> None:
    """Raises SchemaMismatch unless the database has the tables that this version works with."""
    schema.check(schema.name_of(url), revision_of(url))


def require_upgradable(url: str) -> None:
    """Raises SchemaMismatch where the tables are of a newer version, or of another program."""
    schema.require_known(schema.name_of(url), revision_of(url))


def any_key(url: str) -> bool:
    """Whether a key of callers was ever made in the database: from then on a service asks for one. Raises
    SchemaMismatch where the tables are of a newer version, or of another program."""
    require_upgradable(url)
    return bool(_read(url, "api_keys", "SELECT 1 FROM api_keys LIMIT 1")[0])


def revision_of(url: str) -> str | None:
    """The revision of a database; None where there is none, or one without tables. Raises SchemaMismatch where it is
    another program's, NotWritable where it cannot be reached."""
    return schema.revision_in(schema.name_of(url), *_read(url, "alembic_version", schema.REVISION))


def _read(url: str, table: str, query: str) -> tuple[list[tuple[Any, ...]], set[str]]:
    """-> rows of a query of one table, none where it is not there; the tables that are. Nothing is changed."""
    file = file_of(url)
    if file is None:
        return pg_driver.read(url, table, query)
    if not file.exists() or not file.stat().st_size:
        return [], set()
    with_log = Path(f"{file}-wal").exists()
    mode = "mode=ro" if with_log else "immutable=1"  # a reader of a database without a log would leave an empty one
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?{mode}", uri=True)) as connection:
            tables = {name for (name,) in connection.execute(_TABLES)}
            return connection.execute(query).fetchall() if table in tables else [], tables
    except sqlite3.DatabaseError as error:
        raise SchemaMismatch(f"{file} cannot be read as a database of Tsuika: {error}.") from None
