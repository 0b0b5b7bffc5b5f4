"""The interface for programs as a page, made from its OpenAPI description."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from service.web.view import Answer, Route, Shown, View

DESCRIPTION = "/openapi.json"


@dataclass(frozen=True)
class Call:
    """One call: what it does, and the statuses of its answers."""

    method: str
    path: str
    does: str
    statuses: Sequence[str]


def show(view: View) -> Answer:
    """All calls, by what they are about."""
    return Shown("docs.html", {"groups": calls(view.api.send("GET", DESCRIPTION))}, json=DESCRIPTION)


@lru_cache(1)
def calls(document: bytes) -> Mapping[str, Sequence[Call]]:
    """The calls of an OpenAPI document by their tag."""
    groups: dict[str, list[Call]] = {}
    for path, operations in json.loads(document)["paths"].items():
        for method, operation in operations.items():
            does = operation.get("description") or operation.get("summary") or ""
            call = Call(method.upper(), path, does, sorted(operation["responses"]))
            groups.setdefault(operation.get("tags", ["other"])[0], []).append(call)
    return groups


ROUTE = Route("/docs", show)
