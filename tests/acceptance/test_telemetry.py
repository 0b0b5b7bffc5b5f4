"""What a service tells of itself in a whole run: its log, which quotes nothing of what people sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as read

from tests.acceptance.service import ENDLESS, QUICK, Caller, children_of, until
from tests.otlp import Receiver, receiving
from tests.running import Server

KEY = "sentinel-bootstrap-key"
VALUE = 3.1337137
CLASSES = ["sentinel-cat", "sentinel-dog"]
SENTINELS = ("sentinel", "3.13371")
"""Of keys, classes, texts and file names, and of numbers, however they are rounded."""
MODEL = "digits"
AS_JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, migrated: Path, receiver: Receiver) -> Iterator[Server]:
    """A service that logs every request as JSON, sends spans, and asks for a key."""
    folder = tmp_path_factory.mktemp("watched")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        server = Server(folder, migrated=migrated, key=KEY, log_format="json", log_requests="all", **QUICK)
    with server:
        yield server


@pytest.fixture
def caller(watched: Server) -> Iterator[Caller]:
    with Caller(watched, MODEL) as made:
        made.http.headers["Authorization"] = f"Bearer {KEY}"
        yield made


def rows(count: int, sign: int = 1) -> list[list[float]]:
    return [[sign * VALUE, sign * (k % 7) / 2] for k in range(count)]


def lines(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.said().splitlines()]


def figures(caller: Caller, name: str, **labels: str) -> float:
    """The sum of the figures of that name with these labels."""
    families = read(caller.http.get("/metrics").text)
    samples = [s for family in families for s in family.samples if s.name == name]
    return sum(s.value for s in samples if labels.items() <= s.labels.items())


def test_a_trace_goes_from_the_caller_over_the_worker_to_the_method(caller: Caller, receiver: Receiver) -> None:
    caller.create(input={"kind": "vector", "size": 2, "scale": {"range": [-8, 8]}})
    trace, place = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    rows_of_two = {"inputs": rows(60) + rows(60, -1), "labels": [CLASSES[k // 60] for k in range(120)]}
    body, headers = {**rows_of_two, "new_classes": "allow"}, {"traceparent": f"00-{trace}-{place}-01"}
    headers["X-Request-Id"] = "from-till-7"
    order = caller.ok("POST", f"{caller.path}/updates?wait=60", body, headers=headers)
    caller.ok("POST", f"{caller.path}/predictions", {"inputs": rows(1)}, headers=headers)
    audited = [
        e for e in caller.ok("GET", "/v1/audit")["items"] if e["request_id"] == "from-till-7" and e["by"] == "worker"
    ]
    claimed = audited.pop()
    assert (claimed["action"], claimed["subject"]) == ("update.claimed", order["id"])
    assert [(e["action"], e["reason"]) for e in audited] == [
        ("update.succeeded", "promoted: version 1"),
        ("version.promoted_by_gate", f"by {order['id']}: unproven, for rows were too few to judge it"),
    ]
    names = {"update", "learn", "method ridge", "judge", "POST /v1/models/{model}/updates"}
    names.add("POST /v1/models/{model}/predictions")
    until(lambda: names <= {span.name for span in receiver.spans if span.trace == trace}, what="the spans")
    spans = {span.name: span for span in receiver.spans if span.trace == trace}
    request, update, learn = spans["POST /v1/models/{model}/updates"], spans["update"], spans["learn"]
    assert [request.parent, update.parent, learn.parent] == [place, request.id, update.id]
    assert spans["method ridge"].parent == spans["judge"].parent == learn.id
    assert [span.process for span in (request, update, learn)] == ["serve", "serve", "learning"]
    assert update.facts["tsuika.update_id"] == order["id"]
    assert update.facts["tsuika.verdict"] == "promoted"
    assert request.facts["http.response.status_code"] == 200


def test_what_the_service_does_is_counted(caller: Caller) -> None:
    predictions = {"route": "/v1/models/{model}/predictions", "status": "200"}
    before = figures(caller, "tsuika_requests_total", **predictions)
    for _ in range(3):
        caller.ok("POST", f"{caller.path}/predictions", {"inputs": rows(2)})
    assert figures(caller, "tsuika_requests_total", **predictions) == before + 3
    assert figures(caller, "tsuika_batch_rows_sum") >= 6
    updates = "tsuika_updates_total", {"model": MODEL, "method": "ridge", "verdict": "promoted"}
    until(lambda: figures(caller, updates[0], **updates[1]) == 1, what="the count of the update")
    assert figures(caller, "tsuika_update_duration_seconds_count", method="ridge") == 1
    assert figures(caller, "tsuika_live_version", model=MODEL) == 1
    assert figures(caller, "tsuika_accuracy", model=MODEL, group="new_classes") > 0.9
    assert figures(caller, "tsuika_predictions_total", model=MODEL, version="1") >= 3


def test_no_row_class_key_or_body_is_in_any_log_or_span(watched: Server, caller: Caller, receiver: Receiver) -> None:
    labelled = {"inputs": rows(50) + rows(50, -1), "labels": [CLASSES[k // 50] for k in range(100)]}
    body = {**labelled, "new_classes": "allow"}
    large = {"inputs": rows(20_000), "labels": [CLASSES[0]] * 20_000}
    secret = caller.ok("POST", "/v1/keys", {"name": "sentinel till", "scopes": ["predict", "learn"]})["secret"]

    learned = caller.ok("POST", f"{caller.path}/updates?wait=60", body)
    assert learned["state"] == "succeeded"
    by_reader = caller.ok("POST", f"{caller.path}/batches", large)
    again = caller.ok("POST", f"{caller.path}/updates?wait=60", {"batches": [by_reader["id"]]})
    assert again["state"] == "succeeded"
    assert caller.ok("POST", f"{caller.path}/predictions", {"inputs": rows(2)})["predictions"]
    assert caller.ok("GET", f"{caller.path}/predictions?input=[{VALUE},1]")["predictions"]
    caller.retract([learned["batches"][0]], erase=True)

    asked = caller.http.request
    refused = [
        asked("POST", f"{caller.path}/updates", json={**labelled, "labels": ["sentinel-typo"] * 100}),
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
    more = {"inputs": rows(200, -1), "labels": [CLASSES[1]] * 200, "method": ENDLESS}
    order = caller.ok("POST", f"{caller.path}/updates", more)
    until(lambda: caller.update(order["id"])["state"] != "queued", what="the claim")
    for child in children_of(watched.pid):  # those that learn and read: both say what happened to them
        child.kill()
    caller.ok("POST", f"/v1/updates/{order['id']}/cancel", {})
    caller.end(order["id"])
    watched.stop()

    said = watched.said()
    assert not [line for line in said.splitlines() if any(s in line for s in (*SENTINELS, secret, secret[-20:]))]
    assert not [span for span in receiver.spans if any(s in str(span) for s in (*SENTINELS, secret[-20:]))]
    logged = lines(watched)
    requests = [line for line in logged if line["logger"] == "tsuika.requests" and "route" in line]
    assert all(line["request_id"] for line in requests)
    assert {"/v1/models/{model}/updates", "/v1/models/{model}/predictions", ""} <= {r["route"] for r in requests}
    for process in ("serve", "learning"):
        at_work = {(line.get("update_id"), line.get("model")) for line in logged if line["process"] == process}
        assert {(learned["id"], MODEL), (again["id"], MODEL)} <= at_work
    ordered = {line["request_id"] for line in requests if line["route"] == "/v1/models/{model}/updates"}
    begun = [line for line in logged if line["message"].startswith("begun")]
    assert {line["request_id"] for line in begun} <= ordered | {r["request_id"] for r in requests}
    assert all(line["trace_id"] for line in begun)
