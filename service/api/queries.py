"""The query of an address, read strictly: a parameter that nobody knows would silently do nothing, and is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from service.api.limits.request_checks import check_length
from service.api.validation import unknown
from service.errors import InvalidContent
from service.intake.json_body import pointer_to

LISTED = 10
"""Unknown parameters that a refusal lists, each with the known one that it is like."""


async def check_query(request: Request) -> None:
    """Checks the query of a route of /v1. Raises InvalidContent with the parameters that the route knows, and for one
    that stands there twice, unless it is a list."""
    if not request.query_params:
        return
    route: APIRoute = request.scope["route"]
    described = (route.openapi_extra or {}).get("parameters", [])
    known = [*_declared(route.dependant), *(p["name"] for p in described if p["in"] == "query")]
    strange = [name[:100] for name in request.query_params if name not in known]
    if strange:
        errors = [(pointer_to([name]), _sentence(name, known)) for name in strange[:LISTED]]
        raise InvalidContent(errors[0][1], errors)
    several = [p["name"] for p in described if p["in"] == "query" and p["schema"].get("type") == "array"]
    once(pair for pair in request.query_params.multi_items() if pair[0] not in several)


def pairs_of(query: bytes) -> list[tuple[str, str]]:
    """The names and values of a query. Raises InvalidContent, LongAddress."""
    check_length(query)
    try:
        return parse_qsl(query.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise InvalidContent.at("", "The query is not UTF-8 in percent signs.") from None


def once(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The values by name. Raises InvalidContent for a name that stands there twice: it means one value."""
    members: dict[str, str] = {}
    for name, value in pairs:
        if name in members:
            raise InvalidContent.at(pointer_to([name]), f"The query says {name[:100]} twice. Say it once.")
        members[name] = value
    return members


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
