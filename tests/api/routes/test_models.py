"""Models: made once, looked at, changed under If-Match, archived."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select

from service.contract.requests import PatchModel
from service.contract.resources import Model
from service.registry import models
from service.registry.sql.tables import Update
from service.worker.assignment import ASSIGNMENT
from service.worker.parent.assign import assignment
from tests.api.conftest import Api, pointers
from tests.making import make_version

VECTOR = {"kind": "vector", "size": 3}


def test_a_model_is_made_and_found(api: Api) -> None:
    made = api("POST", "/v1/models", {"name": "letters", "input": VECTOR, "classes": ["a", " b ", "\u2764\ufe0f"]})
    assert made.status_code == 201
    assert made.headers["location"] == "/v1/models/letters"
    body = made.json()
    assert body["classes"] == ["a", "b", "\u2764\ufe0f"]
    assert body["live_version"] is body["serving_version"] is None
    assert (body["promotion"], body["retention"], body["method"]) == ("auto", "all", {"name": "auto"})
    assert body["pending"] == {"batches": 0, "rows": 0, "stopped": 0, "refuted": 0}
    assert api.ok("GET", "/v1/models/letters") == body
    assert [m["name"] for m in api.ok("GET", "/v1/models")["items"]] == ["letters", "digits"]


def test_what_is_wrong_with_a_model_is_pointed_at(api: Api) -> None:
    for change, pointer in [
        ({"name": "Digits"}, "/name"),
        ({"name": ".."}, "/name"),
        ({"name": "a" * 101}, "/name"),
        ({"name": "a\x00"}, "/name"),
        ({"input": {"kind": "vector", "size": 0}}, "/input/size"),
        ({"input": {"kind": "vector", "size": "3"}}, "/input/size"),
        ({"input": {"kind": "text", "length": 0}}, "/input/length"),
        ({"input": {"kind": "audio"}}, "/input/kind"),
        ({"input": {**VECTOR, "scale": {"range": [1, 1]}}}, "/input/scale"),
        ({"input": {**VECTOR, "scale": {"mean": [0, 0], "std": 1}}}, "/input/scale/mean"),
        ({"architecture": {"backbone": {"name": "cnn"}}}, "/architecture/backbone/name"),
        (
            {"input": {"kind": "vector", "size": 100_000}, "architecture": {"backbone": {"name": "mlp"}}},
            "/architecture/backbone/name",
        ),
        ({"architecture": {"backbone": {"name": "minilm"}}}, "/architecture/backbone/name"),
        ({"classes": ["a", "b\u202e"]}, "/classes/1"),
        ({"classes": ["a", "b\u2800"]}, "/classes/1"),
        ({"classes": ["\ufe0f"]}, "/classes/0"),
        ({"input": {"kind": "table", "columns": [{"kind": "boolean", "name": "\u3164"}]}}, "/input/columns/0/name"),
        ({"classes": ["a", "b", " a"]}, "/classes/2"),
        ({"input": {"kind": "vector", "size": 3, "names": ["a", "b"]}}, "/input"),
        ({"input": {"kind": "vector", "size": 2, "names": ["a", " a"]}}, "/input"),
        ({"input": {"kind": "vector", "size": 2, "names": ["a", " "]}}, "/input/names/1"),
        ({"input": {"kind": "vector", "size": 2, "names": ["a", "b\u202e"]}}, "/input/names/1"),
        ({"input": {"kind": "vector", "size": 10_001, "names": [f"p{k}" for k in range(10_001)]}}, "/input/names"),
        ({"input": {"kind": "vector", "size": 1, "names": ["a"]}, "leave_out": ["a"]}, "/leave_out"),
        ({"method": {"name": "ridg"}}, "/method/name"),
        ({"method": {"name": "ridge", "lambda": 3}}, "/method/lambda"),
        ({"method": {"name": "auto", "lr": 3}}, "/method/lr"),
        ({"method": {"name": "den"}}, "/method/name"),
        ({"method": {"name": "lora"}}, "/method/name"),
        ({"method": {"name": "branch"}}, "/method/name"),
        ({"method": {"name": "ridge", "lift": "conv"}}, "/method/lift"),
        ({"method": {"name": "retrain", "backbone": {"name": "cnn"}}}, "/method/backbone"),
        ({"method": {"name": "retrain", "backbone": {"name": "minilm"}}}, "/method/backbone"),
        ({"gate": {"forgets": {"max_masked_drop": 2}}}, "/gate/forgets/max_masked_drop"),
        ({"gate": {"forgets": {"p_reject": 0.2}}}, "/gate/forgets/p_reject"),
        ({"gate": {"worst_class": {"max_drop": 0.5}}}, "/gate/worst_class/max_drop"),
        ({"method": {"name": "lwf", "strength": True}}, "/method/strength"),
        ({"method": {"name": "fine_tune", "epochs": "3"}}, "/method/epochs"),
        ({"promotion": "never"}, "/promotion"),
        ({"retention": "some"}, "/retention"),
        ({"retention": "none", "method": {"name": "replay"}}, "/method/name"),
        ({"memory_rows": 0}, "/memory_rows"),
        ({"leave_out": ["y"], "target": {"kind": "number", "names": ["y"]}}, "/leave_out"),
        ({"colour": "red"}, "/colour"),
    ]:
        refused = api("POST", "/v1/models", {"name": "letters", "input": VECTOR, **change})
        assert refused.status_code == 422, refused.text
        assert pointers(refused) == [pointer], change
        assert api("GET", "/v1/models/letters").status_code == 404, change


def test_refusals_speak_no_librarys_words(api: Api) -> None:
    for path, body, sentence in [
        ("/retractions", {"batches": []}, "batches should have at least 1 item, not 0."),
        ("/classes", {"names": []}, "names should have at least 1 item, not 0."),
    ]:
        assert api("POST", f"/v1/models/digits{path}", body).json()["detail"] == sentence, path


def test_a_column_is_left_out_once_and_the_target_is_none(api: Api) -> None:
    made = {"name": "load", "input": VECTOR, "target": {"kind": "number", "names": ["y"]}, "leave_out": ["a", "a"]}
    assert api.ok("POST", "/v1/models", made)["leave_out"] == ["a"]
    assert api.ok("PATCH", "/v1/models/load", {"leave_out": ["b", "a", "b"]})["leave_out"] == ["b", "a"]
    refused = api("PATCH", "/v1/models/load", {"leave_out": ["y"]})
    assert (refused.status_code, pointers(refused)) == (422, ["/leave_out"])
    assert refused.json()["detail"].startswith('"y" is what the model predicts.')


def test_a_taken_name_is_a_conflict(api: Api) -> None:
    assert api("POST", "/v1/models", {"name": "digits", "input": VECTOR}).status_code == 409


def test_settings_change_only_while_the_etag_holds(api: Api) -> None:
    tag = api("GET", "/v1/models/digits").headers["etag"]
    changed = api("PATCH", "/v1/models/digits", {"promotion": "manual"}, headers={"If-Match": tag})
    assert changed.json()["promotion"] == "manual"
    assert changed.headers["etag"] != tag
    stale = api("PATCH", "/v1/models/digits", {"promotion": "auto"}, headers={"If-Match": tag})
    assert (stale.status_code, stale.json()["live_version"]) == (412, None)
    assert api.ok("GET", "/v1/models/digits")["promotion"] == "manual"
    assert api("PATCH", "/v1/models/digits", {"input": VECTOR}).status_code == 422
    assert api("PATCH", "/v1/models/digits", {"method": {"name": "den"}}).status_code == 422
    api.ok("PATCH", "/v1/models/digits", {"method": {"name": "replay"}})
    assert api("PATCH", "/v1/models/digits", {"retention": "none"}).status_code == 422


CHANGES: dict[str, Any] = {
    "method": {"name": "ridge"},
    "gate": {"trusted": "recent"},
    "target": {"level": 0.8},
    "promotion": "manual",
    "retention": "none",
    "memory_rows": 50,
    "leave_out": ["id"],
    "keep_versions": 3,
}


def test_each_setting_changes_the_etag(api: Api) -> None:
    for setting in PatchModel.model_fields:
        name = "prices" if setting == "target" else "digits"
        if name == "prices":
            api.ok("POST", "/v1/models", {"name": name, "input": VECTOR, "target": {"kind": "number"}})
        tag = api("GET", f"/v1/models/{name}").headers["etag"]
        changed = api("PATCH", f"/v1/models/{name}", {setting: CHANGES[setting]}, headers={"If-Match": tag})
        assert (changed.status_code, changed.headers["etag"] == tag) == (200, False), changed.text
        assert api("PATCH", f"/v1/models/{name}", {}, headers={"If-Match": tag}).status_code == 412, setting


def test_one_threshold_changes_and_the_others_stay(api: Api) -> None:
    api.ok("POST", "/v1/models", {"name": "prices", "input": VECTOR, "target": {"kind": "number"}})
    for sent in ({"forgets": {"p_hold": 0.5}}, {"trusted": "recent"}, {"forgets": {"p_reject": 0.2}}, {}):
        gate = api.ok("PATCH", "/v1/models/digits", {"gate": sent})["gate"]
    listed = api.ok("GET", "/v1/models")["items"]
    differing = {"forgets": {"p_hold": 0.5, "p_reject": 0.2}, "trusted": "recent"}
    assert [model["gate"] for model in listed] == [{}, differing], "a list has what differs from the defaults"
    for model in listed:
        alone = Model.model_validate(api.ok("GET", f"/v1/models/{model['name']}"))
        assert Model.model_validate(model) == alone, "from which a client knows the others"
    assert (gate["forgets"]["p_hold"], gate["forgets"]["p_reject"], gate["trusted"]) == (0.5, 0.2, "recent")
    assert gate["forgets"]["max_masked_drop"] == 0.02
    refused = api("PATCH", "/v1/models/digits", {"gate": {"forgets": {"p_hold": 0.1}}})
    assert (refused.status_code, pointers(refused)) == (422, ["/gate/forgets/p_reject"])


def test_an_archived_model_answers_nothing_and_keeps_its_name(api: Api) -> None:
    make_version(api.runtime)
    queued = api.ok("POST", "/v1/models/digits/updates", {"inputs": [[1, 2, 3]], "labels": ["a"]})
    question = {"inputs": [[1, 2, 3]]}
    assert api("POST", "/v1/models/digits/predictions", question).status_code == 200
    assert api("DELETE", "/v1/models/digits").status_code == 204
    for path in ("", "/classes", "/versions", "/lineage", "/deployments"):
        assert api("GET", f"/v1/models/digits{path}").status_code == 404
    assert api("POST", "/v1/models/digits/predictions", question).status_code == 404
    assert api("GET", f"/v1/updates/{queued['id']}").status_code == 404
    assert api("POST", "/v1/models", {"name": "digits", "input": VECTOR}).status_code == 409
    refused = api("POST", "/v1/models/digits/retractions", {"batches": queued["batches"]})
    assert (refused.status_code, '"erase": true' in refused.json()["detail"]) == (404, True)
    assert api.ok("GET", "/v1/models")["items"] == []


def test_what_an_archived_model_keeps_can_be_listed_and_erased_and_nothing_else(api: Api) -> None:
    rows = {"inputs": [[1, 2, 3]], "labels": ["a"]}
    kept = api.ok("POST", "/v1/models/digits/batches", rows)
    api("DELETE", "/v1/models/digits")
    [listed] = api.ok("GET", "/v1/models/digits/batches")["items"]
    assert listed == api.ok("GET", f"/v1/models/digits/batches/{kept['id']}") == kept
    for path, body in (("batches", rows), ("updates", rows), ("updates", {"batches": [kept["id"]]})):
        assert api("POST", f"/v1/models/digits/{path}", body).status_code == 404
    order = api("POST", "/v1/models/digits/retractions", {"batches": [kept["id"]], "erase": True})
    assert (order.status_code, order.json()["erase"]) == (202, True)
    assert api.ok("GET", f"/v1/updates/{order.json()['id']}")["state"] == "queued"
    assert api.ok("GET", f"/v1/models/digits/batches/{kept['id']}")["state"] == "retracted"


def test_lists_come_in_pages(api: Api) -> None:
    for k in range(4):
        api.ok("POST", "/v1/models", {"name": f"m{k}", "input": VECTOR})
    first = api.ok("GET", "/v1/models?limit=3")
    second = api.ok("GET", f"/v1/models?limit=3&cursor={first['next_cursor']}")
    assert [m["name"] for m in first["items"] + second["items"]] == ["m3", "m2", "m1", "m0", "digits"]
    assert second["next_cursor"] is None


def test_pages_that_cannot_be_are_refused(api: Api) -> None:
    for query in ["limit=0", "limit=1001", "limit=x", "cursor=zz", "cursor=1", "cursor=" + "9" * 30, "cursor=%00"]:
        for path in ["/v1/models", "/v1/models/digits/batches", "/v1/models/digits/deployments"]:
            refused = api("GET", f"{path}?{query}")
            assert refused.status_code == 422, (query, path)
            assert pointers(refused) == [f"/{query.partition('=')[0]}"], (query, path)


def test_models_stored_under_wider_limits_are_shown_changed_and_fed(api: Api) -> None:
    columns = [{"kind": "number", "name": "\u3164"}, {"kind": "number", "name": "b", "scale": {"range": [3.0, 3.0]}}]
    wide = {
        "input": {"kind": "table", "columns": columns, "indicators": 16},
        "target": {"kind": "number", "size": 1, "scale": "linear", "level": 0.999, "names": ["n" * 500]},
        "architecture": {"backbone": {"name": "mlp", "hidden": [100_000]}},
        "gate": {"forgets": {"max_rise": 3.0, "p": 2.0}, "recent_batches": 5000},
    }
    api.ok("POST", "/v1/models", {"name": "wide", "input": VECTOR, "target": {"kind": "number"}})
    with api.runtime.database.writing() as session:
        for name, stored in wide.items():
            setattr(models.get(session, "wide"), name, stored)
    listed = api.ok("GET", "/v1/models")["items"]
    shown = api.ok("GET", "/v1/models/wide")
    assert [m["name"] for m in listed] == ["wide", "digits"]
    assert listed[0] == shown | {"gate": wide["gate"]}
    assert [column["name"] for column in shown["input"]["columns"]] == ["\u3164", "b"]
    assert (shown["target"]["level"], shown["gate"]["recent_batches"]) == (0.999, 5000)
    assert shown["architecture"] == wide["architecture"]
    assert api.ok("PATCH", "/v1/models/wide", {"promotion": "manual"})["gate"]["forgets"]["p"] == 2.0
    api.ok("POST", "/v1/models/wide/updates", {"inputs": [[1, 2], [3, 4]], "targets": [1, 2]})
    with api.runtime.database.writing() as session:
        update = session.scalars(select(Update)).one()
        whole = assignment(api.runtime, session, update)
    assert ASSIGNMENT.as_stored(json.loads(whole.model_dump_json())) == whole
