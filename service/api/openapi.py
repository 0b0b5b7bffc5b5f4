"""The description of the interface: what FastAPI derives from the routes, with the bodies that the handlers read."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from service import __version__
from service.api.auth import PUBLIC
from service.api.describing import BODIES

REF = "#/components/schemas/"
SUMMARY = """Keeps a deployed classifier current. POST labelled rows or new classes; a worker learns, a gate judges, and
predictions come from the newest good version. A bad version is rolled back in one call, a bad batch is taken back in
one call. Errors are application/problem+json (RFC 9457)."""


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(title="Tsuika", version=__version__, description=SUMMARY, routes=app.routes)
        _add_bodies(document)
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}, {}]
        for path in PUBLIC & document["paths"].keys():
            for operation in document["paths"][path].values():
                operation["security"] = []
        app.openapi_schema = document
    return app.openapi_schema


def _add_bodies(document: dict[str, Any]) -> None:
    """Schemas of request bodies; one whose name an answer has already, in another form, is called ...Body."""
    known = document.setdefault("components", {}).setdefault("schemas", {})
    ordered = sorted(BODIES, key=lambda body: body.__name__)
    _, found = models_json_schema([(body, "validation") for body in ordered], ref_template=REF + "{model}")
    text = json.dumps(found["$defs"])
    taken = [name for name, schema in found["$defs"].items() if name in known and known[name] != schema]
    for name in taken:
        text = text.replace(f'"{REF}{name}"', f'"{REF}{name}Body"')
    for name, schema in json.loads(text).items():
        known[f"{name}Body" if name in taken else name] = schema
