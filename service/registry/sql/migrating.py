"""What migrations are written with: columns by their types, and changes of tables that have rows. What they make is
named as `base.Table` says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from alembic import op
from alembic.operations import BatchOperations
from sqlalchemy.types import TypeEngine

from service.registry.sql.schema import guard_audit

Kind = TypeEngine[Any]
TEXT = sa.String().with_variant(sa.String(collation="C"), "postgresql")
INTEGER, BOOLEAN = sa.Integer(), sa.Boolean()
REAL: Kind = sa.Double()
LARGE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON, JSON_OR_NONE = sa.JSON(), sa.JSON(none_as_null=True)
ALONE = {"resolve_fks": False}
"""How a table is read before it is made anew: without those that it refers to, which would take as long again."""


def needed(kind: Kind, *names: str) -> list[sa.Column[Any]]:
    """Columns that every row has something in."""
    return [sa.Column(name, kind, nullable=False) for name in names]


def optional(kind: Kind, *names: str) -> list[sa.Column[Any]]:
    """Columns that may be empty."""
    return [sa.Column(name, kind) for name in names]


def reference(name: str, table: str, kind: Kind = INTEGER, optional: bool = False) -> sa.Column[Any]:
    """A column that names a row of a table."""
    return sa.Column(name, kind, sa.ForeignKey(f"{table}.id"), nullable=optional)


def add(table: str, *columns: sa.Column[Any]) -> None:
    """Adds columns that are empty in rows which are there. SQLite gives no name to what a column it adds refers to."""
    named = any(column.foreign_keys for column in columns)
    with changing(table) if named else op.batch_alter_table(table, recreate="never") as changed:
        for column in columns:
            changed.add_column(column)


def add_filled(table: str, name: str, kind: Kind, value: str) -> None:
    """Adds a column in which rows that are there have `value`; later ones bring their own."""
    with op.batch_alter_table(table, reflect_kwargs=ALONE) as changed:
        changed.add_column(sa.Column(name, kind, nullable=False, server_default=value))
    with changing(table) as changed:
        changed.alter_column(name, server_default=None)


@contextmanager
def changing(table: str) -> Iterator[BatchOperations]:
    """Changes of a table that SQLite takes by making it anew under its name; PostgreSQL makes them where it is."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    with op.batch_alter_table(table, recreate="always" if sqlite else "never", reflect_kwargs=ALONE) as changed:
        yield changed
    if sqlite and table == "audit":  # triggers go with the table that was there
        guard_audit(op.get_bind())
