"""What is in a database before anything opens it: every command asks first.

Nothing heavy is imported here, and what is asked about stays as it was: what a newer version of Tsuika keeps is not for
an older one to touch.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from service.errors import SchemaMismatch
from service.registry.sql import pg_driver, schema

_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"


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
    if schema.is_postgres(url):
        return pg_driver.read(url, table, query)
    file = schema.file_of(url)
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
