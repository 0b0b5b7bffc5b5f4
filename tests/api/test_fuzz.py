"""Whatever is sent, the answer is an answer: never 500, always a problem with a sentence."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from service.contract.tables import TableInput
from tests.api.conftest import Api
from tests.making import keep_version, make_model, make_version, table_checkpoint

ATOMS: list[Any] = [
    None,
    True,
    0,
    -1,
    2,
    3.5,
    1e308,
    10**30,
    2**63,
    "",
    "a",
    "digits",
    "..",
    "\x00",
    "é" * 300,
    "pending",
]
ATOMS += ["auto", "den", [], {}, [1, 2, 3], [[1, 2, 3]], [["a"]], {"name": "ridge"}, {"name": "l2_sp", "strength": "x"}]
ROWS = {"inputs": [[1, 2, 3]], "labels": ["a"]}
MODEL = "/v1/models/digits"
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/v1/models", {"name": "m", "input": {"kind": "vector", "size": 3}, "classes": ["a"], "gate": {}}),
    ("PATCH", MODEL, {"method": {"name": "ridge"}, "gate": {"forgets": {"p_hold": 0.1}}, "promotion": "auto"}),
    ("POST", f"{MODEL}/batches", {**ROWS, "source": "x", "new_classes": "allow", "again": True}),
    ("POST", f"{MODEL}/updates?wait=0", {**ROWS, "batches": None, "method": {"name": "ridge"}, "seed": 1}),
    ("POST", f"{MODEL}/classes", {"names": ["a"]}),
    ("POST", f"{MODEL}/retractions", {"batches": ["bat_0"], "reason": "x", "erase": False}),
    ("POST", f"{MODEL}/deployments", {"version": 1, "reason": "x", "if_live": 2, "rebase": False}),
    ("POST", f"{MODEL}/rollback", {"reason": "x", "to": 1, "if_live": 2}),
    ("POST", f"{MODEL}/predictions", {"inputs": [[1, 2, 3]], "top": 1}),
    ("POST", f"{MODEL}/versions/1/predictions", {"inputs": [[1, 2, 3]], "top": 1}),
]
COLUMNS: list[dict[str, Any]] = [
    {"name": "age", "kind": "number", "scale": {"range": [0, 110]}},
    {"name": "city", "kind": "category", "new_values": "refuse"},
    {"name": "plan", "kind": "category", "values": ["a", "digits"]},
    {"name": "booked", "kind": "date", "parts": ["hour"]},
    {"name": "member", "kind": "boolean"},
    {"name": "id", "kind": "category", "many": True},
]
CELLS = {"age": 3, "city": "a", "plan": "a", "booked": "2026-11-29T05:30:00Z", "member": True, "id": 5}
TABLES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/v1/models", {"name": "n", "input": {"kind": "table", "columns": COLUMNS, "indicators": 64}}),
    (
        "POST",
        "/v1/models",
        {
            "name": "o",
            "input": {"kind": "table", "columns": COLUMNS},
            "target": {"kind": "number", "from": "age", "yardstick": {"column": "age"}},
        },
    ),
    ("POST", "/v1/models/t/batches", {"inputs": [CELLS, {}], "labels": ["a", None], "new_values": "take"}),
    ("POST", "/v1/models/t/updates", {"inputs": [CELLS, [*CELLS.values()]], "labels": ["a", "b"]}),
    ("POST", "/v1/models/t/predictions", {"inputs": [CELLS, [*CELLS.values()], {}], "top": 1}),
]
STEPS = ["v1", "models", "digits", "versions", "1", "predictions", "updates", "batches", "..", "%00", "%ff", "weights"]
STEPS += ["ledger", "deployments", "events", "classes", "9" * 20, "-1"]
QUERIES = [
    "",
    "?limit=5",
    "?cursor=5",
    "?cursor=bat_0",
    "?limit=%00",
    "?input=[1,2,3]",
    "?input=%ff&top=3",
    "?wait=1e9",
]


def changed(value: Any, chance: random.Random) -> Any:
    """Changes a value a little or wholly."""
    if isinstance(value, dict):
        kept = {
            k: changed(v, chance) if chance.random() < 0.35 else v for k, v in value.items() if chance.random() > 0.1
        }
        return {**kept, chance.choice(["foo", "name", "\x00"]): chance.choice(ATOMS)} if chance.random() < 0.1 else kept
    if isinstance(value, list) and chance.random() < 0.5:
        return [changed(v, chance) for v in value] * chance.randint(0, 3)
    return chance.choice(ATOMS)


@pytest.mark.parametrize("seed", range(3))
def test_no_body_is_answered_with_a_fault_of_ours(api: Api, seed: int) -> None:
    make_version(api.runtime)
    make_version(api.runtime, seed=1)
    send(api, CALLS, seed)


def test_no_body_of_a_table_is_answered_with_a_fault_of_ours(api: Api) -> None:
    spec = TableInput.model_validate({"kind": "table", "columns": COLUMNS})
    make_model(api.runtime, "t", spec)
    keep_version(api.runtime, "t", table_checkpoint(spec, {"city": ["a"]}))
    send(api, TABLES, 0)


def send(api: Api, calls: list[tuple[str, str, dict[str, Any]]], seed: int) -> None:
    """Bodies like these, changed and broken."""
    chance = random.Random(seed)
    for _ in range(150):
        method, path, body = chance.choice(calls)
        raw = json.dumps(changed(body, chance)).encode()
        if chance.random() < 0.1:
            raw = raw[: chance.randint(0, len(raw))]
        elif chance.random() < 0.1:
            place = chance.randrange(len(raw))
            raw = raw[:place] + bytes([chance.randrange(256)]) + raw[place + 1 :]
        answer = api(method, path, content=raw, headers={"Content-Type": "application/json"})
        assert answer.status_code < 500, (method, path, raw)
        if answer.is_error:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["detail"]


def test_no_address_is_answered_with_a_fault_of_ours(api: Api) -> None:
    chance = random.Random(0)
    make_version(api.runtime)
    for _ in range(200):
        path = "/".join(chance.choice(STEPS) for _ in range(chance.randint(1, 6))) + chance.choice(QUERIES)
        answer = api(chance.choice(["GET", "HEAD", "OPTIONS", "PUT"]), f"/{path}")
        assert answer.status_code < 500, path
