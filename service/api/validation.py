"""Faults that pydantic finds, as refusals: JSON pointer and sentence with the remedy, never the value that was sent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from service.contract.requests import MODEL_NAME, CreateUpdate, PatchModel
from service.contract.targets import KINDS, of_one_kind
from service.errors import InvalidContent
from service.intake.json_body import JsonBody, pointer_to

M = TypeVar("M", bound=BaseModel)

LISTED = 20
"""Faults that an answer lists."""

ROWS = "rows is a list of at most 100 numbers of rows, counted from 0, with commas between: ?rows=0,3,17."
TEXT_COLUMN = (
    "Columns of text come later. Leave it out, send what it says as a category, or make a model of texts of it alone."
)
FOLLOWS = "default_factory_not_called"
"""A default that depends on a field that is wrong: no fault of its own."""
REMEDIES = {
    "top": "Ask for fewer.",
    "names": "Make several models.",
    "/input/names": "Leave them out: its columns then go by position.",
    "classes": "Make several models.",
    "inputs": "Send them in several bodies.",
    "labels": "Send them in several bodies.",
    "targets": "Send them in several bodies.",
    "groups": "Send them in several bodies.",
    "limit": "Follow `next_cursor`.",
    "wait": "Ask again, or follow its events.",
    "source": "Take a shorter one.",
    "size": "Send fewer columns.",
    "height": "Make it smaller.",
    "width": "Make it smaller.",
    "length": "Cut the texts.",
}
"""The remedy for a field that is over its limit, by its name or its pointer, as the table of limits says it."""
EXAMPLES = {r"/input/columns/\d+": 'Send {"name": "city", "kind": "category"}.', "/target": 'Send {"kind": "number"}.'}
"""Objects of a model that are sent as their names alone, by the pattern of their pointer."""
FIXED = frozenset(field.alias or member for kind in KINDS.values() for member, field in kind.model_fields.items())
"""Members of a target that cannot change."""
OVER = frozenset({"less_than_equal", "too_long", "string_too_long"})
FOREIGN = frozenset({"missing", "extra_forbidden", "literal_error", "list_type", "dict_type", "model_type"})
"""Faults which say that this member of the union was not meant."""


def validated(kind: type[M], body: JsonBody, context: Mapping[str, Any] | None = None) -> M:
    """The body as a request; `context`: what it needs to know besides. Raises InvalidContent."""
    try:
        return kind.model_validate_json(body.text, strict=True, context=context)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False), body.members, kind) from None


def invalid(faults: Sequence[Any], body: Any, kind: type[BaseModel] | None = None) -> InvalidContent:
    """pydantic's list of faults in `body` as one refusal."""
    faults = _likeliest_branch([fault for fault in faults if fault["type"] != FOLLOWS], body)
    # a misspelt member explains the one that is missing
    faults.sort(key=lambda fault: fault["type"] != "extra_forbidden")
    errors = list(dict.fromkeys(_explained(fault, body, kind) for fault in faults[:LISTED]))
    more = f" ({len(faults) - 1} more.)" if len(faults) > 1 else ""
    return InvalidContent(errors[0][1] + more, errors)


def _explained(fault: Mapping[str, Any], body: Any, kind: type[BaseModel] | None) -> tuple[str, str]:
    """-> pointer, sentence"""
    steps, value, _ = _walk(fault["loc"], body, fault["type"] == "missing")
    pointer = pointer_to(steps)
    name = ".".join(str(s)[:100] for s in steps)
    match fault["type"]:
        case "extra_forbidden" if steps[0] == "gate" and (sentence := of_one_kind([str(s) for s in steps[1:]])):
            return pointer, sentence
        case "extra_forbidden" if kind is PatchModel and steps[0] == "target" and steps[-1] in FIXED:
            return pointer, f"{name} stays as the model was made: yardstick and level may change. Make another model."
        case "extra_forbidden":
            fields = list(kind.model_fields) if kind is not None and len(steps) == 1 else []
            return pointer, unknown(name, fields, "here")
        case "list_type" | "literal_error" if pointer == "/batches" and kind is CreateUpdate:
            return pointer, 'batches is a list of ids, or "pending" for all that wait.'
        case "list_type" if pointer == "/labels":
            return pointer, "labels is a list, one a row; null stands for a row that has none: [null, ...]."
        case "list_type" if pointer == "/targets":
            return pointer, "targets is a list, one a row; null stands for a row that has none: [null, ...]."
        case "literal_error" if pointer == "/target/yardstick":
            return pointer, f'{name} should be "mean", "last" or a column by its place, such as {{"column": 3}}.'
        case "int_type" if pointer == "/target/from":
            return pointer, f"{name} is the place of a column, counted from 0, not its name."
        case "missing":
            return pointer, f"{name} is missing."
        case "value_error":
            return pointer, _sentence(str(fault["ctx"]["error"]))
        case "union_tag_invalid" | "union_tag_not_found":
            by = str(fault["ctx"]["discriminator"]).strip("'")
            if pointer.startswith("/input/columns/") and fault["ctx"].get("tag") == "text":
                return f"{pointer}/{by}", TEXT_COLUMN
            one_of = f" is one of {tags}." if (tags := fault["ctx"].get("expected_tags")) else " is missing."
            meant = f" type is not known here: is {by} meant?" if not tags and _holds(value, "type") else ""
            return f"{pointer}/{by}", f"{name}.{by}{one_of}{meant}"
        case "string_pattern_mismatch" if pointer == "/name":
            return pointer, MODEL_NAME
        case "string_pattern_mismatch" if pointer == "/rows":
            return pointer, ROWS
    for subject in ("Input", "String", "List", "Value", "Dictionary"):
        if fault["msg"].startswith(f"{subject} should"):
            rest = fault["msg"].removeprefix(subject).replace(" after validation", "")
            sentence = _sentence((name or "The body") + rest) + _remedy(pointer, fault["type"], kind)
            return pointer, sentence + _example(pointer, rest)
    return pointer, _sentence(f"{name}: {fault['msg']}" if name else fault["msg"])


def _remedy(pointer: str, fault: str, kind: type[BaseModel] | None) -> str:
    """The remedy for a field that is over its limit, which follows the sentence that says so."""
    field = pointer.rpartition("/")[2]
    if fault not in OVER:
        return ""
    if field == "batches":
        return ' Say "pending".' if kind is CreateUpdate else " Send several."
    remedy = REMEDIES.get(pointer, REMEDIES.get(field))
    return f" {remedy}" if remedy else ""


def _example(pointer: str, rest: str) -> str:
    """An object to send, where something else came in its place."""
    shown = next((text for pattern, text in EXAMPLES.items() if re.fullmatch(pattern, pointer)), "")
    return f" {shown}" if shown and rest.endswith("should be an object") else ""


def _likeliest_branch(faults: Sequence[Any], body: Any) -> list[Any]:
    """The faults, but of each union only those of the member that the sender most likely meant."""
    branches: dict[tuple[int | str, ...], dict[int | str, list[Any]]] = {}
    plain = []
    for fault in faults:
        _, _, skipped = _walk(fault["loc"], body, fault["type"] == "missing")
        if skipped is None:
            plain.append(fault)
        else:
            before, branch = skipped
            branches.setdefault(before, {}).setdefault(branch, []).append(fault)
    for members in branches.values():
        plain += min(members.values(), key=lambda member: sum(fault["type"] in FOREIGN for fault in member))
    return plain


def unknown(name: str, fields: Sequence[str], where: str, meant: Sequence[str] = ()) -> str:
    """The sentence about an unknown member, with the known ones, or the one that is `meant`."""
    near = meant or get_close_matches(name, fields, n=1)
    known = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(fields)}." if fields else "Leave it out."
    return f"{name} is not known {where}. {known}"


def _walk(
    loc: Sequence[int | str], body: Any, missing: bool
) -> tuple[list[int | str], Any, tuple[tuple[int | str, ...], int | str] | None]:
    """-> steps, the value there, and (steps before, name) of the last step that is in no body: a member of a union."""
    steps: list[int | str] = []
    value, skipped = body, None
    for k, step in enumerate(loc):
        if _holds(value, step):
            value = value[step]
        elif missing and k == len(loc) - 1:
            value = None
        else:
            skipped = (tuple(steps), step)
            continue
        steps.append(step)
    return steps, value, skipped


def _holds(value: Any, step: int | str) -> bool:
    if isinstance(value, dict):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and step < len(value)


def _sentence(text: str) -> str:
    return f"{text.strip().rstrip('.')[:300]}."
