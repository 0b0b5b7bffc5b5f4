"""Pages of a list: keyset on the id, newest first."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.errors import InvalidContent

T = TypeVar("T")


def page(
    session: Session,
    query: Select[T],
    key: InstrumentedAttribute[Any],
    limit: int,
    cursor: str | None,
) -> tuple[list[T], str | None]:
    """Rows of `query` before `cursor` by falling `key`, and the cursor of the next page (None at the end)."""
    if cursor is not None:
        try:
            query = query.where(key < key.type.python_type(cursor))
        except ValueError:
            raise InvalidContent.at("/cursor", "The cursor is not one that a page of this list gave.") from None
    found = list(session.scalars(query.order_by(key.desc()).limit(limit + 1)))
    more = len(found) > limit
    found = found[:limit]
    return found, str(getattr(found[-1], key.key)) if more else None
