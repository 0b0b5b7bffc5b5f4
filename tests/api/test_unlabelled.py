"""Rows without a label: stored and counted, no class, and no update by themselves."""

from __future__ import annotations

import numpy as np

from service.learning.data.serialization import unpack_batch
from service.registry import batches, models
from service.storage.artifacts import model_area
from tests.api.conftest import Api, pointers

BATCHES = "/v1/models/digits/batches"
ROWS = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]


def stored(api: Api, batch_id: str) -> bytes:
    with api.runtime.database.reading() as session:
        row = batches.get(session, models.get(session, "digits"), batch_id)
        return api.runtime.store.get(model_area(row.model_id), row.stored_digest or "")


def test_rows_without_a_label_are_stored_beside_the_others(api: Api) -> None:
    batch = api.ok("POST", BATCHES, {"inputs": ROWS, "labels": [None, "a", None, "b"]})
    assert (batch["rows"], batch["unlabelled"], batch["label_counts"]) == (4, 2, {"a": 1, "b": 1})
    assert batch["kept_rows"] == 4
    assert api.ok("GET", "/v1/models/digits")["classes"] == ["a", "b"]
    assert api.ok("GET", "/v1/models/digits")["pending"] == {"batches": 1, "rows": 4, "stopped": 0, "refuted": 0}
    data = stored(api, batch["id"])
    rows, others = unpack_batch(data)
    assert others is not None
    assert (rows.inputs.tolist(), rows.row.tolist(), rows.label_names()) == ([ROWS[1], ROWS[3]], [1, 3], ["a", "b"])
    assert others.tolist() == [ROWS[0], ROWS[2]]
    assert set(batch["lent"]) <= {1, 3}
    assert set(batch["lent"]) == set(np.array([1, 3])[rows.lent].tolist())


def test_null_is_not_the_name_null(api: Api) -> None:
    nameless = api("POST", BATCHES, {"inputs": ROWS[:2], "labels": ["a", None]})
    named = api("POST", BATCHES, {"inputs": ROWS[:2], "labels": ["a", "null"], "new_classes": "allow"})
    again = api("POST", BATCHES, {"inputs": ROWS[:2], "labels": ["a", None]})
    assert [r.status_code for r in (nameless, named, again)] == [201, 201, 200]
    assert again.json()["id"] == nameless.json()["id"] != named.json()["id"]


def test_a_typo_beside_null_is_pointed_at(api: Api) -> None:
    api.ok("POST", BATCHES, {"inputs": ROWS[:1], "labels": ["seven"]})
    refused = api("POST", BATCHES, {"inputs": ROWS, "labels": [None, None, "sevn", "seven"]})
    assert (refused.status_code, pointers(refused)) == (422, ["/labels/2"])


def test_only_unlabelled_rows_are_a_batch_but_nothing_to_learn_from(api: Api) -> None:
    batch = api.ok("POST", BATCHES, {"inputs": ROWS, "labels": [None] * 4})
    assert (batch["rows"], batch["unlabelled"], batch["label_counts"], batch["state"]) == (4, 4, {}, "pending")
    _, others = unpack_batch(stored(api, batch["id"]))
    assert others is not None
    assert others.tolist() == ROWS
    inline = {"inputs": [[0, 0, 1]], "labels": [None]}
    for body, pointer in [
        ({"batches": [batch["id"]]}, "/batches"),
        ({"batches": "pending"}, "/batches"),
        (inline, "/labels"),
        ({**inline, "method": {"name": "ridge"}}, "/labels"),
    ]:
        refused = api("POST", "/v1/models/digits/updates", body)
        assert (refused.status_code, pointers(refused)) == (422, [pointer]), refused.text
        assert "None of these rows has a label" in refused.json()["detail"]
    assert [b["id"] for b in api.ok("GET", BATCHES)["items"]] == [batch["id"]]
    assert api.ok("GET", "/v1/models/digits/updates")["items"] == []
    mixed = api.ok("POST", BATCHES, {"inputs": ROWS, "labels": ["a", None, None, None]})
    update = api.ok("POST", "/v1/models/digits/updates", {"batches": "pending"})
    assert update["batches"] == [batch["id"], mixed["id"]]
