"""Whatever is sent, the answer is an answer: never 500, always a problem with a sentence."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
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


OPENS = {"open", "os.listdir", "os.scandir", "socket.connect", "socket.getaddrinfo", "subprocess.Popen"}
"""What Python announces before it touches a file, a name of a host or another process."""
SENTINEL = "sentinel-203-0-113-7"
OTHERS: list[tuple[str, str, dict[str, Any]]] = [
    ("PUT", f"{MODEL}/aliases/stable", {"version": 1}),
    ("POST", f"{MODEL}/batches/bat_0/corrections", {"rows": {"0": "a"}, "reason": "x"}),
    ("POST", "/v1/keys", {"name": "till", "scopes": ["predict"], "models": ["digits"]}),
    ("POST", "/v2/models/digits/infer", {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1]}]}),
    ("POST", f"{MODEL}/invocations", {"instances": [[1, 2, 3]]}),
    ("POST", "/v1/models", {"name": "p", "input": {"kind": "text"}, "architecture": {"backbone": {"name": "minilm"}}}),
    ("POST", "/v1/models", {"name": "q", "input": {"kind": "image", "channels": 1, "height": 2, "width": 2}}),
]
opened: list[str] = []
"""What was opened that names the sentinel."""
watched: list[Path] = []
"""The folder of the test that watches; empty while none does."""


def watch(event: str, args: tuple[Any, ...]) -> None:
    """Notes what is opened. Python never lets go of it, so it does nothing while no test watches."""
    if watched and event in OPENS and SENTINEL in repr(args):
        opened.append(f"{event} {args!r}")


def with_text(value: Any, text: str) -> Iterator[Any]:
    """The body with this in place of each text, or name of a member, in turn."""
    if isinstance(value, str):
        yield text
    elif isinstance(value, dict):
        for name, member in value.items():
            yield from ({**value, name: other} for other in with_text(member, text))
        yield {**value, text: 1}
    elif isinstance(value, list):
        for k, member in enumerate(value):
            yield from ([*value[:k], other, *value[k + 1 :]] for other in with_text(member, text))


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


@pytest.mark.long
def test_no_text_of_a_body_is_opened_as_a_path_or_an_address(
    api: Api, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    make_version(api.runtime)
    spec = TableInput.model_validate({"kind": "table", "columns": COLUMNS})
    make_model(api.runtime, "t", spec)
    keep_version(api.runtime, "t", table_checkpoint(spec, {"city": ["a"]}))
    there = tmp_path / SENTINEL
    there.write_text("{}")
    sys.addaudithook(watch)
    watched.append(tmp_path)
    request.addfinalizer(watched.clear)
    opening: list[Callable[[], object]] = [there.read_text, lambda: next(tmp_path.iterdir()).read_bytes()]
    for count, open_it in enumerate(opening, 1):
        open_it()
        assert len(opened) == count, "the watch sees what is opened"
    opened.clear()
    sent = 0
    for text in (str(there), there.as_uri(), f"http://{SENTINEL}.invalid/x"):
        for method, path, body in [*CALLS, *TABLES, *OTHERS]:
            for other in with_text(body, text):
                assert api(method, path, other).status_code < 500, (method, path, other)
                sent += 1
    assert sent > 200
    assert opened == []


def test_no_address_is_answered_with_a_fault_of_ours(api: Api) -> None:
    chance = random.Random(0)
    make_version(api.runtime)
    for _ in range(200):
        path = "/".join(chance.choice(STEPS) for _ in range(chance.randint(1, 6))) + chance.choice(QUERIES)
        answer = api(chance.choice(["GET", "HEAD", "OPTIONS", "PUT"]), f"/{path}")
        assert answer.status_code < 500, path
