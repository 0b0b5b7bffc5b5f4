"""Lists over HTTP: a page is read, shown and written some items at a time, and ends early where it gets long."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TypeVar

from fastapi import Response
from pydantic import BaseModel

from service.api.context import Paging

T = TypeVar("T")

FIRST, AT_ONCE = 10, 100
"""Items that are read at once: few at first, which tell how long they are."""
MOST_BYTES = 8 * 1024 * 1024
"""A page that is so long has no further item: with thousands of classes one report has a megabyte."""


def list_page(
    page: Paging,
    fetch: Callable[[int, str | None], tuple[list[T], str | None]],
    shown: Callable[[list[T]], Sequence[BaseModel]],
) -> Response:
    """One page as {"items", "next_cursor"}. `fetch`: so many rows from a cursor on, and the cursor that follows them;
    `shown`: rows as the API shows them."""
    written, size, cursor = list[str](), 0, page.cursor
    while True:
        rows, cursor = fetch(_next(page.limit - len(written), len(written), size), cursor)
        for resource in shown(rows):
            written.append(resource.model_dump_json(by_alias=True))
            size += len(written[-1])
        if cursor is None or len(written) == page.limit or size >= MOST_BYTES:
            break
    told = f'{{"items":[{",".join(written)}],"next_cursor":{json.dumps(cursor)}}}'
    return Response(told, 200, media_type="application/json")


def _next(left: int, written: int, size: int) -> int:
    """How many are read now: of those so far, so many as probably fit."""
    if not written:
        return min(left, FIRST)
    return max(1, min(left, AT_ONCE, (MOST_BYTES - size) * written // size))
