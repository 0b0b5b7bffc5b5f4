"""Query parameters that a route does not declare are refused: a misspelt one would silently do nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from service.api.validation import unknown
from service.errors import InvalidContent
from service.intake.json_body import pointer_to

LISTED = 10
"""Unknown parameters that a refusal lists, each with the known one that it is like."""


async def check_query(request: Request) -> None:
    """Checks the query of a route of /v1. Raises InvalidContent with the parameters that the route knows."""
    if not request.query_params:
        return
    route: APIRoute = request.scope["route"]
    described = (route.openapi_extra or {}).get("parameters", [])
    known = [*_declared(route.dependant), *(p["name"] for p in described if p["in"] == "query")]
    strange = [name[:100] for name in request.query_params if name not in known]
    if strange:
        errors = [(pointer_to([name]), _sentence(name, known)) for name in strange[:LISTED]]
        raise InvalidContent(errors[0][1], errors)


def _sentence(name: str, known: Sequence[str]) -> str:
    """The sentence about an unknown parameter; who names the column of the labels of a file means the target."""
    meant = ["target"] if name in ("label", "labels") and "target" in known else []
    return unknown(name, known, "in this query", meant)


def _declared(dependant: Dependant) -> Iterator[str]:
    """Names of the query parameters of a handler, and of its dependencies."""
    for field in dependant.query_params:
        yield field.alias
    for inner in dependant.dependencies:
        yield from _declared(inner)
