"""What a service tells of itself in a whole run: its log, which quotes nothing of what people sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.service import QUICK, Caller, children_of, slow, until
from tests.running import Server

KEY = "sentinel-bootstrap-key"
VALUE = 3.1337137
CLASSES = ["sentinel-cat", "sentinel-dog"]
SENTINELS = ("sentinel", "3.13371")
"""Of keys, classes, texts and file names, and of numbers, however they are rounded."""
MODEL = "digits"
AS_JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Server]:
    """A service that logs every request as JSON, and asks for a key."""
    folder = tmp_path_factory.mktemp("watched")
    with Server(folder, migrated=migrated, key=KEY, log_format="json", log_requests="all", **QUICK) as server:
        yield server


def rows(count: int, sign: int = 1) -> list[list[float]]:
    return [[sign * VALUE, sign * (k % 7) / 2] for k in range(count)]


def lines(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.said().splitlines()]


def test_no_row_class_key_or_body_is_in_any_log(watched: Server) -> None:
    with Caller(watched, MODEL) as caller:
        caller.http.headers["Authorization"] = f"Bearer {KEY}"
        spec = {"kind": "vector", "size": 2, "scale": {"range": [-8, 8]}}
        caller.create(input=spec)
        labelled = {"inputs": rows(60) + rows(60, -1), "labels": [CLASSES[k // 60] for k in range(120)]}
        body = {**labelled, "new_classes": "allow"}
        large = {"inputs": rows(20_000), "labels": [CLASSES[0]] * 20_000}
        secret = caller.ok("POST", "/v1/keys", {"name": "sentinel till", "scopes": ["predict", "learn"]})["secret"]

        learned = caller.ok("POST", f"{caller.path}/updates?wait=60", body)
        assert learned["version"] == 1
        by_reader = caller.ok("POST", f"{caller.path}/batches", large)
        again = caller.ok("POST", f"{caller.path}/updates?wait=60", {"batches": [by_reader["id"]]})
        assert again["state"] == "succeeded"
        assert caller.ok("POST", f"{caller.path}/predictions", {"inputs": rows(2)})["predictions"]
        assert caller.ok("GET", f"{caller.path}/predictions?input=[{VALUE},1]")["predictions"]
        caller.retract([learned["batches"][0]], erase=True)

        asked = caller.http.request
        refused = [
            asked("POST", f"{caller.path}/updates", json={**labelled, "labels": ["sentinel-typo"] * 120}),
            asked("POST", f"{caller.path}/predictions", json={"inputs": [["sentinel text", VALUE]]}),
            asked("POST", f"{caller.path}/predictions", content=b'{"inputs": [[3.1337137, sentinel', headers=AS_JSON),
            asked("POST", f"{caller.path}/batches", content=b'{"sentinel": "' * 30_000, headers=AS_JSON),
            asked("DELETE", f"{caller.path}/classes/{CLASSES[0]}"),
            asked("GET", "/v1/models/sentinel-model"),
            asked("GET", "/sentinel/address?key=sentinel"),
            asked("GET", "/v1/models", headers={"Authorization": "Bearer sentinel-wrong"}),
            asked("POST", f"{caller.path}/updates", json={**body, "method": {"name": "sentinel-method"}}),
        ]
        assert all(400 <= answer.status_code < 500 for answer in refused), [r.status_code for r in refused]
        more = {"inputs": rows(200, -1), "labels": [CLASSES[1]] * 200, "method": slow(1000)}
        order = caller.ok("POST", f"{caller.path}/updates", more)
        until(lambda: caller.update(order["id"])["state"] != "queued", what="the claim")
        for child in children_of(watched.pid):  # those that learn and read: both say what happened to them
            child.kill()
        caller.ok("POST", f"/v1/updates/{order['id']}/cancel", {})
        caller.end(order["id"])
    watched.stop()

    said = watched.said()
    assert not [line for line in said.splitlines() if any(s in line for s in (*SENTINELS, secret, secret[-20:]))]
    told = lines(watched)
    requests = [line for line in told if line["logger"] == "tsuika.requests" and "route" in line]
    assert all(line["request_id"] for line in requests)
    assert {"/v1/models/{model}/updates", "/v1/models/{model}/predictions", ""} <= {r["route"] for r in requests}
    for process in ("serve", "learning"):
        at_work = {(line.get("update_id"), line.get("model")) for line in told if line["process"] == process}
        assert {(learned["id"], MODEL), (again["id"], MODEL)} <= at_work
