"""Which revision of the tables a database has, and which one this version of the code works with.

Every command asks before it opens anything. Nothing heavy is imported here, and a file that is asked about stays as it
was: what a newer version of Tsuika keeps is not for an older one to touch.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from service.errors import SchemaMismatch

REVISION = "SELECT version_num FROM alembic_version"
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"


def migrations_path() -> Path:
    """The checkout's `migrations/` if it is there (an editable install), else the copy in the wheel."""
    package = Path(__file__).resolve().parents[2]
    checkout = package.parent / "migrations"
    return checkout if (checkout / "env.py").exists() else package / "migrations"


def revisions() -> list[str]:
    """Every revision that this version knows, the one that it works with last: files are named by them."""
    return sorted(path.name[:4] for path in (migrations_path() / "versions").glob("[0-9]*.py"))


def is_postgres(url: str) -> bool:
    """Whether the URL names a database of PostgreSQL."""
    return url.startswith(("postgresql:", "postgresql+psycopg:"))


def file_of(url: str) -> Path:
    """The file that a URL of SQLite names."""
    return Path(url.partition(":///")[2].partition("?")[0])


def name_of(url: str) -> str:
    """How people know a database: its file, or its address without user, password and options."""
    if not is_postgres(url):
        return str(file_of(url))
    parts = urlsplit(url)
    folder = parse_qs(parts.query).get("host", [""])[0]
    return f"postgresql://{parts.netloc.rpartition('@')[2] or folder}{parts.path}"


def require(url: str) -> None:
    """Raises SchemaMismatch unless the database has the tables that this version works with."""
    check(name_of(url), revision_of(url))


def check(name: str, revision: str | None) -> None:
    """Does the same for a database at that revision, None for one without tables."""
    needed = revisions()[-1]
    if revision is None:
        raise SchemaMismatch(f"The database {name} has no tables yet: run `tsuika migrate`, or start `tsuika serve`.")
    require_known(name, revision)
    if revision != needed:
        raise SchemaMismatch(
            f"The database {name} is at revision {revision}, and this version of Tsuika works with revision {needed}: "
            "stop what uses it, keep a copy of the data folder, and run `tsuika migrate`."
        )


def require_upgradable(url: str) -> None:
    """Raises SchemaMismatch where the tables are of a newer version, or of another program."""
    require_known(name_of(url), revision_of(url))


def any_key(url: str) -> bool:
    """Whether a key of callers was ever made in the database: from then on a service asks for one. Raises
    SchemaMismatch where the tables are of a newer version, or of another program."""
    require_upgradable(url)
    return bool(_read(url, "api_keys", "SELECT 1 FROM api_keys LIMIT 1")[0])


def require_known(name: str, revision: str | None) -> None:
    """Raises SchemaMismatch for a revision that this version does not know; None stands for no tables."""
    known = revisions()
    if revision is not None and revision not in known:
        raise SchemaMismatch(
            f"The database {name} is at revision {revision}, and this version of Tsuika knows revisions up to "
            f"{known[-1]}: use the version that upgraded it, or a copy of the data folder from before."
        )


def revision_of(url: str) -> str | None:
    """The revision of a database; None where there is none, or one without tables. Raises SchemaMismatch where it is
    another program's, NotWritable where it cannot be reached."""
    return revision_in(name_of(url), *_read(url, "alembic_version", REVISION))


def revision_in(name: str, rows: list[tuple[Any, ...]], tables: set[str]) -> str | None:
    """The revision by the rows that REVISION gives and by the tables that are there. Raises SchemaMismatch."""
    if not rows and tables - {"alembic_version"}:
        raise SchemaMismatch(f"{name} holds tables of another program: name another one in TSUIKA_DATABASE_URL.")
    return str(rows[0][0]) if rows else None


def upgrade(connection: Any, revision: str = "head") -> None:
    """Runs the migrations that a database lacks, on this connection of SQLAlchemy's."""
    from alembic import command  # a fifth of a second and 20 MB, for nothing at nearly every start
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_path()))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _read(url: str, table: str, query: str) -> tuple[list[tuple[Any, ...]], set[str]]:
    """-> rows of a query of one table, none where it is not there; the tables that are. Nothing is changed."""
    if is_postgres(url):
        from service.registry.sql import pg_driver

        return pg_driver.read(url, table, query)
    file = file_of(url)
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
