"""All rows of a database, out of PostgreSQL into a file of SQLite and back: how a backup is the same of both."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, delete, func, insert, select, text
from sqlalchemy.schema import AddConstraint, DropConstraint

from service.errors import CorruptArtifact
from service.registry.sql import sqlite
from service.registry.sql.base import Table
from service.registry.sql.tables import Installation

AT_ONCE = 500
"""Rows that are read and written at once."""


def to_file(source: Connection, file: Path) -> None:
    """Writes all rows that a connection sees into a new file of SQLite. `source`: of one moment (repeatable read)."""
    url = f"sqlite:///{file}"
    sqlite.prepare(url, "head")
    engine = sqlite.engine_of(url, begin="BEGIN IMMEDIATE", pool_size=1, max_overflow=0, foreign_keys=False)
    try:
        with engine.begin() as target:
            _copy(source, target)
    finally:
        engine.dispose()


def from_file(file: Path, target: Connection) -> None:
    """Writes all rows of a file of SQLite into a database of PostgreSQL that has the tables and no rows. Rows name one
    another in circles, so the constraints are made anew at the end. Raises CorruptArtifact where they do not hold."""
    keys = [key for table in Table.metadata.tables.values() for key in table.foreign_key_constraints]
    engine = sqlite.engine_of(f"sqlite:///{file}", begin="BEGIN", pool_size=1, max_overflow=0)
    try:
        with engine.connect() as source:
            if broken := source.execute(text("PRAGMA foreign_key_check")).all():
                raise CorruptArtifact(f"{len(broken)} rows of the backup name others that are not there.")
            for key in keys:
                target.execute(DropConstraint(key))
            _copy(source, target)
            for key in keys:
                target.execute(AddConstraint(key, isolate_from_table=False))
    finally:
        engine.dispose()
    for table in Table.metadata.tables.values():
        number = table.autoincrement_column
        if number is not None:
            sequence = func.pg_get_serial_sequence(table.name, number.name)
            last = select(func.max(number)).scalar_subquery()
            target.execute(select(func.setval(sequence, func.coalesce(last, 1), last.is_not(None))))


def _copy(source: Connection, target: Connection) -> None:
    """Copies every table; the target has none but the row that its first migration made."""
    target.execute(delete(Installation))
    for table in Table.metadata.tables.values():
        for rows in source.execute(select(table).execution_options(yield_per=AT_ONCE)).mappings().partitions():
            target.execute(insert(table), [dict(row) for row in rows])
