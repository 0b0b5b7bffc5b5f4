"""A CSV file as the body of a request: what JSON says beside its rows stands in the query, and so do the names of the
columns that are no inputs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

from starlette.types import Scope

from service.api.limits.bodies import charset
from service.api.openapi import in_query, takes
from service.api.queries import once, pairs_of
from service.api.reader.annotations import Due
from service.api.validation import validated
from service.contract.enums import CSV, SAFETENSORS
from service.contract.inputs import ImageInput, InputSpec
from service.contract.requests import CreateBatch, CreateUpdate
from service.contract.tables import value_text
from service.errors import BrokenJSON, InvalidContent, UnsupportedMedia
from service.guessing.csv_files.dialect import SAYABLE, SaidDialect
from service.guessing.csv_files.letters import ENCODINGS
from service.intake.formats.csv_header import Meant, Spec
from service.intake.json_body import GROUPS, IS_CSV, LABELS, ROWS, TARGETS, JsonBody, check_depth, read_value

TARGET, GROUP, LEAVE_OUT = "target", "group", "leave_out"
"""Members of the query that name columns of the file."""
GAPS = "gaps"
"""The one that names what cells say where nothing is known."""
SEVERAL = (TARGET, LEAVE_OUT, GAPS)
"""Those that may stand there more than once."""
NOT_IN_QUERY = (ROWS, LABELS, TARGETS, GROUPS, "batches")
"""Members of a body of JSON that a file has as columns, or that bring no rows."""
MOST_DIGITS = 10

Order = TypeVar("Order", CreateBatch, CreateUpdate)


def in_lines(spec: InputSpec, model: str) -> Spec:
    """The input that a CSV file is read by. Raises UnsupportedMedia for images."""
    if isinstance(spec, ImageInput):
        raise UnsupportedMedia(f"{model} takes images, and no line of a CSV file is one. Send application/json.")
    return spec


def read_order(scope: Scope, kind: type[Order], due: Due, depth: int) -> tuple[Order, JsonBody, Meant]:
    """What a query orders: as the body of JSON that would say the same, but for its rows; and what the columns are.

    depth: of lists and objects in it. Raises InvalidContent, LongAddress.
    """
    pairs = _pairs(scope["query_string"], kind)
    targets, left_out, gaps = (several(pairs, name) for name in SEVERAL)
    members = once(pair for pair in pairs if pair[0] not in SEVERAL)
    group, said = members.pop(GROUP, None), said_of(members, scope)
    readers: dict[str, Callable[[str], Any]] = {**_READERS, "method": partial(_method, depth)}
    read = {name: readers.get(name, str)(value) for name, value in members.items()}
    body = {ROWS: [], due.word: [], **read}
    checked = JsonBody(body, json.dumps(body).encode())
    order = validated(kind, checked)
    meant = Meant(due.target, targets, group and value_text(group), left_out, gaps, said, due.leave_out)
    return order, checked, meant


def several(pairs: Iterable[tuple[str, str]], of: str) -> tuple[str, ...]:
    """The values of a member that may stand in a query more than once."""
    return tuple(value_text(value) for name, value in pairs if name == of)


def said_of(members: dict[str, str], scope: Scope) -> SaidDialect:
    """Takes out of the members of a query what they say of how a file is written; the header Content-Type may say how
    its letters are stored, too. Raises InvalidContent."""
    said = {name: members.pop(name) for name in SAYABLE if name in members}
    for name, word in said.items():
        if word.lower() not in SAYABLE[name]:
            raise InvalidContent.at(f"/{name}", f"{name} is {_SAID[name]}.")
    return SaidDialect.of({"encoding": charset(scope), **said})


def columns_sent(meant: Meant) -> dict[str, Any]:
    """What the columns of a file are, as the reading process is told beside the target."""
    sent = {"targets": meant.targets, "group": meant.group, "leave_out": meant.leave_out, "gaps": meant.gaps}
    return {**sent, "said": asdict(meant.said), "remembered": meant.remembered}


def refuse_query(query: bytes, kind: type[Order]) -> None:
    """Raises InvalidContent where the query of a body of JSON says what that of a CSV file says."""
    for name, _ in _pairs(query, kind) if query else ():
        sentence = f"{name} stands in the query of a CSV file; a JSON body says it itself. {IS_CSV}"
        raise InvalidContent.at(f"/{name}", sentence)


def takes_rows(kind: type[CreateBatch] | type[CreateUpdate], *parameters: dict[str, Any]) -> dict[str, Any]:
    """The `openapi_extra` of a route that takes rows as JSON, as a CSV file with the rest in its query, or an array."""
    fields = [(name, field) for name, field in kind.model_fields.items() if name not in NOT_IN_QUERY]
    described = [
        file_parameter(name, {"type": _TYPES.get(name, "string")}, field.description) for name, field in fields
    ]
    extra = takes(kind, *_COLUMNS, *described, *parameters)
    sentence = "UTF-8, as RFC 4180 has it: a line of column names, then a row a line. For tables, vectors and texts."
    extra["requestBody"]["content"][CSV] = {"schema": {"type": "string", "description": sentence}}
    arrays = "Rows of numbers or images as the tensor inputs; in its metadata, as body, JSON of all else."
    schema = {"type": "string", "format": "binary", "description": arrays}
    extra["requestBody"]["content"][SAFETENSORS] = {"schema": schema}
    return extra


def file_parameter(name: str, schema: dict[str, Any], description: str | None) -> dict[str, Any]:
    sentence = f"{description or ''} With a CSV file alone; a JSON body says it itself.".strip()
    return in_query(name, schema, sentence)


def _pairs(query: bytes, kind: type[CreateBatch] | type[CreateUpdate]) -> list[tuple[str, str]]:
    """What a query says about a CSV file; other names are checked before. Raises InvalidContent, LongAddress."""
    known = {*SEVERAL, GROUP, *SAYABLE, *kind.model_fields}.difference(NOT_IN_QUERY)
    return [(name, value) for name, value in pairs_of(query) if name in known]


def _method(depth: int, text: str) -> Any:
    """The name of a method, or JSON of it with its parameters. Raises InvalidContent."""
    if not text.lstrip().startswith("{"):
        return {"name": text}
    data = text.encode("utf-8", "replace")
    try:
        method = read_value(data, "/method")
        check_depth(data, method, depth)
        return method
    except BrokenJSON as error:
        raise InvalidContent.at("/method", error.detail.replace("The body", "method", 1)) from None


_READERS: Mapping[str, Callable[[str], Any]] = {
    "again": lambda text: {"true": True, "false": False}.get(text, text),
    "seed": lambda text: int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else text,
}
"""Members that are no text -> what reads them; what is none of its kind stays text, and is refused as such."""
_TYPES = {"again": "boolean", "seed": "integer"}
_SAID = {
    "delimiter": 'what parts cells: ",", ";" (%3B) or "tab"',
    "decimal": 'what decimals begin with: "," or "."',
    "encoding": f"how letters are stored: {', '.join(ENCODINGS)}",
    "dates": 'what stands first in 3/4/2026: "day-first" or "month-first"',
}
"""What a member of the query says of how the file is written."""
SEVERAL_TEXTS = {"type": "array", "items": {"type": "string"}}
WRITTEN = (
    file_parameter(
        "delimiter",
        {"type": "string", "enum": [",", ";", "tab"]},
        "What parts cells; without it the first line says so, and one that can be read in two ways is refused.",
    ),
    file_parameter(
        "decimal",
        {"type": "string", "enum": [",", "."]},
        "What decimals begin with; without it a point where commas part cells, else what the numbers show, and numbers "
        "that can be read in two ways are refused.",
    ),
    file_parameter(
        "encoding",
        {"type": "string", "enum": [*ENCODINGS]},
        "How letters are stored, which charset in Content-Type may say, too; without it UTF-8 where the bytes are "
        "such, else what they look like: UTF-16, Shift_JIS, Windows-1252 or, where lines end as on old Macs, "
        "Macintosh.",
    ),
    file_parameter(
        "dates",
        {"type": "string", "enum": [*SAYABLE["dates"]]},
        "Whether day or month stands first in 3/4/2026; without it a date of the file with a day above 12 says so, and "
        "dates that can be read in two ways are refused.",
    ),
)
"""Parameters of a query that say how a CSV file is written."""
GAP_WORDS = file_parameter(
    GAPS,
    SEVERAL_TEXTS,
    "What cells of the file say where nothing is known, such as NA: they count as empty; named again for each of "
    "several.",
)
LEFT_OUT = file_parameter(
    LEAVE_OUT,
    SEVERAL_TEXTS,
    "A column that is none of all these, such as a number of the row; named again for each of several.",
)
_COLUMNS = (
    file_parameter(
        TARGET,
        SEVERAL_TEXTS,
        "The column that holds the labels or targets, named again for each of several; by default the names of the "
        "model's target, else target or label.",
    ),
    file_parameter(GROUP, {"type": "string"}, "The column that holds the groups."),
    LEFT_OUT,
    GAP_WORDS,
    *WRITTEN,
)
TO_PREDICT = (
    file_parameter(
        TARGET,
        SEVERAL_TEXTS,
        "A column that is no input, since it holds what is right; named again for each of several. By default target "
        "and label.",
    ),
    LEFT_OUT,
    GAP_WORDS,
    *WRITTEN,
)
"""Parameters of a query that say what the columns of a CSV file are whose rows are predicted."""
