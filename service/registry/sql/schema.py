"""Which revisions of the tables there are, which one this version of the code works with, how databases are named."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from service.errors import SchemaMismatch
from service.settings import file_of

REVISION = "SELECT version_num FROM alembic_version"
_TEXTS = """SELECT relname,
array_agg(format('ALTER %%I TYPE %%s COLLATE "C"', attname, format_type(atttypid, atttypmod))) FROM pg_class
JOIN pg_attribute ON attrelid = pg_class.oid
WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname = ANY(%s)
AND atttypid = 'varchar'::regtype AND NOT attisdropped GROUP BY relname"""
"""Ordinary tables of those names, and for each column of text the change that it needs."""
_REFUSAL = "'rows of the audit are never changed or deleted'"
_GUARDS = {
    "sqlite": [
        f"CREATE TRIGGER audit_no_{act} BEFORE {act} ON audit BEGIN SELECT RAISE(ABORT, {_REFUSAL}); END"
        for act in ("update", "delete")
    ]
    + [  # an INSERT OR REPLACE deletes without the triggers of DELETE
        "CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id) "
        f"BEGIN SELECT RAISE(ABORT, {_REFUSAL}); END"
    ],
    "postgresql": [
        "CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION {_REFUSAL}; END $$",
        "CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()",
    ],
}


def migrations_path() -> Path:
    """The checkout's `migrations/` if it is there (an editable install), else the copy in the wheel."""
    package = Path(__file__).resolve().parents[2]
    checkout = package.parent / "migrations"
    return checkout if (checkout / "env.py").exists() else package / "migrations"


def revisions() -> list[str]:
    """Every revision that this version knows, the one that it works with last: files are named by them."""
    return sorted(path.name[:4] for path in (migrations_path() / "versions").glob("[0-9]*.py"))


def name_of(url: str) -> str:
    """How people know a database: its file, or its address without user, password and options."""
    if (file := file_of(url)) is not None:
        return str(file)
    parts = urlsplit(url)
    folder = parse_qs(parts.query).get("host", [""])[0]
    return f"postgresql://{parts.netloc.rpartition('@')[2] or folder}{parts.path}"


def check(name: str, revision: str | None) -> None:
    """Raises SchemaMismatch unless a database at that revision has the tables that this version works with; None stands
    for one without tables."""
    needed = revisions()[-1]
    if revision is None:
        raise SchemaMismatch(f"The database {name} has no tables yet: run `tsuika migrate`, or start `tsuika serve`.")
    require_known(name, revision)
    if revision != needed:
        raise SchemaMismatch(
            f"The database {name} is at revision {revision}, and this version of Tsuika works with revision {needed}: "
            "stop what uses it, keep a copy of the data folder, and run `tsuika migrate`."
        )


def require_known(name: str, revision: str | None) -> None:
    """Raises SchemaMismatch for a revision that this version does not know; None stands for no tables."""
    known = revisions()
    if revision is not None and revision not in known:
        raise SchemaMismatch(
            f"The database {name} is at revision {revision}, and this version of Tsuika knows revisions up to "
            f"{known[-1]}: use the version that upgraded it, or a copy of the data folder from before."
        )


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


def guard_audit(connection: Any) -> None:
    """Has the database refuse to change or delete rows of the audit."""
    for statement in _GUARDS[connection.dialect.name]:
        connection.exec_driver_sql(statement)


def order_by_code_point(connection: Any, tables: Iterable[str]) -> None:
    """Has PostgreSQL order the texts of these tables as SQLite and Python do, whatever its locale: Danish and Welsh
    have other places for the aa, dd and ff of ids. What else is in the database stays as it is."""
    for table, changes in connection.exec_driver_sql(_TEXTS, (list(tables),)).all():
        connection.exec_driver_sql(f"ALTER TABLE {table} {', '.join(changes)}")


def failed(url: str, error: Exception) -> SchemaMismatch:
    """The error for an upgrade that ended with an exception: which migration it was, and what the database said."""
    files = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    scripts = migrations_path() / "versions"
    migration = next((file.stem for file in files if file.parent == scripts), "to this version")
    said = str(getattr(error, "orig", None) or repr(error)).partition("\n")[0]
    return SchemaMismatch(
        f"The database {name_of(url)} was not upgraded, since migration {migration} failed: {said}. Nothing was "
        "changed: go on with the version of Tsuika that used it last, or restore a backup (`tsuika restore`)."
    )
