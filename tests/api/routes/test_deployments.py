"""What is live: promoted by hand, rolled back step by step, safe to repeat, in effect before the answer."""

from __future__ import annotations

from typing import Any

import pytest

from service.registry import models, versions
from service.registry.sql.database import now
from service.registry.sql.tables import Batch
from tests.api.conftest import Api, pointers
from tests.making import make_version

MODEL = "/v1/models/digits"
QUESTION = {"inputs": [[1, 2, 3]]}


def served(api: Api) -> int:
    """The version that answers."""
    response = api("POST", f"{MODEL}/predictions", QUESTION)
    version: int = response.json()["version"]
    assert response.headers["tsuika-version"] == str(version)
    return version


def three_versions(api: Api) -> list[str]:
    """Makes versions 1, 2, 3, each with one batch more; -> the batches."""
    batches = [api.ok("POST", f"{MODEL}/batches", {"inputs": [[k, 0, 0]], "labels": ["a"]})["id"] for k in range(3)]
    for k in range(3):
        make_version(api.runtime, learned=batches[: k + 1], seed=k)
    api.runtime.live.refresh()
    return batches


def test_rollbacks_walk_back_and_never_to_and_fro(api: Api) -> None:
    batches = three_versions(api)
    assert served(api) == 3
    back = api.ok("POST", f"{MODEL}/rollback", {"reason": "wrong labels", "if_live": 3})
    assert (back["live_version"], back["previous_version"], back["promotion"]) == (2, 3, "manual")
    assert back["left_out"] == [batches[2]]
    assert back["deployment"]["reason"] == "wrong labels"
    assert served(api) == 2
    assert api.ok("POST", f"{MODEL}/rollback")["live_version"] == 1
    assert served(api) == 1
    nothing = api("POST", f"{MODEL}/rollback", {})
    assert nothing.status_code == 409
    assert api.ok("GET", MODEL)["promotion"] == "manual"
    kinds = [(d["kind"], d["version"], d["by"]) for d in api.ok("GET", f"{MODEL}/deployments")["items"]]
    assert kinds[:2] == [("rollback", 1, "anonymous"), ("rollback", 2, "anonymous")]
    assert kinds[2:] == [("promote", 3, "gate"), ("promote", 2, "gate"), ("promote", 1, "gate")]


def test_a_rollback_goes_back_to_a_named_version(api: Api) -> None:
    three_versions(api)
    assert api("POST", f"{MODEL}/rollback", {"to": 3}).status_code == 409
    assert api("POST", f"{MODEL}/rollback", {"to": 0}).status_code == 422
    for unknown in (99, 10**30):
        refused = api("POST", f"{MODEL}/rollback", {"to": unknown})
        assert (refused.status_code, pointers(refused)) == (422, ["/to"])
    assert api.ok("POST", f"{MODEL}/rollback", {"to": 1})["live_version"] == 1
    assert served(api) == 1


def test_a_call_with_an_old_view_changes_nothing(api: Api) -> None:
    three_versions(api)
    tag = api("GET", MODEL).headers["etag"]
    for path, body in [("rollback", {"if_live": 2}), ("deployments", {"version": 1, "if_live": 2})]:
        refused = api("POST", f"{MODEL}/{path}", body)
        assert (refused.status_code, refused.json()["live_version"]) == (409, 3)
        assert refused.json()["type"] == "/problems/live-moved"
    assert api("POST", f"{MODEL}/rollback", headers={"If-Match": tag}).status_code == 200
    stale = api("POST", f"{MODEL}/rollback", headers={"If-Match": tag})
    assert (stale.status_code, stale.json()["live_version"]) == (412, 2)
    assert served(api) == 2


def test_a_version_that_is_promoted_beside_others_on_one_base_says_what_waits(api: Api) -> None:
    first, *others = [
        api.ok("POST", f"{MODEL}/batches", {"inputs": [[k, 1, 0]], "labels": ["a"]})["id"] for k in range(6)
    ]
    make_version(api.runtime, learned=[first])
    for k, batch in enumerate(others[:3]):
        make_version(api.runtime, learned=[first, batch], seed=k + 1, promote=False)
    made = api.ok("POST", f"{MODEL}/deployments", {"version": 4, "reason": "the newest"})
    waiting = [batch for batch in others if batch != others[2]]
    assert (made["left_out"], made["waiting"]) == ([], waiting)
    assert made["note"] == (
        "4 batches wait that version 4 has not learned. Have them learned: "
        f'POST {{"batches": "pending"}} to {MODEL}/updates.'
    )
    listed = api.ok("GET", f"{MODEL}/deployments")["items"][0]
    assert (listed["waiting"], listed["note"]) == ([], ""), "of the moment of its order"


def test_a_version_is_promoted_by_hand_and_says_what_it_leaves_out(api: Api) -> None:
    batches = three_versions(api)
    response = api("POST", f"{MODEL}/deployments", {"version": 1, "reason": "steady"})
    assert response.status_code == 201
    made = response.json()
    assert (made["version"], made["previous_version"], made["kind"]) == (1, 3, "promote")
    assert made["left_out"] == batches[1:]
    assert served(api) == 1
    assert api("POST", f"{MODEL}/deployments", {"version": 1}).status_code == 409
    unknown = api("POST", f"{MODEL}/deployments", {"version": 9})
    assert (unknown.status_code, pointers(unknown)) == (422, ["/version"])
    assert api("POST", f"{MODEL}/deployments", {"version": 10**30}).status_code == 422


def test_with_rebase_the_update_is_learned_again(api: Api) -> None:
    batches = three_versions(api)
    response = api("POST", f"{MODEL}/deployments", {"version": 2, "rebase": True})
    assert response.status_code == 202
    update = response.json()
    assert response.headers["location"] == f"/v1/updates/{update['id']}"
    assert (update["kind"], update["state"], update["batches"]) == ("learn", "queued", batches[:2])
    assert served(api) == 3


def test_rebase_learns_no_batch_that_was_taken_back(api: Api) -> None:
    batches = three_versions(api)
    for gone, left in ((batches[1], batches[:1]), (batches[0], [])):
        with api.runtime.database.writing() as session:
            session.get_one(Batch, gone).retracted_at = now()
        response = api("POST", f"{MODEL}/deployments", {"version": 2, "rebase": True})
        assert response.json().get("batches", []) == left
    assert (response.status_code, "nothing is left to learn again" in response.json()["detail"]) == (409, True)


def test_a_version_with_a_retracted_batch_goes_live_by_no_way(api: Api) -> None:
    batches = three_versions(api)
    api.ok("POST", f"{MODEL}/rollback", {"to": 1})
    with api.runtime.database.writing() as session:
        session.get_one(Batch, batches[1]).retracted_at = now()
    refused = api("POST", f"{MODEL}/deployments", {"version": 3})
    assert refused.status_code == 409
    assert refused.json()["nearest_clean"] is None, "the live one is no remedy"
    assert "No other good version is without it." in refused.json()["detail"]
    assert served(api) == 1


def test_an_erased_version_is_gone(api: Api) -> None:
    three_versions(api)
    with api.runtime.database.writing() as session:
        versions.get(session, models.get(session, "digits"), 1).erased_at = now()
    for method, path, body in [
        ("POST", "deployments", {"version": 1}),
        ("POST", "versions/1/predictions", QUESTION),
        ("GET", "versions/1/weights", None),
        ("GET", "versions/1/ledger", None),
    ]:
        assert api(method, f"{MODEL}/{path}", body).status_code == 410, path
    assert api.ok("GET", f"{MODEL}/versions/1")["erased_at"] is not None


def test_a_rollback_passes_over_an_erased_version(api: Api) -> None:
    three_versions(api)
    with api.runtime.database.writing() as session:
        versions.get(session, models.get(session, "digits"), 2).erased_at = now()
    assert api("POST", f"{MODEL}/rollback", {"to": 2}).status_code == 410
    named = api("POST", f"{MODEL}/deployments", {"version": 2})
    assert (
        named.json()["detail"] == "Version 2 of digits was erased. GET /v1/models/digits/versions lists those that are."
    )
    assert api.ok("POST", f"{MODEL}/rollback", {})["live_version"] == 1


def foreseen(api: Api, **query: Any) -> tuple[Any, ...]:
    """What a rollback would do: where it goes, what it passes over, batches and rows that would wait."""
    way = api.ok("GET", f"{MODEL}/rollback", params=query)
    assert way["model"] == "digits"
    return way["live_version"], way["to"], way["passed"], way["batches"], way["rows"]


def test_what_a_rollback_would_do_is_said_and_done(api: Api) -> None:
    assert foreseen(api) == (None, None, [], 0, 0)
    batches = three_versions(api)
    assert foreseen(api) == (3, 2, [], 1, 1)
    assert foreseen(api, to=1) == (3, 1, [], 2, 2)
    assert foreseen(api, to=9) == (3, None, [], 0, 0)
    assert api("GET", f"{MODEL}/rollback?to=0").status_code == 422
    assert api("GET", "/v1/models/nobody/rollback").status_code == 404
    assert served(api) == 3, "nothing has changed"
    with api.runtime.database.writing() as session:
        session.get_one(Batch, batches[1]).retracted_at = now()
    assert foreseen(api) == (3, 1, [2], 1, 1), "what was taken back does not wait"
    assert foreseen(api, to=2) == (3, None, [2], 0, 0)
    refused = api("POST", f"{MODEL}/rollback", {"to": 2})
    assert (refused.status_code, refused.json()["to"]) == (409, 1)
    for _ in range(2):
        done = api.ok("POST", f"{MODEL}/rollback", {}, headers={"Idempotency-Key": "once"})
        assert (done["live_version"], done["passed"], done["left_out"]) == (1, [2], batches[2:])
    assert foreseen(api) == (1, None, [], 0, 0)


def test_what_a_rollback_would_do_passes_over_an_erased_version(api: Api) -> None:
    three_versions(api)
    with api.runtime.database.writing() as session:
        versions.get(session, models.get(session, "digits"), 2).erased_at = now()
    assert foreseen(api) == (3, 1, [2], 2, 2)
    with api.runtime.database.writing() as session:
        versions.get(session, models.get(session, "digits"), 1).erased_at = now()
    assert foreseen(api) == (3, None, [2, 1], 0, 0)
    with api.runtime.database.writing() as session:
        versions.get(session, models.get(session, "digits"), 1).report = {"gate": {}}
    way = api.ok("GET", f"{MODEL}/rollback")
    assert (way["erased"], way["removed"]) == ([2], [1])


def test_a_version_that_cannot_be_loaded_does_not_go_live(api: Api) -> None:
    three_versions(api)
    with api.runtime.database.reading() as session:
        shards = versions.get(session, models.get(session, "digits"), 2).shards
    api.runtime.live._versions.drop(lambda loaded: True)
    head = next(s["digest"] for s in shards if s["part"] == "head.0")
    api.runtime.store.delete("shards", head)
    for path, body in [("rollback", {}), ("deployments", {"version": 2})]:
        refused = api("POST", f"{MODEL}/{path}", body)
        assert refused.status_code == 503
        assert refused.json()["type"] == "/problems/corrupt-artifact"
    assert served(api) == 3
    assert api.ok("GET", MODEL)["live_version"] == 3


def test_a_rollback_of_a_model_that_answers_reads_no_stored_bytes(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    three_versions(api)
    for version in (1, 2):
        api.ok("POST", f"{MODEL}/deployments", {"version": version})
    monkeypatch.setattr(api.runtime.store, "get", lambda area, digest: pytest.fail("the store was read"))
    assert api.ok("POST", f"{MODEL}/rollback")["live_version"] == served(api) == 1


def test_a_rollback_to_what_is_not_loaded_loads_it_before_its_turn_to_write(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    three_versions(api)
    api.runtime.live._versions.drop(lambda loaded: True)
    get, read = api.runtime.store.get, list[str]()

    def slow(area: str, digest: str) -> bytes:
        with api.runtime.database.writing() as session:
            models.get(session, "digits", locked=True)
        read.append(digest)
        return get(area, digest)

    monkeypatch.setattr(api.runtime.store, "get", slow)
    for answered, to in ((2, None), (1, 1)):
        assert api.ok("POST", f"{MODEL}/rollback", {"to": to} if to else {})["live_version"] == answered
    assert read


def test_a_list_of_versions_leaves_out_the_names_of_batches_where_it_is_asked_to(api: Api) -> None:
    three_versions(api)
    whole = api.ok("GET", f"{MODEL}/versions?limit=2")
    brief = api.ok("GET", f"{MODEL}/versions?limit=2&batches=false")
    assert [v["batch_count"] for v in brief["items"]] == [len(v["batches"]) for v in whole["items"]] == [3, 2]
    assert brief["next_cursor"] == whole["next_cursor"]
    for short, full in zip(brief["items"], whole["items"], strict=True):
        assert {*full} - {*short} == {"batches", "shards"}
        assert short == {name: full[name] for name in short}


def test_versions_are_listed_with_their_lineage_and_weights(api: Api) -> None:
    batches = three_versions(api)
    listed = api.ok("GET", f"{MODEL}/versions?limit=2")
    assert [v["number"] for v in listed["items"]] == [3, 2]
    assert [v["number"] for v in api.ok("GET", f"{MODEL}/versions?cursor={listed['next_cursor']}")["items"]] == [1]
    version = api.ok("GET", f"{MODEL}/versions/2")
    assert (version["parent"], version["live"], version["batches"]) == (1, False, sorted(batches[:2]))
    lineage = api.ok("GET", f"{MODEL}/lineage")
    assert [(v["number"], v["parent"], v["live"]) for v in lineage["versions"]] == [
        (1, None, False),
        (2, 1, False),
        (3, 2, True),
    ]
    newer = api.ok("GET", f"{MODEL}/lineage?after=2")
    assert (newer["live_version"], newer["versions"]) == (3, lineage["versions"][2:])
    assert not api.ok("GET", f"{MODEL}/lineage?after={'9' * 40}")["versions"]
    assert api.ok("GET", f"{MODEL}/lineage?after=1&before=3")["versions"] == lineage["versions"][1:2]
    assert api.ok("GET", f"{MODEL}/lineage?before={'9' * 40}") == lineage
    weights = api("GET", f"{MODEL}/versions/2/weights")
    tensors, meta = _unpacked(weights.content)
    assert {"head.0/weight", "head.0/bias", "scale/mean"} <= tensors.keys()
    assert (meta["classes"], meta["version"]) == (["a", "b"], 2)
    assert api("GET", f"{MODEL}/versions/2/ledger").status_code == 409
    for number in ("0", "-1", "x", "1.0", "9", "9" * 40, "%00"):
        assert api("GET", f"{MODEL}/versions/{number}").status_code == 404, number


def _unpacked(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    from service.learning.data.serialization import unpack

    return unpack(data)


UNSEEN = [
    ("to \u202esee", "character 4 is U+202E"),
    ("a\nb", "character 2 is U+000A"),
    ("a\u2028b", "character 2 is U+2028"),
    ("\x1b[31m", "U+001B"),
]


def test_a_reason_that_cannot_be_read_is_refused_with_its_place(api: Api) -> None:
    for reason, place in UNSEEN:
        for path, order in [
            (f"{MODEL}/rollback", {}),
            (f"{MODEL}/deployments", {"version": 1}),
            (f"{MODEL}/retractions", {"batches": ["bat_1"]}),
            (f"{MODEL}/batches/bat_1/corrections", {"rows": {"0": "a"}}),
            (f"{MODEL}/disputes/dsp_1/settle", {"verdict": "confirmed"}),
            ("/v1/updates/upd_1/cancel", {}),
        ]:
            refused = api("POST", path, {**order, "reason": reason})
            assert (refused.status_code, pointers(refused)) == (422, ["/reason"]), (reason, path)
            assert place in refused.json()["detail"], (reason, path)


def test_a_reason_in_the_address_is_refused_likewise(api: Api) -> None:
    for path in [f"{MODEL}/merges", f"{MODEL}/versions"]:
        refused = api("POST", path, params={"reason": "a\u200bb"}, headers={"content-type": "application/octet-stream"})
        assert (refused.status_code, pointers(refused)) == (422, ["/reason"]), path
        assert "character 2 is U+200B" in refused.json()["detail"], path


def test_a_reason_is_kept_in_nfc(api: Api) -> None:
    three_versions(api)
    api.ok("POST", f"{MODEL}/rollback", {"reason": "cafe\u0301 \U0001f44d"})
    assert api.ok("GET", f"{MODEL}/deployments")["items"][0]["reason"] == "caf\u00e9 \U0001f44d"
