"""Updates and retractions: ordered once, seen, cancelled, retried, waited for."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from service.contract.enums import UpdateState, Verdict
from service.contract.inputs import Architecture
from service.errors import NotWritable
from service.registry import leases, states
from service.registry.sql.tables import Batch, Update
from tests.api.conftest import Api, pointers
from tests.making import make_model, make_version

ROWS = {"inputs": [[1, 2, 3], [4, 5, 6]], "labels": ["a", "b"]}
UPDATES = "/v1/models/digits/updates"
RETRACTIONS = "/v1/models/digits/retractions"


def finish(api: Api, update_id: str, verdict: Verdict | None = None) -> None:
    """Finishes an update as a worker elsewhere does."""
    with api.runtime.database.writing() as session:
        update = session.get_one(Update, update_id)
        states.advance(session, update, UpdateState.RUNNING, "claimed")
        states.advance(session, update, UpdateState.SUCCEEDED, "succeeded")
        update.verdict = verdict
    api.runtime.changed()


def test_rows_in_the_body_are_stored_and_ordered_at_once(api: Api) -> None:
    response = api("POST", UPDATES, {**ROWS, "seed": 7})
    assert response.status_code == 202
    update = response.json()
    assert response.headers["location"] == f"/v1/updates/{update['id']}"
    assert (update["state"], update["kind"], update["seed"]) == ("queued", "learn", 7)
    assert update["requested_method"] == {"name": "auto"}
    assert update["version"] is update["verdict"] is update["report"] is None
    batch = api.ok("GET", f"/v1/models/digits/batches/{update['batches'][0]}")
    assert batch["updates"] == [update["id"]]
    assert api.ok("GET", "/v1/models/digits")["updates"] == {"queued": 1, "running": 0}
    assert api.runtime.work.is_set()


def test_what_is_expected_is_said_of_labels_or_of_numbers(api: Api) -> None:
    assert api.ok("POST", UPDATES, {**ROWS, "expect": "relabel"})["expect"] == "relabel"
    assert pointers(api("POST", UPDATES, {**ROWS, "expect": "anything"})) == ["/expect"]
    numbers = {"name": "load", "input": {"kind": "vector", "size": 1}, "target": {"kind": "number"}}
    api.ok("POST", "/v1/models", numbers)
    assert pointers(api("POST", UPDATES, {**ROWS, "expect": "move"})) == ["/expect"]
    order = {"inputs": [[1]], "targets": [1]}
    refused = api("POST", "/v1/models/load/updates", {**order, "expect": "relabel"})
    assert pointers(refused) == ["/expect"]
    assert 'what it may expect is "move"' in refused.json()["detail"]
    assert api.ok("POST", "/v1/models/load/updates", {**order, "expect": "move"})["expect"] == "move"


def test_stored_batches_are_learned_by_name_or_all_that_is_pending(api: Api) -> None:
    nothing = api("POST", UPDATES, {"batches": "pending"})
    assert nothing.status_code == 409
    first = api.ok("POST", "/v1/models/digits/batches", ROWS)["id"]
    second = api.ok("POST", "/v1/models/digits/batches", {**ROWS, "labels": ["b", "a"]})["id"]
    assert api.ok("POST", UPDATES, {"batches": [second, first, second]})["batches"] == [second, first]
    assert api.ok("POST", UPDATES, {"batches": "pending"})["batches"] == [first, second]
    listed = api.ok("GET", f"{UPDATES}?state=queued&kind=learn&limit=1")
    assert listed["items"][0]["batches"] == [first, second]
    assert api.ok("GET", f"{UPDATES}?state=failed")["items"] == []
    assert api("GET", f"{UPDATES}?state=asleep").status_code == 422


def test_orders_that_cannot_be_are_refused_and_nothing_is_queued(api: Api) -> None:
    for body, pointer in [
        ({"batches": ["bat_1"]}, "/batches/0"),
        ({"batches": []}, "/batches"),
        ({"batches": "all"}, "/batches"),
        ({}, ""),
        ({**ROWS, "batches": "pending"}, ""),
        ({"inputs": [[1, 2, 3]]}, ""),
        ({**ROWS, "seed": -1}, "/seed"),
        ({**ROWS, "seed": True}, "/seed"),
        ({**ROWS, "method": {"name": "magic"}}, "/method/name"),
        ({**ROWS, "method": {"name": "ridge", "magic": 1}}, "/method/magic"),
        ({**ROWS, "method": {"name": "den"}}, "/method/name"),
        ({**ROWS, "method": {}}, "/method/name"),
        ({**ROWS, "gate": {}}, "/gate"),
        ({**ROWS, "exam": []}, "/exam"),
    ]:
        refused = api("POST", UPDATES, body)
        assert refused.status_code == 422, refused.text
        assert pointers(refused) == [pointer], body
        assert api.ok("GET", UPDATES)["items"] == [], body


def test_what_is_no_list_is_told_what_would_be_one(api: Api) -> None:
    for body, sentence in (
        ({"batches": "all"}, '"pending" for all that wait'),
        ({"inputs": [[1, 2, 3]], "labels": None}, "[null, ...]"),
        ({**ROWS, "labels": "a"}, "[null, ...]"),
    ):
        assert sentence in api("POST", UPDATES, body).json()["detail"]


def test_faults_of_parameters_are_told_our_way(api: Api) -> None:
    wrong = api("POST", UPDATES, {**ROWS, "method": {"name": "ridge", "decay": 0.9, "half_life": 2}})
    assert (pointers(wrong), wrong.json()["detail"]) == (["/method"], "ridge: give decay or half_life, not both.")
    empty = {"name": "retrain", "backbone": {"name": "mlp", "hidden": []}}
    assert "List" not in api("POST", UPDATES, {**ROWS, "method": empty}).json()["detail"]


@pytest.mark.parametrize(
    ("trained", "method", "pointer", "remedy"),
    [
        (False, {"name": "lora"}, "/method/name", "retrain"),
        (False, {"name": "branch"}, "/method/name", "retrain"),
        (False, {"name": "linear_probe", "unfreeze": 1}, "/method/unfreeze", "Leave unfreeze out"),
        (True, {"name": "lda", "lift": "relu"}, "/method/lift", '"none"'),
    ],
)
def test_what_the_live_version_rules_out_is_refused_at_once(
    api: Api, trained: bool, method: dict[str, Any], pointer: str, remedy: str
) -> None:
    mlp = Architecture.model_validate({"backbone": {"name": "mlp", "hidden": [4]}})
    make_model(api.runtime, "named", architecture=mlp)
    make_version(api.runtime, "named", architecture=mlp if trained else Architecture())
    refused = api("POST", "/v1/models/named/updates", {**ROWS, "method": method})
    assert (refused.status_code, pointers(refused)) == (422, [pointer])
    assert remedy in refused.json()["detail"]


def test_a_model_without_rows_is_not_sent_to_retrain(api: Api) -> None:
    mlp = Architecture.model_validate({"backbone": {"name": "mlp", "hidden": [4]}})
    make_model(api.runtime, "named", architecture=mlp, retention="none")
    make_version(api.runtime, "named")
    for name in ("lora", "den"):
        detail = api("POST", "/v1/models/named/updates", {**ROWS, "method": {"name": name}}).json()["detail"]
        assert "keeps no rows" in detail
        assert "ridge" in detail


@pytest.mark.parametrize(
    ("method", "pointer"),
    [({"name": "replay"}, "/method/name"), ({"name": "retrain"}, "/method/name"),
     ({"name": "ridge", "lift": "fourier"}, "/method/lift"), ({"name": "lda", "lift": "relu"}, "/method/lift")],
)  # fmt: skip
def test_what_the_rows_that_were_deleted_rule_out_is_refused_at_once(
    api: Api, method: dict[str, Any], pointer: str
) -> None:
    """Checks it whatever the model keeps from now on."""
    first = api.ok("POST", "/v1/models/digits/batches", ROWS)["id"]
    make_version(api.runtime, learned=[first])
    api.ok("POST", UPDATES, {**ROWS, "again": True, "method": {"name": "ridge", "lift": "fourier"}})
    with api.runtime.database.writing() as session:
        session.get_one(Batch, first).kept_rows = 0
    for refused in (
        api("POST", UPDATES, {**ROWS, "again": True, "method": method}),
        api("PATCH", "/v1/models/digits", {"method": method}),
    ):
        assert (refused.status_code, pointers(refused)) == (422, [pointer])
    api.ok("POST", UPDATES, {**ROWS, "again": True, "method": {"name": "ridge", "lift": "none"}})


def test_den_is_refused_at_once_to_protect_where_the_labels_that_were_sent_bring_nothing_new(api: Api) -> None:
    mlp = Architecture.model_validate({"backbone": {"name": "mlp", "hidden": [4]}})
    make_model(api.runtime, "named", architecture=mlp)
    make_version(api.runtime, "named", architecture=mlp)
    stored = api.ok("POST", "/v1/models/named/batches", {"inputs": [[1, 2, 3]], "labels": ["a"]})["id"]
    protect = {"name": "den", "mode": "protect"}
    for body in ({"inputs": [[3, 2, 1]], "labels": ["b"]}, {"batches": [stored]}, {"batches": "pending"}):
        refused = api("POST", "/v1/models/named/updates", {**body, "method": protect})
        assert (refused.status_code, pointers(refused)) == (422, ["/method/mode"])
    new = {"inputs": [[3, 2, 1]], "labels": ["c"], "new_classes": "allow"}
    api.ok("POST", "/v1/models/named/updates", {**new, "method": protect})


def test_an_unknown_method_is_answered_with_those_that_exist(api: Api) -> None:
    detail = api("POST", UPDATES, {**ROWS, "method": {"name": "ridg"}}).json()["detail"]
    assert 'Did you mean "ridge"?' in detail
    assert "l2_sp" in detail


def test_waiting_ends_when_the_update_is_final(api: Api) -> None:
    update = api.ok("POST", UPDATES, ROWS)["id"]
    again = {"Idempotency-Key": "k"}
    watcher = api.door.context.watcher

    async def wait() -> bool:
        waiting = asyncio.create_task(watcher.until_settled(update, 3600))
        async with asyncio.timeout(60):
            while not any(follower.status for follower in watcher._followers.get(update, ())):
                await asyncio.sleep(0.001)
            assert not waiting.done()
            await asyncio.to_thread(finish, api, update)
            return await waiting

    assert api.runner.run(wait())
    late = api("POST", f"{UPDATES}?wait=0.1", {**ROWS, "again": True}, headers=again)
    assert (late.status_code, late.json()["state"]) == (202, "queued")
    finish(api, late.json()["id"])
    now = api("POST", f"{UPDATES}?wait=60", {**ROWS, "again": True}, headers=again)
    assert (now.status_code, now.json()["state"]) == (200, "succeeded")
    assert now.headers["idempotency-replayed"] == "true"


def test_a_promoted_update_is_waited_for_until_it_is_served_here(api: Api) -> None:
    update = api.ok("POST", UPDATES, ROWS)["id"]
    make_version(api.runtime)
    finish(api, update, Verdict.PROMOTED)
    assert api.runner.run(api.door.context.watcher.until_settled(update, 60))
    assert api.runtime.live.serving_version("digits") == 1


def test_what_each_poll_of_a_database_that_is_away_says_is_logged_once(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watcher, polls = api.door.context.watcher, list[int]()

    def poll(_: object) -> None:
        polls.append(1)
        raise NotWritable("It is away.")

    async def follow() -> None:
        watcher.start()
        while len(polls) < 3:
            with watcher.following("upd_1"):
                await asyncio.sleep(0)

    monkeypatch.setattr(watcher, "_poll", poll)
    api.runner.run(asyncio.wait_for(follow(), 60))
    said = [record.getMessage() for record in caplog.records if record.name == "tsuika.api"]
    assert said == ["could not look at the database: It is away."]


def test_waits_that_cannot_be_are_refused(api: Api) -> None:
    for wait in ["61", "-1", "nan", "inf", "soon"]:
        refused = api("POST", f"{UPDATES}?wait={wait}", ROWS)
        assert refused.status_code == 422, wait
        assert pointers(refused) == ["/wait"], wait


def test_a_preference_to_wait_counts_as_well(api: Api) -> None:
    began = time.monotonic()
    assert api("POST", UPDATES, ROWS, headers={"Prefer": "respond-async, wait=0.3"}).status_code == 202
    assert time.monotonic() - began >= 0.3
    assert api("POST", UPDATES, ROWS, headers={"Prefer": "wait=600"}).status_code == 422
    assert api("POST", UPDATES, ROWS, headers={"Prefer": "wait=0.1.2; wait=x"}).status_code == 202


def test_a_queued_update_is_cancelled_at_once_and_can_be_retried(api: Api) -> None:
    update = api.ok("POST", UPDATES, ROWS)["id"]
    cancelled = api("POST", f"/v1/updates/{update}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert api("POST", f"/v1/updates/{update}/cancel").status_code == 409
    retried = api("POST", f"/v1/updates/{update}/retry")
    assert (retried.status_code, retried.json()["state"]) == (202, "queued")
    assert api("POST", f"/v1/updates/{update}/retry").status_code == 409
    assert api("POST", "/v1/updates/upd_0/cancel").status_code == 404


def test_a_running_update_is_asked_to_stop(api: Api) -> None:
    update = api.ok("POST", UPDATES, ROWS)["id"]
    with api.runtime.database.writing() as session:
        leases.claim(session, "worker", 30)
    cancelled = api("POST", f"/v1/updates/{update}/cancel", {"reason": "the wrong file"})
    assert (cancelled.status_code, cancelled.json()["state"]) == (202, "running")
    assert api("POST", f"/v1/updates/{update}/cancel", {"reason": 1}).status_code == 422


def test_who_stops_an_update_may_say_why(api: Api) -> None:
    update = api.ok("POST", UPDATES, ROWS)["id"]
    api.ok("POST", f"/v1/updates/{update}/cancel", {"reason": "the wrong file"})
    [asked] = [entry for entry in api.ok("GET", "/v1/audit")["items"] if entry["action"] == "update.cancel_requested"]
    assert (asked["subject"], asked["reason"]) == (update, "the wrong file")


def test_events_are_streamed_until_the_update_is_final(api: Api) -> None:
    update = api.ok("POST", UPDATES, ROWS)["id"]
    worker = threading.Timer(0.2, finish, [api, update])
    worker.start()
    stream = api("GET", f"/v1/updates/{update}/events")
    worker.join()
    assert stream.headers["content-type"].startswith("text/event-stream")
    kinds = [line.removeprefix("event: ") for line in stream.text.splitlines() if line.startswith("event: ")]
    assert kinds == ["queued", "claimed", "succeeded"]
    ids = [line.removeprefix("id: ") for line in stream.text.splitlines() if line.startswith("id: ")]
    rest = api("GET", f"/v1/updates/{update}/events", headers={"Last-Event-ID": ids[0]})
    assert "event: queued" not in rest.text
    assert "event: succeeded" in rest.text
    assert api("GET", f"/v1/updates/{update}/events", headers={"Last-Event-ID": ids[-1]}).status_code == 204
    assert api("GET", "/v1/updates/upd_0/events").status_code == 404


def test_streams_and_waits_end_when_the_process_stops(api: Api) -> None:
    update = api.ok("POST", UPDATES, ROWS)["id"]

    watcher = api.door.context.watcher

    async def both() -> tuple[Any, Any]:
        stream = asyncio.create_task(api.http.get(f"/v1/updates/{update}/events"))
        wait = asyncio.create_task(api.http.post(f"{UPDATES}?wait=60", json=ROWS))
        async with asyncio.timeout(50):  # of the sixty that it would wait
            while update not in watcher._followers or not watcher._waits:
                await asyncio.sleep(0.001)
            await watcher.stop()
            return await stream, await wait

    stream, wait = api.runner.run(both())
    assert "event: queued" in stream.text
    assert (wait.status_code, wait.json()["state"]) == (202, "queued")


def test_a_retraction_marks_its_batches_in_the_same_moment(api: Api) -> None:
    first = api.ok("POST", "/v1/models/digits/batches", ROWS)["id"]
    response = api("POST", RETRACTIONS, {"batches": [first], "reason": "wrong labels"})
    assert response.status_code == 202
    update = response.json()
    assert (update["kind"], update["reason"], update["erase"]) == ("retract", "wrong labels", False)
    assert api.ok("GET", f"/v1/models/digits/batches/{first}")["state"] == "retracted"
    assert api.ok("GET", "/v1/models/digits")["pending"] == {"batches": 0, "rows": 0, "stopped": 0, "refuted": 0}
    assert "retracted already" in api("POST", RETRACTIONS, {"batches": [first]}).json()["detail"]
    assert api("POST", RETRACTIONS, {"batches": [first]}).status_code == 409
    assert api("POST", UPDATES, {"batches": [first]}).status_code == 409
    assert api("POST", RETRACTIONS, {"batches": ["bat_0"]}).status_code == 422
    assert api("POST", RETRACTIONS, {"batches": []}).status_code == 422
    assert api("POST", RETRACTIONS, {"batches": [first], "erase": True}).status_code == 202
    assert api("POST", "/v1/models/digits/batches", ROWS).json()["id"] != first


def test_a_cancelled_retraction_gives_its_batches_back_until_it_is_retried(api: Api) -> None:
    batch = api.ok("POST", "/v1/models/digits/batches", ROWS)["id"]
    update = api.ok("POST", RETRACTIONS, {"batches": [batch]})["id"]
    api.ok("POST", f"/v1/updates/{update}/cancel")
    assert api.ok("GET", f"/v1/models/digits/batches/{batch}")["state"] == "pending"
    api.ok("POST", f"/v1/updates/{update}/retry")
    assert api.ok("GET", f"/v1/models/digits/batches/{batch}")["state"] == "retracted"
