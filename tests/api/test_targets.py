"""Batches of models that predict numbers: stored, summarised, counted once, refused with a pointer."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import pytest

from service.contract.inputs import TextInput
from service.learning.data.rows import NAMELESS, Rows
from service.learning.data.serialization import unpack_batch, unpack_rows
from service.learning.data.target_grid import NumberGrid
from service.registry import batches, models
from service.registry.sql.tables import Batch
from service.storage.artifacts import model_area
from tests.api.conftest import Api, MakeApi, pointers
from tests.making import keep_version, make_model, number_checkpoint

pytestmark = pytest.mark.usefixtures("lasting")

ROWS = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]
NUMBER: dict[str, Any] = {"kind": "number"}
BATCHES = "/v1/models/load/batches"
GRID = NumberGrid(names=["value"], offset=[0.0], step=[2.0**-16])


@pytest.fixture(params=["in this process", "in the reading process"])
def load(request: pytest.FixtureRequest, make_api: MakeApi, monkeypatch: pytest.MonkeyPatch) -> Api:
    """An application with a model "load" of three numbers a row, which predicts one, and "digits" of classes."""
    if request.param != "in this process":
        monkeypatch.setattr("service.api.bodies.request_body.LARGE_BYTES", 0)
    api = make_api()
    make_model(api.runtime, "digits")
    make_model(api.runtime, "load", target=NUMBER)
    return api


def number_model(api: Api, **target: Any) -> None:
    make_model(api.runtime, "load", target={"kind": "number", **target})


def record(api: Api, batch_id: str) -> Batch:
    with api.runtime.database.reading() as session:
        return batches.get(session, models.get(session, "load"), batch_id)


def stored(api: Api, batch_id: str) -> bytes:
    row = record(api, batch_id)
    return api.runtime.store.get(model_area(row.model_id), row.stored_digest or "")


def rows_of(api: Api, batch_id: str) -> Rows:
    return unpack_rows(stored(api, batch_id))


def nothing_is_stored(api: Api) -> bool:
    return api.ok("GET", BATCHES)["items"] == [] and api.ok("GET", "/v1/models/load/updates")["items"] == []


def test_a_batch_is_stored_with_its_targets(load: Api) -> None:
    body = {"inputs": ROWS, "targets": [512.5, None, -3, 1e6], "source": "north", "groups": ["a", "a", None, "b"]}
    response = load("POST", BATCHES, body)
    assert response.status_code == 201, response.text
    batch = response.json()
    assert (batch["rows"], batch["unlabelled"], batch["label_counts"], batch["source"]) == (4, 1, {}, "north")
    known = np.array([512.5, -3, 1e6])
    summary = {"rows": 3, "mean": known.mean(), "std": known.std(), "min": -3, "max": 1e6}
    assert batch["target_summary"] == summary
    assert load.ok("GET", f"{BATCHES}/{batch['id']}") == load.ok("GET", BATCHES)["items"][0] == batch
    rows, others = unpack_batch(stored(load, batch["id"]))
    assert others is not None
    assert rows.names == NAMELESS
    assert rows.targets.tolist() == [[512.5], [-3], [1e6]]
    assert (rows.row.tolist(), rows.labels.tolist(), rows.sources) == ([0, 2, 3], [0, 0, 0], ("north",))
    assert others.tolist() == [ROWS[1]]
    folds = record(load, batch["id"]).folds
    assert list(folds) == [""]
    assert sum(folds[""]) == 3
    assert load.ok("GET", "/v1/models/load")["classes"] == []


def test_several_numbers_a_row_are_summarised_each(api: Api) -> None:
    number_model(api, size=2, names=["MW", "price"])
    batch = api.ok("POST", BATCHES, {"inputs": ROWS, "targets": [[1, 10], None, [3, 30], [5, 50]]})
    assert [(s["rows"], s["mean"], s["min"], s["max"]) for s in batch["target_summary"]] == [
        (3, 3, 1, 5),
        (3, 30, 10, 50),
    ]
    assert rows_of(api, batch["id"]).targets.tolist() == [[1, 10], [3, 30], [5, 50]]


def test_many_lists_of_targets_fit_a_small_body(api: Api) -> None:
    number_model(api, size=2)
    rows = [[k, 0, 1] for k in range(1200)]
    batch = api.ok("POST", BATCHES, {"inputs": rows, "targets": [[k, -k] for k in range(1200)]})
    assert batch["target_summary"][0]["max"] == 1199


def test_the_same_rows_and_targets_are_the_same_batch(load: Api) -> None:
    targets = [0, 2.5, None, 4]
    first = load("POST", BATCHES, {"inputs": ROWS, "targets": targets})
    again = load("POST", BATCHES, {"targets": [[-0.0], 2.5, None, 4.0], "inputs": ROWS})
    assert (first.status_code, again.status_code, again.json()["id"]) == (201, 200, first.json()["id"])
    others = [
        {"targets": [0, 2.5, 3, 4]},
        {"targets": [0, 2.5, None, 4.1]},
        {"targets": targets, "source": "x"},
        {"targets": targets, "groups": "g"},
        {"targets": targets, "again": True},
    ]
    ids = {load.ok("POST", BATCHES, {"inputs": ROWS, **other})["id"] for other in others} | {first.json()["id"]}
    assert len(ids) == 6


def test_a_key_knows_targets_however_they_were_written(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    number_model(api)
    key = {"Idempotency-Key": "k", "Content-Type": "application/json"}

    def send(targets: str) -> httpx.Response:
        body = f'{{"inputs": {json.dumps(ROWS)}, "targets": {targets}, "again": true}}'
        return api("POST", BATCHES, content=body, headers=key)

    first = send("[1, 2.50, null, 4]")
    same = [send("[1.0, 2.5, null, 4e0]")]
    monkeypatch.setattr("service.api.bodies.request_body.LARGE_BYTES", 0)
    same.append(send("[ 1,2.5,null,  4 ]"))
    assert {r.json()["id"] for r in same} == {first.json()["id"]}
    assert send("[1, 2.5, null, 5]").status_code == 409


def test_faulty_targets_leave_nothing_behind(load: Api) -> None:
    faulty: list[tuple[dict[str, Any], str]] = [
        ({"inputs": ROWS, "targets": [1, 2, 3]}, "/targets"),
        ({"inputs": ROWS, "targets": [1, 2, "3", 4]}, "/targets/2"),
        ({"inputs": ROWS, "targets": [1, 2, True, 4]}, "/targets/2"),
        ({"inputs": ROWS, "targets": [1, 2, [3, 4], 4]}, "/targets/2"),
        ({"inputs": ROWS, "targets": [1, 2, [[3]], 4]}, "/targets/2/0"),
        ({"inputs": ROWS, "targets": [1, 2, 1e151, 4]}, "/targets/2"),
        ({"inputs": ROWS, "targets": 3}, "/targets"),
        ({"inputs": ROWS, "targets": None}, "/targets"),
        ({"inputs": ROWS}, "/targets"),
        ({"inputs": ROWS, "labels": ["1", "2", "3", "4"]}, "/labels"),
        ({"inputs": ROWS, "labels": [1, 2, 3, 4], "targets": [1, 2, 3, 4]}, "/labels"),
        ({"inputs": [*ROWS[:3], [1, 2]], "targets": [1, 2, 3, "x"]}, "/inputs/3"),
        ({"inputs": ROWS, "targets": [1, 2, 3, 4], "groups": ["a"]}, "/groups"),
    ]
    for body, pointer in faulty:
        for path in ("batches", "updates"):
            refused = load("POST", f"/v1/models/load/{path}", body)
            assert refused.status_code == 422, refused.text
            together = path == "updates" and body.keys() & {"labels"} == set() and body.get("targets") is None
            assert pointers(refused) == ["" if together else pointer]
        assert nothing_is_stored(load), body


def test_what_is_no_json_is_refused_at_its_place(load: Api) -> None:
    for word in ["NaN", "Infinity", "-1e999"]:
        body = f'{{"inputs": {json.dumps(ROWS)}, "targets": [1, 2, {word}, null]}}'
        refused = load("POST", BATCHES, content=body, headers={"Content-Type": "application/json"})
        assert (refused.status_code, pointers(refused)) == (422, ["/targets/2"]), refused.text
        assert nothing_is_stored(load), word


def test_labels_and_targets_are_not_mistaken_for_each_other(load: Api) -> None:
    for name, sent, other in (("digits", "targets", "labels"), ("load", "labels", "targets")):
        for path in ("batches", "updates"):
            refused = load("POST", f"/v1/models/{name}/{path}", {"inputs": ROWS, sent: [1, 2, 3, 4]})
            assert (refused.status_code, pointers(refused)) == (422, [f"/{sent}"])
            assert f"send {other} in place of {sent}" in refused.json()["detail"]
            assert load.ok("GET", f"/v1/models/{name}/batches")["items"] == []


def test_rows_without_a_target_are_a_batch_but_nothing_to_learn_from(load: Api) -> None:
    batch = load.ok("POST", BATCHES, {"inputs": ROWS, "targets": [None] * 4})
    assert (batch["rows"], batch["unlabelled"], batch["target_summary"], batch["state"]) == (4, 4, None, "pending")
    inline = {"inputs": [[0, 0, 1]], "targets": [None]}
    named, waiting = {"batches": [batch["id"]]}, {"batches": "pending"}
    for body, pointer in ((named, "/batches"), (waiting, "/batches"), (inline, "/targets")):
        refused = load("POST", "/v1/models/load/updates", body)
        assert (refused.status_code, pointers(refused)) == (422, [pointer]), refused.text
        assert "None of these rows has a target" in refused.json()["detail"]
    assert [b["id"] for b in load.ok("GET", BATCHES)["items"]] == [batch["id"]]


def test_logarithms_refuse_targets_that_have_none(load: Api) -> None:
    make_model(load.runtime, "gems", target={"kind": "number", "scale": "log"})
    refused = load("POST", "/v1/models/gems/batches", {"inputs": ROWS, "targets": [1, None, 0, 2]})
    assert (refused.status_code, pointers(refused), "linear" in refused.text) == (422, ["/targets/2"], True)
    assert load.ok("GET", "/v1/models/gems/batches")["items"] == []


@pytest.mark.parametrize(
    ("target", "fits", "beyond", "word"),
    [
        ({"step": 0.01}, 1e7, 1.1e7, "-1.07371e+07 to 1.07371e+07 fits"),
        ({"range": [0, 8]}, 16_000, 17_000, "to 16387.5 fits"),
        ({"range": [0, 8], "from": 0}, 16_000, 17_000, "to 16397.5 fits"),  # the column of that row is 10
        ({"scale": "log", "range": [1, 2]}, 1e150, 1e151, "1e+150"),
    ],
)
def test_what_is_beyond_a_declared_grid_is_refused_with_what_fits(
    load: Api, target: dict[str, Any], fits: float, beyond: float, word: str
) -> None:
    make_model(load.runtime, "bounded", target={"kind": "number", **target})
    load.ok("POST", "/v1/models/bounded/batches", {"inputs": ROWS, "targets": [1, None, 2, fits]})
    refused = load("POST", "/v1/models/bounded/batches", {"inputs": ROWS, "targets": [1, None, 2, beyond]})
    assert (refused.status_code, pointers(refused)) == (422, ["/targets/3"]), refused.text
    assert word in refused.json()["detail"]
    assert len(load.ok("GET", "/v1/models/bounded/batches")["items"]) == 1


def test_what_is_beyond_the_grid_of_the_live_version_is_refused(load: Api) -> None:
    body = {"inputs": ROWS, "targets": [1, None, 2, 20_000]}
    load.ok("POST", BATCHES, body)
    keep_version(load.runtime, "load", number_checkpoint(GRID))
    for path in ("batches", "updates"):
        refused = load("POST", f"/v1/models/load/{path}", {**body, "source": "x"})
        assert (refused.status_code, pointers(refused)) == (422, ["/targets/3"]), refused.text
        assert "here -16383.5 to 16383.5 fits" in refused.json()["detail"]
        assert "a new model whose `range` holds them" in refused.json()["detail"]
    assert len(load.ok("GET", BATCHES)["items"]) == 1


def test_later_rows_are_not_lent_once_enough_learn(api: Api) -> None:
    number_model(api)
    many = [[k, 0, 1] for k in range(100)]
    first = api.ok("POST", BATCHES, {"inputs": many, "targets": list(range(100))})
    later = api.ok("POST", BATCHES, {"inputs": [[k, 1, 1] for k in range(20)], "targets": list(range(20))})
    assert first["lent"] == later["lent"] == []
    assert sum(rows_of(api, first["id"]).learning) > 50


def test_an_update_learns_from_rows_with_targets_and_an_order_is_refused_by_name(load: Api) -> None:
    update = load.ok("POST", "/v1/models/load/updates", {"inputs": ROWS, "targets": [1, 2, 3, None]})
    assert (update["state"], len(update["batches"])) == ("queued", 1)
    refused = load("POST", "/v1/models/load/updates", {"batches": "pending", "method": {"name": "lda"}})
    assert (refused.status_code, pointers(refused)) == (422, ["/method/name"])
    assert "learns classes" in refused.json()["detail"]
    assert load.ok("GET", "/v1/models/load")["pending"] == {"batches": 1, "rows": 4, "stopped": 0, "refuted": 0}


def test_batches_with_targets_are_retracted_and_erased_as_others_are(load: Api) -> None:
    batch = load.ok("POST", BATCHES, {"inputs": ROWS, "targets": [1, 2, 3, None]})
    order = load("POST", "/v1/models/load/retractions", {"batches": [batch["id"]], "erase": True})
    assert order.status_code == 202
    assert load.ok("GET", f"{BATCHES}/{batch['id']}")["state"] == "retracted"
    assert load("POST", BATCHES, {"inputs": ROWS, "targets": [1, 2, 3, None]}).status_code == 201


def test_versions_that_predict_numbers_are_not_taken_in(api: Api) -> None:
    number_model(api)
    keep_version(api.runtime, "load", number_checkpoint(GRID))
    weights = api("GET", "/v1/models/load/versions/1/weights").content
    media = {"Content-Type": "application/octet-stream"}
    elsewhere = api("POST", "/v1/models/digits/versions", content=weights, headers=media)
    assert (elsewhere.status_code, pointers(elsewhere)) == (422, ["/weights"]), elsewhere.text
    here = api("POST", "/v1/models/load/versions", content=weights, headers=media)
    assert (here.status_code, "rows with targets" in here.json()["detail"]) == (409, True)
    assert len(api.ok("GET", "/v1/models/load/versions")["items"]) == 1


def test_texts_have_targets_too(load: Api) -> None:
    make_model(load.runtime, "stars", TextInput(kind="text"), target=NUMBER)
    batch = load.ok("POST", "/v1/models/stars/batches", {"inputs": ["well", "so so"], "targets": [[5], [2.5]]})
    assert batch["target_summary"]["mean"] == 3.75
