"""Members of a query that a route does not declare are refused: a misspelt one would change what is done unseen."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from service.api.validation import pointer_to, unknown
from service.errors import InvalidContent

MOST_TOLD = 10
"""Of the members that are not known so many are told, each with the known one that it is like."""


async def check_query(request: Request) -> None:
    """For every route of /v1. Raises InvalidContent with what the route knows."""
    if not request.query_params:
        return
    route: APIRoute = request.scope["route"]
    described = (route.openapi_extra or {}).get("parameters", [])
    known = [*_read(route.dependant), *(p["name"] for p in described if p["in"] == "query")]
    strange = [name[:100] for name in request.query_params if name not in known]
    if strange:
        told = [(pointer_to([name]), unknown(name, known, "in this query")) for name in strange[:MOST_TOLD]]
        raise InvalidContent(told[0][1], told)


def _read(dependant: Dependant) -> Iterator[str]:
    """Names of the parameters of a handler, and of what it depends on."""
    for field in dependant.query_params:
        yield field.alias
    for inner in dependant.dependencies:
        yield from _read(inner)
