"""Texts by every route: stored in one spelling, the same batch however it was written, refused with a pointer."""

from __future__ import annotations

import pytest

from service.learning.data.serialization import unpack_rows
from service.registry import batches, models
from service.storage.artifacts import model_area
from tests.api.conftest import Api, MakeApi, pointers

BATCHES = "/v1/models/intents/batches"


@pytest.fixture
def texts(make_api: MakeApi) -> Api:
    """An application with a model of texts of at most 40 characters."""
    api = make_api()
    api.ok("POST", "/v1/models", {"name": "intents", "input": {"kind": "text", "length": 40}})
    return api


def test_a_batch_of_texts_is_stored_once(texts: Api) -> None:
    first = texts("POST", BATCHES, {"inputs": ["cafe\u0301?", "\u8ffd\u52a0\u5b66\u7fd2"], "labels": ["a", "b"]})
    again = texts("POST", BATCHES, {"inputs": ["caf\u00e9?", "\u8ffd\u52a0\u5b66\u7fd2"], "labels": ["a", "b"]})
    other = texts("POST", BATCHES, {"inputs": ["caf\u00e9", "?\u8ffd\u52a0\u5b66\u7fd2"], "labels": ["a", "b"]})
    assert [r.status_code for r in (first, again, other)] == [201, 200, 201]
    assert again.json()["id"] == first.json()["id"] != other.json()["id"]
    with texts.runtime.database.reading() as session:
        row = batches.get(session, models.get(session, "intents"), first.json()["id"])
    stored = unpack_rows(texts.runtime.store.get(model_area(row.model_id), row.stored_digest or ""))
    assert stored.inputs.tolist() == ["caf\u00e9?", "\u8ffd\u52a0\u5b66\u7fd2"]


def test_a_key_with_the_same_texts_is_the_same_call(texts: Api) -> None:
    key = {"Idempotency-Key": "k"}
    first = texts("POST", BATCHES, {"inputs": ["cafe\u0301"], "labels": ["a"]}, headers=key)
    again = texts("POST", BATCHES, {"inputs": ["caf\u00e9"], "labels": ["a"]}, headers=key)
    other = texts("POST", BATCHES, {"inputs": ["tea"], "labels": ["a"]}, headers=key)
    assert (first.status_code, again.json()["id"], other.status_code) == (201, first.json()["id"], 409)


def test_faulty_texts_leave_nothing_behind(texts: Api) -> None:
    for inputs, pointer in [
        (["a", ""], "/inputs/1"),
        (["a", "b" * 41], "/inputs/1"),
        (["a", 1], "/inputs/1"),
        ("a", "/inputs"),
        ([["a"]], "/inputs/0"),
        ([], "/inputs"),
    ]:
        for path in (BATCHES, "/v1/models/intents/updates"):
            refused = texts("POST", path, {"inputs": inputs, "labels": ["a"] * len(inputs)})
            assert refused.status_code == 422, refused.text
            assert pointers(refused) == [pointer]
        assert texts.ok("GET", BATCHES)["items"] == [], inputs
        assert texts.ok("GET", "/v1/models/intents")["classes"] == [], inputs
