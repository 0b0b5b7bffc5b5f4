"""The interface for programs as a page, made from its OpenAPI description."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from service.contract.enums import JSON, Verdict
from service.web.view import Answer, Route, Shown, View

DESCRIPTION = "/openapi.json"
Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Field:
    """A member of a body. `type`: of its values, as JSON has them."""

    name: str
    type: str
    required: bool
    does: str


@dataclass(frozen=True)
class Call:
    """One call: what it does, the statuses of its answers, and the members of its body where that is JSON."""

    method: str
    path: str
    does: str
    statuses: Sequence[str]
    fields: Sequence[Field]


def show(view: View) -> Answer:
    """All calls, by what they are about."""
    return Shown("docs.html", {"groups": calls(view.api.send("GET", DESCRIPTION))}, json=DESCRIPTION)


@lru_cache(1)
def calls(document: bytes) -> Mapping[str, Sequence[Call]]:
    """The calls of an OpenAPI document by their tag."""
    groups: dict[str, list[Call]] = {}
    described = json.loads(document)
    schemas = described.get("components", {}).get("schemas", {})
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            does = operation.get("description") or operation.get("summary") or ""
            body = operation.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema", {})
            body = _resolved(body, schemas)
            fields = [
                Field(name, _type(schema, schemas), name in body.get("required", ()), _description(schema))
                for name, schema in body.get("properties", {}).items()
            ]
            call = Call(method.upper(), path, does, sorted(operation["responses"]), fields)
            groups.setdefault(operation.get("tags", ["other"])[0], []).append(call)
    return groups


def _resolved(schema: Schema, schemas: Schema) -> Schema:
    """The schema that a reference names, or the schema itself."""
    resolved: Schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return resolved


def _description(schema: Schema) -> str:
    return schema.get("description") or next((d for of in schema.get("anyOf", ()) if (d := of.get("description"))), "")


def _type(schema: Schema, schemas: Schema) -> str:
    """A type in words: list of string, {kind: vector, size, scale} or null."""
    schema = _resolved(schema, schemas)
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(_type(choice, schemas) for choice in choices))
    if "const" in schema or "enum" in schema:
        return " or ".join(map(json.dumps, schema.get("enum", [schema.get("const")])))
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'], schemas)}" if schema.get("items") else "list"
    if members := schema.get("properties"):
        listed = [f"{name}: {of['const']}" if "const" in of else name for name, of in members.items()]
        return f"{{{', '.join(listed)}}}"
    return str(schema.get("type", "any"))


def gate(view: View) -> Answer:
    """What verdicts and rules of the gate mean, and what helps."""
    return Shown("gate.html", {"verdicts": [*Verdict], "rules": RULES}, json=DESCRIPTION)


RULES = {
    "first_version": 0,
    "unlearnable": 1,
    "contradicts_everything": 2,
    "wrong_unit": 2,
    "one_value": 2,
    "contradicts_class": 3,
    "outliers": 3,
    "disagrees_broadly": 4,
    "forgets": 5,
    "intrudes": 6,
    "new_class_not_learned": 7,
    "worst_class": 8,
    "worst_region": 8,
    "slow_loss": 9,
    "learned_nothing": 10,
    "sound": 11,
    "renames": 12,
    "wrong_columns": 13,
}
"""Rules of the gate, of classes and of numbers, with their numbers."""
ROUTES = (Route("/docs", show), Route("/docs/gate", gate))
