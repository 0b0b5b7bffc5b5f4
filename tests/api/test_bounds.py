"""Every list, text and object that a request may hold has a longest length; of a list the first fault is reported."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from service.api.limits.table import ROWS
from service.api.validation import REMEDIES, validated
from service.contract.requests import MOST_BATCHES, CreateUpdate
from service.errors import InvalidContent
from service.intake.json_body import read_object
from service.learning.auto.choice import AutoParams
from service.learning.methods import METHODS
from tests.api.conftest import Api, pointers

JSON = {"Content-Type": "application/json"}
OPEN = {"InferenceRequest", "InputTensor", "RequestedOutput", "Invocation", "SplitFrame"}
"""Messages of the Open Inference Protocol and of MLflow's scoring server: members that they do not know are ignored,
and counted as they are read."""


def unbounded(schema: Any, at: str, definitions: dict[str, Any]) -> Iterator[str]:
    """Places of a schema where something of any length may stand."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name in definitions:
            yield from unbounded(definitions.pop(name), name, definitions)
        return
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    is_long = not schema.keys() & {"maxLength", "enum", "const"} and not str(schema.get("pattern", "")).endswith("}$")
    if "string" in kinds and is_long:
        yield at
    if "array" in kinds and "maxItems" not in schema:
        yield at
    # one without any named member holds whatever is sent
    if "object" in kinds and schema.get("additionalProperties") is not False and "maxProperties" not in schema:
        yield at
    for name, inner in schema.get("properties", {}).items():
        yield from unbounded(inner, f"{at}.{name}", definitions)
    for inner in [*schema.get("anyOf", []), *schema.get("oneOf", []), *schema.get("allOf", [])]:
        yield from unbounded(inner, at, definitions)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from unbounded(schema[key], f"{at}[]", definitions)


def test_everything_in_a_body_has_a_longest_length(api: Api) -> None:
    document = api.ok("GET", "/openapi.json")
    definitions = document["components"]["schemas"]
    bodies = [
        content["schema"]
        for path in document["paths"].values()
        for operation in path.values()
        for media, content in operation.get("requestBody", {}).get("content", {}).items()
        if media == "application/json"
    ]
    assert len(bodies) >= 12
    assert {k for body in bodies for k in unbounded(body, "", definitions)} <= OPEN


def fields(schema: Any, definitions: dict[str, Any]) -> Iterator[str]:
    """Names of all members that a schema has somewhere."""
    if isinstance(schema, dict):
        yield from schema.get("properties", ())
        if (name := str(schema.get("$ref")).rpartition("/")[2]) in definitions:
            yield from fields(definitions.pop(name), definitions)
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from fields(inner, definitions)


def test_nothing_in_a_request_names_a_file_or_an_address(api: Api) -> None:
    """So nobody can have the server open one."""
    document = api.ok("GET", "/openapi.json")
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    bodies = [operation.get("requestBody") for operation in operations]
    names = {*fields(bodies, document["components"]["schemas"])}
    names |= {one["name"] for operation in operations for one in operation.get("parameters", [])}
    assert len(names) > 100
    words = {word for name in names for word in re.split(r"[^a-z]+", name.lower())}
    assert not words & {"file", "path", "folder", "dir", "url", "uri", "href", "link", "host", "endpoint", "address"}


def test_parameters_of_methods_have_a_longest_length() -> None:
    every: list[type[BaseModel]] = [AutoParams, *(method.Params for method in METHODS.values())]
    for params in every:
        schema = params.model_json_schema()
        assert list(unbounded(schema, params.__module__, schema.get("$defs", {}))) == [], params


def test_one_fault_of_a_long_list_is_told(api: Api) -> None:
    for method, path, body, pointer in [
        ("POST", "updates", '{"batches": [%s]}', "/batches/0"),
        ("POST", "retractions", '{"batches": [%s]}', "/batches/0"),
        ("POST", "classes", '{"names": [%s]}', "/names/0"),
        ("PATCH", "", '{"method": {"name": "ridge", "x": {%s}}}', ""),
    ]:
        items = ",".join(f'"k{k}": 1' if "{%s}" in body else "1" for k in range(5000))
        answer = api(method, f"/v1/models/digits/{path}".rstrip("/"), content=body % items, headers=JSON)
        assert (answer.status_code, pointers(answer)) == (422, [pointer]), method


def test_a_list_of_too_many_batches_is_refused() -> None:
    body = read_object(b'{"batches": [%s]}' % b",".join([b'"bat_1"'] * (MOST_BATCHES + 1)))
    with pytest.raises(InvalidContent, match="10000"):
        validated(CreateUpdate, body)


def test_what_brings_no_rows_is_short(api: Api) -> None:
    """A body that makes a model may be longer: its scale is two numbers a column."""
    long = b'{"name": "wide", "input": {"kind": "vector", "size": 3, "scale": {"mean": [0, 0, 0], "std": 1}}}'
    for size, path, status in [
        (1_000_000, "/v1/models/digits/rollback", 409),
        (1_100_000, "/v1/models/digits/rollback", 413),
        (1_100_000, "/v1/models/digits/classes", 413),
        (1_100_000, "/v1/models", 201),
        (4_300_000, "/v1/models", 413),
    ]:
        body = long if path == "/v1/models" else b"{}"
        answered = api("POST", path, content=body.ljust(size), headers=JSON)
        assert answered.status_code == status, (size, path)
    assert "Round the numbers of its scale." in answered.json()["detail"]


def test_what_is_over_a_limit_is_told_what_to_do(api: Api) -> None:
    for method, path, body, remedy in [
        ("POST", "models/digits/classes", {"names": ["x"] * 10_001}, "Make several models."),
        (
            "POST",
            "models",
            {"name": "wide", "input": {"kind": "vector", "size": 10_001, "names": [f"p{k}" for k in range(10_001)]}},
            "Leave them out: its columns then go by position.",
        ),
        ("POST", "models/digits/retractions", {"batches": ["x"] * 1001}, "Send several."),
        ("POST", "models/digits/updates", {"batches": ["x"] * 10_001}, 'Say "pending".'),
        (
            "POST",
            "models/digits/updates",
            {"method": {"name": "ridge", **{f"x{k}": 1 for k in range(101)}}},
            "A method has at most 100 parameters. GET /v1/methods says which there are.",
        ),
        ("GET", "models?limit=1001", None, "1000. Follow `next_cursor`."),
    ]:
        answer = api(method, f"/v1/{path}", body)
        assert (answer.status_code, answer.json()["detail"][-len(remedy) :]) == (422, remedy), method


def test_remedies_are_those_of_the_table() -> None:
    assert set(REMEDIES.values()) <= {row.beyond for row in ROWS if row.status == 422}


def test_an_unknown_member_is_told_before_the_one_that_is_missing(api: Api) -> None:
    answer = api("POST", "/v1/models/digits/classes", {"classes": ["a"]}).json()
    assert answer["detail"] == "classes is not known here. Known are names. (1 more.)"
    assert [error["pointer"] for error in answer["errors"]] == ["/classes", "/names"]
