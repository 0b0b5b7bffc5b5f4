"""Pages of a list: keyset on the id, newest first."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import Select, func, select
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


def numbered(
    session: Session, query: Select[T], key: InstrumentedAttribute[Any], limit: int, cursor: str | None
) -> tuple[list[T], str | None]:
    """The same, but a cursor numbers the rows of `query`, the oldest is 1: a key would count those of others. No
    one is left out where rows are deleted meanwhile, but a page may repeat as many of the one before."""
    if cursor is not None:
        before = session.scalar(
            query.with_only_columns(key).order_by(key).offset(int(_value(key, cursor)) - 1).limit(1)
        )
        cursor = str(before or LARGEST)
    rows, more = page(session, query, key, limit, cursor)
    if more is None:
        return rows, None
    up_to = query.where(key <= int(more)).with_only_columns(key).subquery()
    return rows, str(session.scalar(select(func.count()).select_from(up_to)))


def _value(key: InstrumentedAttribute[Any], cursor: str) -> str | int:
    """The key that a cursor stands for: an id, or a number, before which there is another. Raises InvalidContent."""
    try:
        value: str | int = key.type.python_type(cursor)
        cursor.encode()  # half of a surrogate pair cannot be asked for
        if not (2 <= value <= LARGEST if isinstance(value, int) else "_" in value):
            raise ValueError
    except ValueError:
        raise InvalidContent.at("/cursor", "The cursor is not one that a page of this list gave.") from None
    return value
