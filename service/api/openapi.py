"""The OpenAPI document: what FastAPI derives from the routes, with the bodies that the handlers read themselves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from service import __version__
from service.api.access.keyring import PUBLIC
from service.contract.resources import Problem

REF = "#/components/schemas/"
SUMMARY = """Keeps a deployed model current, be it one that predicts classes or numbers. POST labelled rows, new
classes, or rows with targets; a worker learns, a gate judges, and predictions come from the newest good version. A bad
version is rolled back in one call, a bad batch is taken back in one call.
Errors are application/problem+json (RFC 9457)."""
BODIES: set[type[BaseModel]] = {Problem}
"""Bodies whose schemas the document must hold; `takes` adds those that handlers read themselves."""

Responses = dict[int | str, dict[str, Any]]


def describe(routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """The OpenAPI document of these routes."""
    document = get_openapi(title="Tsuika", version=__version__, description=SUMMARY, routes=routes)
    _add_bodies(document)
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"key": []}, {}]
    for path in PUBLIC & document["paths"].keys():
        for operation in document["paths"][path].values():
            operation["security"] = []
    return document


def _add_bodies(document: dict[str, Any]) -> None:
    """Adds the schemas of request bodies; one whose name an answer has already, in another form, is called ...Body."""
    known = document.setdefault("components", {}).setdefault("schemas", {})
    ordered = sorted(BODIES, key=lambda body: body.__name__)
    _, schemas = models_json_schema([(body, "validation") for body in ordered], ref_template=REF + "{model}")
    text = json.dumps(schemas["$defs"])
    taken = [name for name, schema in schemas["$defs"].items() if name in known and known[name] != schema]
    for name in taken:
        text = text.replace(f'"{REF}{name}"', f'"{REF}{name}Body"')
    for name, schema in json.loads(text).items():
        known[f"{name}Body" if name in taken else name] = schema


WORDS = {
    400: "The body is not JSON.",
    401: "A key is needed, or the key is wrong.",
    403: "The key lacks the scope; or the host name, or the origin of the page, is not served.",
    404: "Nothing of that name is here.",
    408: "The body came too slowly.",
    409: "The state of things forbids it now.",
    410: "It was erased on request.",
    412: "If-Match names an older state.",
    413: "The body is too large.",
    414: "The address is too long.",
    415: "The body is not JSON in UTF-8.",
    422: "The content is wrong: `errors` says where.",
    429: "The key asks too often, or too many updates wait; Retry-After says when.",
    503: "Not now; Retry-After says when.",
    504: "The time that the request gave itself was over before its turn.",
    507: "No space left, or no more is allowed; nothing was stored.",
}
EVERYWHERE = (401, 403, 414, 422, 429, 503)
"""Refusals that every route may give."""
WRITING = (400, 408, 413, 415, 507)
"""Refusals that every route with a body may give."""


def _header(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    """Describes an optional header that a route reads."""
    return {"name": name, "in": "header", "required": False, "schema": schema, "description": description}


def in_query(name: str, schema: dict[str, Any], description: str, **more: Any) -> dict[str, Any]:
    """Describes a parameter of the query that a route reads itself."""
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description, **more}


KEY = _header(
    "Idempotency-Key",
    {"type": "string", "maxLength": 255},
    "Sent again within a day with the same body, the call answers as before and does nothing twice.",
)
IF_MATCH = _header("If-Match", {"type": "string"}, "The model's ETag: 412 unless it is still the model's state.")
TIMEOUT = _header(
    "Tsuika-Timeout-Ms",
    {"type": "integer", "minimum": 0},
    "Milliseconds from its arrival after which a prediction that has not had its turn is given up: 504.",
)


def also(status: int, model: type[BaseModel], description: str) -> Responses:
    """The `responses` of a route for another status that is no refusal."""
    return {status: {"model": model, "description": description}}


def refusals(*statuses: int, writes: bool = False) -> Responses:
    """The `responses` of a route: these, and those that every route may give."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": WORDS[status], "content": {"application/problem+json": {"schema": schema}}}
        for status in sorted({*statuses, *EVERYWHERE, *(WRITING if writes else ())})
    }


def takes(
    body: type[BaseModel] | None, *headers: dict[str, Any], example: dict[str, Any] | None = None, required: bool = True
) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads its body itself. `example`: where the body's schema holds none."""
    extra: dict[str, Any] = {"parameters": list(headers)} if headers else {}
    if body is not None:
        content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{body.__name__}"}}
        if example is not None:
            content["example"] = example
        extra["requestBody"] = {"required": required, "content": {"application/json": content}}
        BODIES.add(body)
    return extra


def gives(media: str, description: str) -> Responses:
    """The `responses` of a route that answers with bytes."""
    schema = {"type": "string", "format": "binary"} if media != "text/event-stream" else {"type": "string"}
    return {200: {"description": description, "content": {media: {"schema": schema}}}}
