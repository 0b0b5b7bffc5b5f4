"""Pages of lists: read and written some items at a time, and ended early where they get long."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from fastapi import Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from service.api.context import Context, Paging
from service.registry import models
from service.registry.sql.tables import Model

T = TypeVar("T")

FIRST, AT_ONCE = 10, 100
"""Items that are read at once: few at first, which tell how long they are."""
MOST_BYTES = 8 * 1024 * 1024
"""A page of so many bytes ends: with thousands of classes one report has a megabyte."""


def list_page(
    page: Paging,
    fetch: Callable[[int, str | None], tuple[list[T], str | None]],
    shown: Callable[[list[T]], Sequence[BaseModel]],
) -> Response:
    """One page as {"items", "next_cursor"}.

    `fetch`: (limit, cursor) -> rows from the cursor on, and the cursor that follows them · `shown`: rows as resources.
    """
    items, size, cursor = list[str](), 0, page.cursor
    while True:
        rows, cursor = fetch(_next(page.limit - len(items), len(items), size), cursor)
        for resource in shown(rows):
            items.append(resource.model_dump_json(by_alias=True))
            size += len(items[-1])
        if cursor is None or len(items) == page.limit or size >= MOST_BYTES:
            break
    body = f'{{"items":[{",".join(items)}],"next_cursor":{json.dumps(cursor)}}}'
    return Response(body, 200, media_type="application/json")


def list_of_model(
    shared: Context,
    page: Paging,
    name: str,
    fetch: Callable[[Session, Model, int, str | None], tuple[list[T], str | None]],
    shown: Callable[[Session, Model, list[T]], Sequence[BaseModel]],
    archived_too: bool = False,
) -> Response:
    """The same of what a model has, by the functions of its room of the registry. Raises NotFound."""
    with shared.runtime.database.reading() as session:
        model = models.get(session, name, archived_too=archived_too)
        return list_page(page, partial(fetch, session, model), partial(shown, session, model))


def _next(remaining: int, count: int, size: int) -> int:
    """How many items are read next: as many as probably fit, judged by the length of those so far."""
    if not count:
        return min(remaining, FIRST)
    return max(1, min(remaining, AT_ONCE, (MOST_BYTES - size) * count // size))
