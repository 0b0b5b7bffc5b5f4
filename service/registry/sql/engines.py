"""Opens a database by its URL, and brings its tables up to date: SQLite or PostgreSQL."""

from __future__ import annotations

from service.errors import TsuikaError
from service.registry.sql import schema, sqlite
from service.registry.sql.database import Bounds, Database
from service.settings import file_of

BOUNDS = Bounds()


def open_database(url: str, bounds: Bounds = BOUNDS) -> Database:
    """The database at a URL. Raises NotWritable where PostgreSQL is named and its driver is not installed."""
    if (file := file_of(url)) is not None:
        return sqlite.Sqlite(url, file)
    from service.registry.sql.postgres import Postgres

    return Postgres(url, bounds)


def migrate(url: str, revision: str = "head") -> None:
    """Brings the tables of the database up to this version of the code or to an earlier revision, wholly or not at all.

    In SQLite, tables are made anew under their names, so foreign keys are checked at the end instead of at each step.
    Raises SchemaMismatch where the tables are of a newer version, or a migration fails on what is in them, Busy where
    somebody else holds the database, and DiskFull and NotWritable.
    """
    try:
        if file_of(url) is not None:
            sqlite.prepare(url, revision)
        else:
            from service.registry.sql import postgres

            postgres.prepare(url)
    except TsuikaError:
        raise
    except Exception as error:
        raise schema.failed(url, error) from error
