"""Rows as a safetensors file: the batch that the same rows in JSON are, and what is wrong with a file."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import save

from service.contract.enums import SAFETENSORS
from service.contract.inputs import ImageInput, TextInput, VectorInput
from tests.api.conftest import Api, pointers
from tests.api.test_csv import LARGE
from tests.making import make_model

pytestmark = pytest.mark.usefixtures("lasting")

ROWS = np.random.default_rng(0).normal(size=(40, 3))
PIXELS = np.random.default_rng(1).integers(0, 256, (6, 1, 2, 2))
LABELS = [["yes", None, "no"][k % 3] for k in range(40)]


@pytest.fixture
def models(api: Api) -> Api:
    make_model(api.runtime, "wine", VectorInput(kind="vector", size=3), classes=["yes", "no"])
    make_model(api.runtime, "prices", VectorInput(kind="vector", size=3), target={"kind": "number"})
    make_model(api.runtime, "icons", ImageInput(kind="image", channels=1, height=2, width=2), classes=["yes", "no"])
    make_model(api.runtime, "intents", TextInput(kind="text"))
    return api


def send(api: Api, path: str, array: Any, body: Any = None, **headers: str) -> httpx.Response:
    metadata = None if body is None else {"body": body if isinstance(body, str) else json.dumps(body)}
    content = save({"inputs": np.asarray(array)}, metadata)
    return api("POST", f"/v1/models/{path}", content=content, headers={"Content-Type": SAFETENSORS, **headers})


@pytest.mark.parametrize("limit", [256 * 1024, 0], ids=["here", "aside"])
def test_a_file_is_the_batch_that_the_same_json_is(models: Api, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LARGE, limit)
    single = ROWS.astype(np.float32)
    for path, arrays, rest in (
        ("wine", [single, ROWS], {"labels": LABELS, "groups": ["a", *[None] * 39]}),
        ("prices", [single], {"targets": [0.1 * k for k in range(39)] + [None]}),
        ("icons", [PIXELS.astype(np.uint8), PIXELS.astype(np.float32)], {"labels": ["yes", "no"] * 3}),
    ):
        rest = {**rest, "source": "north"}
        same = models("POST", f"/v1/models/{path}/batches", {"inputs": arrays[-1].tolist(), **rest})
        assert same.status_code == 201, same.text
        for array in arrays:
            made = send(models, f"{path}/batches", array, rest)
            assert (made.status_code, made.json()) == (200, same.json()), made.text
    ordered = send(models, "wine/updates", ROWS, {"labels": LABELS, "method": {"name": "ridge"}})
    assert (ordered.status_code, ordered.json()["requested_method"]) == (202, {"name": "ridge"})


def test_a_key_knows_rows_however_they_came(models: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    key, labels = {"Idempotency-Key": "k"}, {"labels": LABELS}
    made = send(models, "wine/batches", ROWS, labels, **key)
    assert send(models, "wine/batches", ROWS + 1, labels, **key).status_code == 409
    monkeypatch.setattr(LARGE, 0)
    again = send(models, "wine/batches", ROWS, labels, **key)
    assert (again.status_code, again.json()) == (201, made.json())


FAULTS = [
    ("wine", ROWS[:, :2], {"labels": LABELS}, 422, "", "shape (40, 2); wine takes (rows, 3)"),
    ("wine", ROWS[0], {"labels": LABELS}, 422, "", "one bare row"),
    ("wine", np.full((1, 3), np.nan), {"labels": ["yes"]}, 422, "", "not finite"),
    ("wine", ROWS, {"labels": LABELS[:3]}, 422, "/labels", "40"),
    ("wine", ROWS, {"labels": LABELS, "colour": 1}, 422, "/colour", "not known"),
    ("wine", ROWS, {"labels": LABELS, "inputs": [[1, 2, 3]]}, 422, "", 'The tensor "inputs" holds the rows'),
    ("wine", ROWS, None, 422, "/labels", "labels is missing"),
    ("wine", ROWS, "{", 400, "", "not JSON"),
    ("intents", ROWS, {"labels": LABELS}, 415, "", "intents takes no rows of numbers"),
]


def test_what_is_wrong_is_told_and_nothing_is_stored(models: Api, monkeypatch: Any) -> None:
    for path, array, body, status, pointer, words in FAULTS:
        for limit in (256 * 1024, 0):
            monkeypatch.setattr(LARGE, limit)
            refused = send(models, f"{path}/batches", array, body)
            assert refused.status_code == status, refused.text
            assert words in refused.json()["detail"]
            assert status != 422 or pointers(refused) == [pointer]
        assert models.ok("GET", f"/v1/models/{path}/batches")["items"] == [], path


def test_another_tensor_and_bytes_of_another_kind_are_refused(models: Api) -> None:
    headers = {"Content-Type": SAFETENSORS}
    for content, words in (
        (save({"inputs": ROWS, "labels": ROWS}), 'The tensor "inputs" holds the rows'),
        (b'{"inputs": [[1, 2, 3]]}', "The safetensors file cannot be read"),
    ):
        refused = models("POST", "/v1/models/wine/batches", content=content, headers=headers)
        assert (refused.status_code, words in refused.json()["detail"]) == (422, True), refused.text
    asked = models("POST", "/v1/models/wine/predictions", content=save({"inputs": ROWS}), headers=headers)
    assert asked.status_code == 415
