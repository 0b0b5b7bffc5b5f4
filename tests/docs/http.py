"""The reference of the HTTP interface, made from the OpenAPI document and the table of scopes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from service.api import openapi
from service.api.application import ALL
from service.contract.keys import SCOPES
from tests.docs.schema import Schema, cell, default, takes

Operation = Mapping[str, Any]
PLAIN = "Successful Response"
"""What FastAPI says of an answer that nobody has described."""
NAME = re.compile(r"\b[A-Z]\w+\b")


def routes() -> str:
    """A section for each tag with its calls, then the bodies that they take."""
    document = openapi.describe(ALL.routes)
    schemas: dict[str, Schema] = document["components"]["schemas"]
    by_tag: dict[str, list[str]] = {}
    bodies: dict[str, None] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            section = _call(method.upper(), path, operation, schemas)
            by_tag.setdefault(operation.get("tags", ["others"])[0], []).append(section)
            bodies |= dict.fromkeys(_named(operation.get("requestBody", {}), schemas))
    calls = [f"## {tag.capitalize()}\n\n{''.join(sections)}" for tag, sections in by_tag.items()]
    members = [_members(name, schemas) for name in sorted(bodies) if "properties" in schemas[name]]
    return "".join([*calls, "## Bodies\n\n", *members])


def _call(method: str, path: str, operation: Operation, schemas: Mapping[str, Schema]) -> str:
    by_path = {route.replace(":path}", "}"): methods for route, methods in SCOPES.items()}
    scopes = sorted(by_path.get(path, {}).get(method, ()))
    lines = [f"### {method} {path}\n", f"{cell(operation.get('description', operation.get('summary', '')))}\n"]
    if path in by_path:
        lines.append(f"- Scope: {' or '.join(f'`{scope}`' for scope in scopes) or 'any key'}")
    for parameter in operation.get("parameters", []):
        if parameter["in"] != "path":
            words = _linked(parameter.get("schema", {}), schemas)
            about = parameter.get("description", parameter.get("schema", {}).get("description", ""))
            kind = "Query" if parameter["in"] == "query" else "Header"
            lines.append(f"- {kind} `{parameter['name']}`: {words}{'. ' if about else ''}{cell(about)}")
    if body := operation.get("requestBody", {}).get("content", {}):
        told = (f"`{media}`" + _of(content, schemas) for media, content in body.items())
        lines.append(f"- Body: {'; '.join(told)}")
    statuses = {int(status): answer for status, answer in operation["responses"].items()}
    good = [
        f"{status} {'' if (about := answer.get('description', '')) == PLAIN else cell(about)}".strip(" .")
        for status, answer in statuses.items()
        if status < 400
    ]
    lines.append(f"- Answers: {'; '.join(good)}. Refusals: {', '.join(str(s) for s in sorted(statuses) if s >= 400)}")
    return "\n".join([*lines, "", ""])


def _linked(part: Schema, schemas: Mapping[str, Schema]) -> str:
    """What a value may be; bodies by their name, as links."""
    words = takes(part, schemas)
    return NAME.sub(lambda name: f"[{name[0]}](#{name[0].lower()})" if name[0] in schemas else name[0], words)


def _of(content: Schema, schemas: Mapping[str, Schema]) -> str:
    schema = content.get("schema", {})
    return f", {_linked(schema, schemas)}" if "$ref" in schema else ""


def _named(part: Any, schemas: Mapping[str, Schema], seen: set[str] | None = None) -> Iterator[str]:
    """Names of all schemas that a part of the document refers to, however deep."""
    seen = set() if seen is None else seen
    if isinstance(part, Mapping):
        name = str(part.get("$ref", "")).rsplit("/", 1)[-1]
        if name in schemas and name not in seen:
            seen.add(name)
            yield name
            yield from _named(schemas[name], schemas, seen)
    for inside in part.values() if isinstance(part, Mapping) else part if isinstance(part, list) else ():
        yield from _named(inside, schemas, seen)


def _members(name: str, schemas: Mapping[str, Schema]) -> str:
    schema = schemas[name]
    needed = schema.get("required", [])
    rows = [
        f"| `{member}` | {_linked(part, schemas)} | {'needed' if member in needed else default(part)} "
        f"| {cell(part.get('description', ''))} |"
        for member, part in schema["properties"].items()
    ]
    about = cell(schema.get("description", ""))
    head = ["| member | takes | default | meaning |", "| --- | --- | --- | --- |"]
    return "\n".join([f"### {name}\n", *([f"{about}\n"] if about else []), *head, *rows, "", ""])
