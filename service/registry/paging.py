"""Pages of a list: keyset on the id, newest first."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.errors import InvalidContent
from service.registry.sql.database import LARGEST

T = TypeVar("T")


def page(
    session: Session, query: Select[T], key: InstrumentedAttribute[Any], limit: int, cursor: str | None
) -> tuple[list[T], str | None]:
    """Rows of `query` before `cursor` by falling `key`, and the cursor of the next page (None at the end)."""
    if cursor is not None:
        query = query.where(key < _value(key, cursor))
    rows = list(session.scalars(query.order_by(key.desc()).limit(limit + 1)))
    more, rows = len(rows) > limit, rows[:limit]
    return rows, str(getattr(rows[-1], key.key)) if more else None


def _value(key: InstrumentedAttribute[Any], cursor: str) -> str | int:
    """The key that a cursor stands for. Raises InvalidContent."""
    try:
        value: str | int = key.type.python_type(cursor)
        cursor.encode()  # half of a surrogate pair cannot be asked for
        if isinstance(value, int) and abs(value) > LARGEST:
            raise ValueError
    except ValueError:
        raise InvalidContent.at("/cursor", "The cursor is not one that a page of this list gave.") from None
    return value
