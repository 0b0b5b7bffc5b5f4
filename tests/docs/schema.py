"""JSON Schema in words: what a value may be, and its default."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "`true`, `false`",
    "null": "`null`",
    "string": "text",
}
Schema = Mapping[str, Any]


def takes(part: Schema, known: Mapping[str, Schema]) -> str:
    """What a value may be. known: schemas by the name that a reference ends in."""
    if "$ref" in part:
        name = part["$ref"].rsplit("/", 1)[1]
        return name if "properties" in known[name] else takes(known[name], known)
    if choices := part.get("anyOf", part.get("oneOf")):
        return ", or ".join(dict.fromkeys(takes(one, known) for one in choices))
    if "allOf" in part:
        return takes(part["allOf"][0], known)
    if "enum" in part:
        return ", ".join(f"`{json.dumps(value)}`" for value in part["enum"])
    if "const" in part:
        return f"`{json.dumps(part['const'])}`"
    kind = part.get("type")
    if isinstance(kind, list):
        return ", or ".join(takes({**part, "type": one}, known) for one in kind)
    if kind == "array":
        return f"a list of {takes(part['items'], known)}" if part.get("items") else "a list"
    if kind == "object":
        inside = part.get("additionalProperties")
        return f"an object of {takes(inside, known)}" if isinstance(inside, dict) and inside else "an object"
    return f"{WORDS[kind]}{_bounds(part)}" if kind else "anything"


def _bounds(part: Schema) -> str:
    low = f" from {part['minimum']:,.15g}" if "minimum" in part else ""
    low = low or (f" above {part['exclusiveMinimum']:,.15g}" if "exclusiveMinimum" in part else "")
    high = f" to {part['maximum']:,.15g}" if "maximum" in part else ""
    high = high or (f" below {part['exclusiveMaximum']:,.15g}" if "exclusiveMaximum" in part else "")
    return low + high


def default(part: Schema) -> str:
    """As JSON; empty where there is none."""
    return f"`{cell(json.dumps(part['default'], ensure_ascii=False))}`" if "default" in part else ""


def cell(text: str) -> str:
    """Text on one line that a cell of a table may hold."""
    return " ".join(text.split()).replace("|", "\\|")
