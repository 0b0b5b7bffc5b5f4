"""What pydantic found, told our way: a JSON pointer, a sentence with the remedy, and never the value that was sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from service.contract.requests import CreateUpdate
from service.errors import InvalidContent
from service.intake.json_body import JsonBody

M = TypeVar("M", bound=BaseModel)

LISTED = 20
"""Faults that an answer lists."""

NAME = (
    "A model's name has lower-case letters, digits, dots, dashes and underscores; it begins with a letter or digit and "
    "has at most 100 characters."
)
FOLLOWS = "default_factory_not_called"
"""A default that depends on a field that is wrong: no fault of its own."""
REMEDIES = {
    "top": "Ask for fewer.",
    "names": "Make several models.",
    "classes": "Make several models.",
    "inputs": "Send them in several bodies.",
    "labels": "Send them in several bodies.",
    "groups": "Send them in several bodies.",
    "limit": "Follow `next_cursor`.",
    "wait": "Ask again, or follow its events.",
    "source": "Take a shorter one.",
    "size": "Send fewer columns.",
    "height": "Make it smaller.",
    "width": "Make it smaller.",
    "length": "Cut the texts.",
}
"""What to do about a field that is over its limit, as the table of limits says it."""
OVER = frozenset({"less_than_equal", "too_long", "string_too_long"})
FOREIGN = frozenset({"missing", "extra_forbidden", "literal_error", "list_type", "dict_type", "model_type"})
"""Faults that say: this member of the union was not meant."""


def validated(kind: type[M], body: JsonBody) -> M:
    """The body as a request. Raises InvalidContent."""
    try:
        return kind.model_validate_json(body.text, strict=True)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False), body.members, kind) from None


def invalid(found: Sequence[Any], body: Any, kind: type[BaseModel] | None = None) -> InvalidContent:
    """pydantic's list of faults in `body` as one refusal."""
    found = _likeliest_branch([fault for fault in found if fault["type"] != FOLLOWS], body)
    found.sort(
        key=lambda fault: fault["type"] != "extra_forbidden"
    )  # a misspelt member explains the one that is missing
    told = list(dict.fromkeys(_told(fault, body, kind) for fault in found[:LISTED]))
    more = f" ({len(found) - 1} more.)" if len(found) > 1 else ""
    return InvalidContent(told[0][1] + more, told)


def _told(fault: Mapping[str, Any], body: Any, kind: type[BaseModel] | None) -> tuple[str, str]:
    """-> pointer, sentence"""
    steps, _, _ = _walk(fault["loc"], body, fault["type"] == "missing")
    pointer = pointer_to(steps)
    name = ".".join(str(s)[:100] for s in steps)
    match fault["type"]:
        case "extra_forbidden":
            fields = list(kind.model_fields) if kind is not None and len(steps) == 1 else []
            return pointer, unknown(name, fields, "here")
        case "list_type" | "literal_error" if pointer == "/batches" and kind is CreateUpdate:
            return pointer, 'batches is a list of ids, or "pending" for all that wait.'
        case "list_type" if pointer == "/labels":
            return pointer, "labels is a list, one a row; null stands for a row that has none: [null, ...]."
        case "missing":
            return pointer, f"{name} is missing."
        case "value_error":
            return pointer, _sentence(str(fault["ctx"]["error"]))
        case "union_tag_invalid" | "union_tag_not_found":
            by = str(fault["ctx"]["discriminator"]).strip("'")
            one_of = f" is one of {tags}." if (tags := fault["ctx"].get("expected_tags")) else " is missing."
            return f"{pointer}/{by}", f"{name}.{by}{one_of}"
        case "string_pattern_mismatch" if pointer == "/name":
            return pointer, NAME
    for subject in ("Input", "String", "List", "Value", "Dictionary"):
        if fault["msg"].startswith(f"{subject} should"):
            told = fault["msg"].removeprefix(subject).replace(" after validation", "")
            return pointer, _sentence((name or "The body") + told) + _remedy(pointer, fault["type"], kind)
    return pointer, _sentence(f"{name}: {fault['msg']}" if name else fault["msg"])


def _remedy(pointer: str, fault: str, kind: type[BaseModel] | None) -> str:
    """What to do about a field that is over its limit, behind the sentence that says so."""
    field = pointer.rpartition("/")[2]
    if fault not in OVER:
        return ""
    if field == "batches":
        return ' Say "pending".' if kind is CreateUpdate else " Send several."
    return f" {REMEDIES[field]}" if field in REMEDIES else ""


def _likeliest_branch(found: Sequence[Any], body: Any) -> list[Any]:
    """Of a union that took none of its members, the one that the sender most likely meant; other faults as they are."""
    branches: dict[tuple[int | str, ...], dict[int | str, list[Any]]] = {}
    plain = []
    for fault in found:
        _, _, skipped = _walk(fault["loc"], body, fault["type"] == "missing")
        if skipped is None:
            plain.append(fault)
        else:
            before, branch = skipped
            branches.setdefault(before, {}).setdefault(branch, []).append(fault)
    for members in branches.values():
        plain += min(members.values(), key=lambda faults: sum(f["type"] in FOREIGN for f in faults))
    return plain


def pointer_to(steps: Sequence[int | str]) -> str:
    """The JSON pointer to a place."""
    return "".join("/" + str(step)[:100].replace("~", "~0").replace("/", "~1") for step in steps)


def unknown(name: str, fields: Sequence[str], where: str) -> str:
    """An unknown member, with what would be known."""
    near = get_close_matches(name, fields, n=1)
    known = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(fields)}." if fields else "Leave it out."
    return f"{name} is not known {where}. {known}"


def _walk(
    loc: Sequence[int | str], body: Any, missing: bool
) -> tuple[list[int | str], Any, tuple[tuple[int | str, ...], int | str] | None]:
    """-> steps, what stands there, and (place, name) of the last step that no body has: a member of a union."""
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
