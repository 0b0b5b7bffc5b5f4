"""Rows of a batch are read as they could be sent, by whoever may correct them."""

from __future__ import annotations

from typing import Any

import pytest

from service.api.routes import batches
from service.registry import models, versions
from service.registry.sql.tables import Batch
from tests.api.conftest import Api, MakeApi, pointers
from tests.making import make_version

MODEL = "/v1/models/digits"
ROWS = {"inputs": [[1, 2, 3], [4, 5, 6.5], [7, 8, 9]], "labels": ["a", None, "b"], "new_classes": "allow"}


def stored(api: Api, model: dict[str, Any], rows: dict[str, Any]) -> str:
    """-> the address of the rows of a batch"""
    api.ok("POST", "/v1/models", model)
    path = f"/v1/models/{model['name']}/batches"
    return f"{path}/{api.ok('POST', path, rows)['id']}/rows"


def test_rows_come_by_their_numbers_and_pages(api: Api) -> None:
    path = f"{MODEL}/batches/{api.ok('POST', f'{MODEL}/batches', ROWS)['id']}/rows"
    first = api.ok("GET", f"{path}?limit=1")
    assert first == {
        "items": [{"row": 0, "label": "a", "targets": None, "input": [1, 2, 3]}],
        "next_cursor": "2",
    }
    then = api.ok("GET", f"{path}?limit=1&cursor={first['next_cursor']}")
    assert ([row["label"] for row in then["items"]], then["next_cursor"]) == (["b"], None)
    assert [row["row"] for row in api.ok("GET", f"{path}?rows=2,1,7")["items"]] == [2]
    assert api.ok("GET", f"{path}?cursor=9")["items"] == []
    assert pointers(api("GET", f"{path}?cursor=bat_0")) == ["/cursor"]
    assert pointers(api("GET", f"{path}?rows=1;2")) == ["/rows"]


CELLS = [
    {"n": 3, "x": 0.5, "city": "<b>Osaka", "id": "k1", "day": "2026-11-30", "at": "2026-11-30T11:42", "ok": True},
    {"n": -1, "city": "Kyoto", "kind": "old"},
]
COLUMNS = [
    *({"name": name, "kind": "number"} for name in ("n", "x")),
    {"name": "city", "kind": "category"},
    {"name": "kind", "kind": "category", "values": ["old", "new"]},
    {"name": "id", "kind": "category", "many": True},
    *({"name": name, "kind": "date"} for name in ("day", "at")),
    {"name": "ok", "kind": "boolean"},
]


def test_each_kind_of_input_is_as_it_could_be_sent(api: Api) -> None:
    table = {"name": "t", "input": {"kind": "table", "columns": COLUMNS}, "target": {"kind": "number"}}
    first, second = api.ok("GET", stored(api, table, {"inputs": CELLS, "targets": [1.5, 2]}))["items"]
    assert first["input"].pop("id").startswith("#")
    assert {**first["input"], "id": "k1"} == {**CELLS[0], "at": "2026-11-30 11:42:00"}
    assert (second["input"], second["label"], second["targets"]) == (CELLS[1], None, [2])
    image = {"name": "i", "input": {"kind": "image", "channels": 1, "height": 1, "width": 2}}
    [row] = api.ok("GET", stored(api, image, {"inputs": [[[[0, 255]]]], "labels": ["a"]}))["items"]
    assert row["input"] == [[[0, 255]]]
    text = {"name": "x", "input": {"kind": "text"}}
    [row] = api.ok("GET", stored(api, text, {"inputs": ["where is it?"], "labels": ["a"]}))["items"]
    assert row["input"] == "where is it?"


def test_the_last_moment_there_is_stays_a_date(api: Api) -> None:
    table = {"name": "t", "input": {"kind": "table", "columns": [{"name": "ends", "kind": "date"}]}}
    moments = ["9999-12-31T23:59:59.999999", "9999-12-31T23:59:60", "9999-12-31", "0001-01-01"]
    rows = {"inputs": [{"ends": moment} for moment in moments], "labels": ["a"] * 4, "new_classes": "allow"}
    shown = [row["input"]["ends"] for row in api.ok("GET", stored(api, table, rows))["items"]]
    assert shown == ["9999-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999", *moments[2:]]


def test_what_is_not_there_says_so(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"{MODEL}/batches/{api.ok('POST', f'{MODEL}/batches', ROWS)['id']}/rows"
    assert api("GET", f"{MODEL}/batches/bat_0/rows").status_code == 404
    assert api("GET", path.replace("digits", "nobody")).status_code == 404
    monkeypatch.setattr(batches, "LARGEST_BYTES", 10)
    assert api("GET", path).status_code == 409


@pytest.mark.parametrize(
    ("what", "status"), [("rows", 410), ("corrections", 409), ("weights", 410), ("predictions", 410)]
)
def test_what_is_erased_while_it_is_read_is_gone_not_damaged(
    api: Api, monkeypatch: pytest.MonkeyPatch, what: str, status: int
) -> None:
    batch = api.ok("POST", f"{MODEL}/batches", ROWS)["id"]
    version = make_version(api.runtime, learned=[batch])
    get = api.runtime.store.get

    def erased_meanwhile(area: str, digest: str) -> bytes:
        with api.runtime.database.writing() as session:
            sent = session.get_one(Batch, batch)
            sent.retracted_at = sent.erased_at = 1.0
            sent.stored_digest = None
            versions.get(session, models.get(session, "digits"), version).erased_at = 1.0
        api.runtime.store.delete(area, digest)
        return get(area, digest)

    monkeypatch.setattr(api.runtime.store, "get", erased_meanwhile)
    gone = {
        "rows": lambda: api("GET", f"{MODEL}/batches/{batch}/rows"),
        "corrections": lambda: api("POST", f"{MODEL}/batches/{batch}/corrections", {"rows": {"0": "b"}}),
        "weights": lambda: api("GET", f"{MODEL}/versions/{version}/weights"),
        "predictions": lambda: api("POST", f"{MODEL}/versions/{version}/predictions", {"inputs": [[1, 2, 3]]}),
    }[what]()
    assert gone.status_code == status, gone.text
    assert "damaged" not in gone.text


def test_whoever_sends_rows_does_not_read_those_of_others(make_api: MakeApi) -> None:
    api = make_api(key="the-key-of-this-test")
    operator = {"authorization": "Bearer the-key-of-this-test"}
    api.ok("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 3}}, headers=operator)
    path = f"{MODEL}/batches/{api.ok('POST', f'{MODEL}/batches', ROWS, headers=operator)['id']}/rows"
    for scope, names, status in (("learn", None, 403), ("promote", ["wine"], 404), ("promote", ["digits"], 200)):
        made = {"name": "somebody", "scopes": [scope], "models": names}
        if names == ["wine"]:
            api.ok("POST", "/v1/models", {"name": "wine", "input": {"kind": "vector", "size": 3}}, headers=operator)
        secret = api.ok("POST", "/v1/keys", {k: v for k, v in made.items() if v}, headers=operator)["secret"]
        assert api("GET", path, headers={"authorization": f"Bearer {secret}"}).status_code == status
