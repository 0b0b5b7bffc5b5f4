"""Statements of SQLAlchemy that are compiled once a test process, not once a database.

A service opens one database, and what it asks is compiled at the first time alone. Tests open thousands, and compiled
the same statements anew in each: a third of what a test of the interface took.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Engine
from sqlalchemy.util import LRUCache

SIZE = 2000
"""Statements that are kept."""


def share() -> None:
    """From now on all databases of SQLite have their compiled statements in common. They are kept under the dialect,
    of which each database has one of its own: two of a kind count as one."""
    compiled, begin = LRUCache[Any, Any](SIZE), Engine.__init__

    def begin_with_them(engine: Engine, *arguments: Any, **named: Any) -> None:
        begin(engine, *arguments, **named)
        if type(engine.dialect) is SQLiteDialect_pysqlite:
            engine._compiled_cache = compiled

    Engine.__init__ = begin_with_them
    SQLiteDialect_pysqlite.__eq__ = lambda one, other: type(one) is type(other)
    SQLiteDialect_pysqlite.__hash__ = lambda one: hash(type(one))
