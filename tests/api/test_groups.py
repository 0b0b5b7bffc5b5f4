"""Groups of rows, and the folds of a model: named in the request, checked, hashed, settled once."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from service.api.bodies import request_body
from service.learning.data.rows import Rows
from service.learning.data.serialization import unpack_rows
from service.learning.data.sides import SETTLING_ROWS
from service.registry import batches, models
from service.storage.artifacts import model_area
from tests.api.conftest import Api, pointers

pytestmark = pytest.mark.usefixtures("lasting")

BATCHES = "/v1/models/digits/batches"
ROWS = np.random.default_rng(0).normal(size=(80, 3)).round(3).tolist()
LABELS = ["a", "b"] * 40


def stored(api: Api, batch: str) -> Rows:
    with api.runtime.database.reading() as session:
        row = batches.get(session, models.get(session, "digits"), batch)
    return unpack_rows(api.runtime.store.get(model_area(row.model_id), row.stored_digest or ""))


def sent(api: Api, **members: Any) -> Rows:
    body = {"inputs": ROWS, "labels": LABELS, "new_classes": "allow", "again": True, **members}
    return stored(api, api.ok("POST", BATCHES, body)["id"])


def folding(api: Api) -> dict[str, Any] | None:
    with api.runtime.database.reading() as session:
        return models.get(session, "digits").folding


def test_rows_of_a_group_fall_on_one_side_in_every_batch(api: Api) -> None:
    groups = [f"patient {k % 8}" for k in range(80)]
    one, other = sent(api, groups=groups), sent(api, groups=groups[::-1], inputs=ROWS[::-1])
    for k in range(8):
        assert len({*one.folds[k::8], *other.folds[::-1][k::8]}) == 1
    assert len(np.unique(one.folds)) > 1


def test_one_name_is_the_group_of_all_rows_and_null_of_none(api: Api) -> None:
    assert len(np.unique(sent(api, groups="video 7").folds)) == 1
    assert len(np.unique(sent(api, groups=[None] * 80).folds)) > 5
    decomposed, composed = sent(api, groups="cafe\u0301"), sent(api, groups="caf\u00e9")
    assert (decomposed.kin == composed.kin).all()


def test_the_same_rows_in_other_groups_are_another_batch(api: Api) -> None:
    body = {"inputs": ROWS, "labels": LABELS, "new_classes": "allow"}
    bare, grouped = api("POST", BATCHES, body), api("POST", BATCHES, {**body, "groups": "x"})
    again = api("POST", BATCHES, {**body, "groups": ["x"] * 80})
    assert (bare.status_code, grouped.status_code, again.status_code) == (201, 201, 200)
    assert api("POST", BATCHES, {**body, "groups": [None] * 80}).json()["id"] == bare.json()["id"]


def test_groups_that_cannot_be_are_refused_with_the_place(api: Api) -> None:
    for groups, pointer in [
        (["a"], "/groups"),
        ([], "/groups"),
        ([3, "a"], "/groups/0"),
        (["a", ""], "/groups/1"),
        (["a", "x" * 201], "/groups/1"),
        ("", "/groups"),
        (7, "/groups"),
        ({"a": 1}, "/groups"),
        (["a", "\ud800"], "/groups/1"),
        (["a", "b\x00"], "/groups/1"),
        ([None, "\u202eb"], "/groups/1"),
        ("video\u200b", "/groups"),
    ]:
        for path in ["batches", "updates"]:
            body = json.dumps({"inputs": ROWS[:2], "labels": ["a", "b"], "groups": groups})
            headers = {"content-type": "application/json"}
            response = api("POST", f"/v1/models/digits/{path}", content=body, headers=headers)
            assert response.status_code == 422, (groups, path)
            assert pointers(response) == [pointer], (groups, path)
            assert api.ok("GET", BATCHES)["items"] == [], (groups, path)


def test_an_update_takes_groups_with_its_rows_alone(api: Api) -> None:
    body = {"inputs": ROWS, "labels": LABELS, "groups": "x"}
    update = api.ok("POST", "/v1/models/digits/updates", body)
    assert len(np.unique(stored(api, update["batches"][0]).folds)) == 1
    response = api("POST", "/v1/models/digits/updates", {"batches": "pending", "groups": "x"})
    assert response.status_code == 422


def test_a_large_body_falls_as_a_small_one(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = [None if k % 3 else "video" for k in range(80)]
    here = sent(api, groups=groups)
    monkeypatch.setattr(request_body, "LARGE_BYTES", 256)
    aside = sent(api, groups=groups)
    assert (aside.folds == here.folds).all()
    assert (aside.kin == here.kin).all()
    assert (aside.marks == here.marks).all()


def test_the_first_batch_with_enough_rows_settles_how_the_rows_of_a_model_fall(api: Api) -> None:
    few = sent(api, inputs=ROWS[: SETTLING_ROWS - 1], labels=LABELS[: SETTLING_ROWS - 1])
    assert (folding(api), few.marks.shape[1]) == ({}, 0)
    first = sent(api)
    settled = folding(api)
    assert settled["level"] is not None
    other = sent(api, inputs=(1000 * np.array(ROWS)).tolist())
    assert folding(api) == settled
    assert (sent(api).folds == first.folds).all()
    assert other.marks.shape == first.marks.shape


def test_a_model_of_an_earlier_release_goes_on_by_the_bytes_of_its_rows(api: Api) -> None:
    with api.runtime.database.writing() as session:
        models.get(session, "digits").folding = None
    rows = sent(api)
    assert folding(api) is None
    assert not rows.kin.any()
    assert (rows.folds == (rows.hashes % np.uint64(10)).astype(np.int64)).all()
