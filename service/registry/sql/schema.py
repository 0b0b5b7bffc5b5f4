"""Which revision of the tables a database has, and which one this version of the code works with.

Every command asks before it opens anything. Nothing heavy is imported here, and a file that is asked about stays as it
was: what a newer version of Tsuika keeps is not for an older one to touch.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

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


def require(file: Path) -> None:
    """Raises SchemaMismatch unless the database has the tables that this version works with."""
    check(file, _revision(file))


def check(file: Path, revision: str | None) -> None:
    """Does the same for a database at that revision, None for one without tables."""
    needed = revisions()[-1]
    if revision is None:
        raise SchemaMismatch(f"The database {file} has no tables yet: run `tsuika migrate`, or start `tsuika serve`.")
    _require_known(file, revision)
    if revision != needed:
        raise SchemaMismatch(
            f"The database {file} is at revision {revision}, and this version of Tsuika works with revision {needed}: "
            "stop what uses it, keep a copy of the data folder, and run `tsuika migrate`."
        )


def require_upgradable(file: Path) -> None:
    """Raises SchemaMismatch where the tables are of a newer version, or of another program."""
    if (revision := _revision(file)) is not None:
        _require_known(file, revision)


def any_key(file: Path) -> bool:
    """Whether a key of callers was ever made in the database: from then on a service asks for one. Raises
    SchemaMismatch where the tables are of a newer version, or of another program."""
    require_upgradable(file)
    return bool(_read(file, "api_keys", "SELECT 1 FROM api_keys LIMIT 1")[0])


def _require_known(file: Path, revision: str) -> None:
    known = revisions()
    if revision not in known:
        raise SchemaMismatch(
            f"The database {file} is at revision {revision}, and this version of Tsuika knows revisions up to "
            f"{known[-1]}: use the version that upgraded it, or a copy of the data folder from before."
        )


def _revision(file: Path) -> str | None:
    """The revision of a database; None where there is none, or one without tables. Raises SchemaMismatch where it is
    another program's."""
    rows, tables = _read(file, "alembic_version", REVISION)
    if not rows and tables - {"alembic_version"}:
        raise SchemaMismatch(f"{file} holds tables of another program: name another file in TSUIKA_DATABASE_URL.")
    return str(rows[0][0]) if rows else None


def _read(file: Path, table: str, query: str) -> tuple[list[tuple[Any, ...]], set[str]]:
    """-> rows of a query of one table, none where it is not there; the tables that are. Nothing is changed."""
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
