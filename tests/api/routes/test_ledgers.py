"""Ledgers at the door: what an export names and refuses, and what a body must hold to be merged."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contract.enums import ENTRY, UpdateKind
from service.learning.data.serialization import pack, unpack
from service.learning.ledger.exchange import entry_of
from service.learning.ledger.sums import Sums
from service.registry import batches, models, updates, versions
from service.registry.rows import ledger
from service.registry.sql.tables import Batch, Model, RowMark, Version
from service.registry.updates import Order
from service.storage.artifacts import model_area
from service.tuning import room
from tests.api.conftest import Api, MakeApi, pointers
from tests.learning.exact_help import entry_of as rows_of
from tests.making import make_version
from tests.registry.facts import arrival

SPACE = "5" * 64
MODEL = "/v1/models/digits"
SCALED = {"kind": "vector", "size": 3, "scale": {"range": [0, 1]}}
ELSEWHERE = {"bat_0000000000000a": 8, "bat_0000000000000b": 4}
Edit = Callable[[dict[str, Any], dict[str, Any]], None]


def sums(labels: str = "aabbaabbabab", seed: int = 3) -> Sums:
    features = np.random.default_rng(seed).integers(-9, 9, (len(labels), 3))
    return Sums.of(rows_of(features, list(labels)))


def with_ledger(api: Api, name: str = "digits", counts: Mapping[str, int] = {"a": 3, "b": 1}, **fields: Any) -> str:
    """A model whose live version has an exact head of three features and learned one batch. -> the batch"""
    api.ok("POST", "/v1/models", {"name": name, "input": SCALED, "classes": ["a", "b"], **fields})
    number = make_version(api.runtime, name)
    with api.runtime.database.writing() as session:
        model = models.get(session, name)
        batch, _ = batches.accept(session, model, arrival(f"{name} rows", again=True))
        batch.label_counts = dict(counts)
        own = sums("aaab")
        stored = api.runtime.store.put(model_area(model.id), entry_of(own).pack())
        ledger.add(session, batch.id, SPACE, stored, 4)
        version = versions.get(session, model, number)
        version.whole, version.feature_space, version.ledger_digest = [batch.id], SPACE, own.digest(SPACE)
        update = updates.enqueue(session, model, Order(UpdateKind.LEARN, [batch.id], {"name": "ridge"}), "x")
        update.method, version.update_id = {"name": "ridge"}, update.id
        if model.live_version_id == version.id:
            batches.move_live(session, [batch.id], ())
        return batch.id


def learned_too(session: Session, model: Model, batch_ids: list[str]) -> None:
    """Makes a version live that is as the one that is, and learned these batches, too."""
    live = session.get_one(Version, model.live_version_id)
    own = {"id", "update_id", "number", "parent_id", "whole", "more", "less"}
    columns = (column.key for column in Version.__mapper__.column_attrs)
    facts = {name: getattr(live, name) for name in columns if name not in own}
    new = Version(**facts, number=live.number + 1, parent_id=live.id, more=batch_ids, less=[])
    session.add(new)
    session.flush()
    model.live_version_id = new.id
    batches.move_live(session, batch_ids, ())


@pytest.fixture
def api(make_api: MakeApi) -> Api:
    api = make_api()
    with_ledger(api)
    return api


def body(edit: Edit = lambda tensors, meta: None, of: Sums | None = None, **changes: Any) -> bytes:
    """An exported ledger, edited, with the digest of what it holds unless that was edited, too."""
    own = of or sums()
    tensors: dict[str, Any] = {"G": own.G.copy(), "Q": own.Q.copy(), "n": own.n.copy()}
    meta: dict[str, Any] = {"format": 1, "feature_space": SPACE, "classes": list(own.classes), "entries": ELSEWHERE}
    meta |= {"digest": own.digest(meta["feature_space"]), **changes}
    edit(tensors, meta)
    return pack({k: v for k, v in tensors.items() if v is not None}, {k: v for k, v in meta.items() if v is not None})


def merge(api: Api, data: bytes, query: str = "", name: str = "digits", **headers: str) -> Any:
    headers = {"Content-Type": "application/octet-stream", **headers}
    return api("POST", f"/v1/models/{name}/merges{query}", content=data, headers=headers)


def stored(api: Api) -> set[tuple[str, str]]:
    return {(area, digest) for area, digest, _ in api.runtime.store.names()}


def test_a_ledger_becomes_a_batch_without_rows_that_an_update_learns(api: Api) -> None:
    answer = merge(api, body(), "?source=south&reason=agreed")
    assert answer.status_code == 202, answer.text
    update = answer.json()
    assert answer.headers["location"] == f"/v1/updates/{update['id']}"
    assert (update["kind"], update["state"], update["reason"]) == ("learn", "queued", "agreed")
    assert update["requested_method"]["name"] == "ridge"
    [batch_id] = update["batches"]
    batch = api.ok("GET", f"{MODEL}/batches/{batch_id}")
    assert (batch["rows"], batch["kept_rows"], batch["merged"], batch["state"]) == (12, 0, 2, "pending")
    assert (batch["label_counts"], batch["source"], batch["digest"]) == (
        {"a": 6, "b": 6},
        "south",
        sums().digest(SPACE),
    )
    assert api.ok("GET", MODEL)["pending"]["batches"] == 0, "rows alone are learned by being named"
    said = [entry["reason"] for entry in api.ok("GET", "/v1/audit?limit=5")["items"] if entry["subject"] == batch_id]
    assert said == ["a ledger; rows: 12, batches elsewhere: 2"]
    refused = api("POST", f"{MODEL}/updates", {"batches": [batch_id]})
    assert (refused.status_code, "POST the ledger" in refused.json()["detail"]) == (409, True)
    assert api("POST", f"{MODEL}/batches/{batch_id}/corrections", {"rows": {"0": "a"}}).status_code == 409


def test_the_same_ledger_is_the_same_batch_and_none_counts_twice(api: Api) -> None:
    first = merge(api, body(), **{"Idempotency-Key": "k1"}).json()
    again = merge(api, body(), **{"Idempotency-Key": "k1"})
    assert (again.json()["id"], again.headers["idempotency-replayed"]) == (first["id"], "true")
    assert merge(api, body(), "?reason=other", **{"Idempotency-Key": "k1"}).status_code == 409, "another order"
    other = body(of=Sums(("b", "a"), sums().G, sums().Q[:, ::-1].copy(), sums().n[::-1].copy()))
    assert merge(api, other).json()["batches"] == first["batches"], "its columns stand in another order"
    overlapping = body(of=sums("aabb"), entries={"bat_0000000000000b": 4})
    refused = merge(api, overlapping)
    assert (refused.status_code, refused.json()["batch"]) == (409, first["batches"][0])
    assert "would count twice" in refused.json()["detail"]
    api.ok("POST", f"{MODEL}/retractions", {"batches": first["batches"]})
    assert merge(api, overlapping).status_code == 202, "once the other is taken back"
    assert merge(api, body()).status_code == 409
    with api.runtime.database.writing() as session:
        model = models.get(session, "digits")
        learned_too(session, model, first["batches"])
        session.get_one(Batch, first["batches"][0]).retracted_at = None
    assert "was merged already" in merge(api, body()).json()["detail"]


def test_own_rows_do_not_come_back(api: Api) -> None:
    [own] = [batch["id"] for batch in api.ok("GET", f"{MODEL}/batches")["items"]]
    refused = merge(api, body(entries={own: 8, "bat_0000000000000c": 4}))
    assert (refused.status_code, refused.json()["batch"]) == (409, own)
    exported = api("GET", f"{MODEL}/versions/live/ledger")
    assert merge(api, exported.content).status_code == 409


def test_an_export_names_what_it_is_of_and_merges_elsewhere(api: Api, make_api: MakeApi) -> None:
    [own] = [batch["id"] for batch in api.ok("GET", f"{MODEL}/batches")["items"]]
    exported = api("GET", f"{MODEL}/versions/live/ledger").content
    tensors, meta = unpack(exported)
    assert (meta["format"], meta["entries"], meta["classes"], meta["feature_space"]) == (1, {own: 4}, ["a", "b"], SPACE)
    assert Sums(("a", "b"), tensors["G"], tensors["Q"], tensors["n"]).digest(SPACE) == meta["digest"]
    with_ledger(api, "other")
    update = merge(api, exported, name="other").json()
    with api.runtime.database.writing() as session:
        model = models.get(session, "other")
        learned_too(session, model, update["batches"])
    tensors, meta = unpack(api("GET", "/v1/models/other/versions/live/ledger").content)
    assert (own in meta["entries"], sum(meta["entries"].values()), tensors["n"].sum()) == (True, 8, 8)


def test_an_export_of_few_rows_is_refused_where_the_owner_says_so(make_api: MakeApi) -> None:
    api = make_api(ledger_min_rows=3)
    few, enough = with_ledger(api), with_ledger(api, "enough", {"a": 4})
    refused = api("GET", f"{MODEL}/versions/live/ledger")
    assert (refused.status_code, refused.json()["batch"]) == (409, few)
    assert "1 row of a class" in refused.json()["detail"]
    assert unpack(api("GET", "/v1/models/enough/versions/live/ledger").content)[1]["entries"] == {enough: 4}


def test_new_classes_are_taken_where_that_is_asked(api: Api) -> None:
    more = body(of=sums("aaaabbbbzzzz"))
    refused = merge(api, more)
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (422, "unknown-labels")
    assert (pointers(refused), refused.json()["unknown"]) == (["/ledger/classes/2"], ["z"])
    assert "?new_classes=allow" in refused.json()["detail"]
    assert merge(api, more, "?new_classes=allow").status_code == 202
    assert api.ok("GET", MODEL)["classes"] == ["a", "b", "z"]


def test_another_feature_space_is_refused_with_both(api: Api) -> None:
    refused = merge(api, body(feature_space="6" * 64))
    assert refused.status_code == 409
    assert (refused.json()["feature_space"], refused.json()["of_ledger"]) == (SPACE, "6" * 64)
    assert all(text in refused.json()["detail"] for text in (SPACE, "6" * 64, "names its lift"))


@pytest.mark.parametrize(
    ("fields", "remedy"),
    [
        ({"input": {"kind": "vector", "size": 3}}, '"scale": {"range": [lo, hi]}'),
        (
            {"input": {"kind": "table", "columns": [{"name": n, "kind": "number"} for n in "xyz"]}},
            '"scale": {"range": [lo, hi]} for each column of numbers',
        ),
    ],
)
def test_what_a_first_batch_has_fitted_is_refused(api: Api, fields: dict[str, Any], remedy: str) -> None:
    with_ledger(api, "fitted", **fields)
    refused = merge(api, body(), name="fitted")
    assert (refused.status_code, remedy in refused.json()["detail"]) == (409, True), refused.json()


def test_what_has_no_exact_head_takes_none(api: Api) -> None:
    api.ok("POST", "/v1/models", {"name": "new", "input": SCALED, "classes": ["a", "b"]})
    assert "has no live version" in merge(api, body(), name="new").json()["detail"]
    make_version(api.runtime, "new")
    refused = merge(api, body(), name="new")
    assert (refused.status_code, "no exact sums decide" in refused.json()["detail"]) == (409, True)
    api.ok("POST", "/v1/models", {"name": "load", "input": SCALED, "target": {"kind": "number"}})
    assert pointers(merge(api, body(), name="load")) == ["/ledger/classes"]


def test_the_version_that_is_meant_must_be_live(api: Api) -> None:
    assert merge(api, body(), "?if_live=1").status_code == 202
    refused = merge(api, body(), "?if_live=7")
    assert (refused.status_code, refused.json()["live_version"]) == (409, 1)


def tensor(name: str, value: Any) -> Edit:
    return lambda tensors, meta: tensors.update({name: value})


def member(name: str, value: Any) -> Edit:
    return lambda tensors, meta: meta.update({name: value})


def renamed(tensors: dict[str, Any], meta: dict[str, Any]) -> None:
    tensors["H"] = tensors.pop("n")


def scaled(tensors: dict[str, Any], meta: dict[str, Any]) -> None:
    tensors["G"] = tensors["G"] + np.eye(4) * [1, 0, 0, 0]


def changed(name: str, *place: int, to: float) -> Edit:
    """One number of a tensor is another one."""

    def edit(tensors: dict[str, Any], meta: dict[str, Any]) -> None:
        tensors[name][place] = to

    return edit


def indefinite(tensors: dict[str, Any], meta: dict[str, Any]) -> None:
    """Symmetric, with right counts, and a scatter that no rows have."""
    tensors["G"][0, 1] = tensors["G"][1, 0] = 2.0 * tensors["G"].diagonal()[:2].max()


HOSTILE: list[tuple[Edit, str]] = [
    (changed("G", 0, 0, to=np.nan), "/ledger/G"),
    (changed("Q", 0, 0, to=np.inf), "/ledger/Q"),
    (changed("n", 0, to=-6.0), "/ledger/n"),
    (changed("n", 0, to=0.0), "/ledger/n"),
    (changed("n", 0, to=2.0**54), "/ledger/n"),
    (changed("n", 0, to=1e300), "/ledger/n"),
    (changed("G", 3, 3, to=2.0**53), "/ledger/G"),
    (changed("G", 0, 1, to=1e9), "/ledger/G"),
    (indefinite, "/ledger/G"),
    (tensor("G", None), "/ledger"),
    (tensor("G", np.ones((4, 4), np.float32)), "/ledger"),
    (tensor("n", np.array([6, 6])), "/ledger"),
    (tensor("extra", np.ones(1)), "/ledger"),
    (renamed, "/ledger"),
    (tensor("G", np.ones((4, 5))), "/ledger/G"),
    (tensor("G", np.ones((0, 0))), "/ledger/G"),
    (tensor("G", np.ones((2, 2))), "/ledger/Q"),
    (tensor("Q", np.ones((4, 3))), "/ledger/Q"),
    (tensor("n", np.ones((2, 1))), "/ledger/n"),
    (tensor("n", np.array([6.0, np.nan])), "/ledger/n"),
    (tensor("n", np.array([6.5, 5.5])), "/ledger/n"),
    (tensor("G", np.eye(4)), "/ledger/G"),
    (scaled, "/ledger/digest"),
    (member("format", 2), "/ledger/format"),
    (member("format", True), "/ledger"),
    (member("format", None), "/ledger"),
    (member("classes", None), "/ledger/classes"),
    (member("classes", ["a", "a"]), "/ledger/classes/1"),
    (member("classes", ["a", " b"]), "/ledger/classes/1"),
    (member("classes", ["a", "b\u202e"]), "/ledger/classes/1"),
    (member("classes", ["a", 1]), "/ledger/classes"),
    (member("classes", ["a", ""]), "/ledger/classes/1"),
    (member("classes", [""]), "/ledger/classes"),
    (member("feature_space", "5" * 63), "/ledger/feature_space"),
    (member("feature_space", "../" + "5" * 61), "/ledger/feature_space"),
    (member("digest", "7" * 64), "/ledger/digest"),
    (member("digest", 7), "/ledger/digest"),
    (member("entries", {}), "/ledger/entries"),
    (member("entries", ["bat_0a"]), "/ledger/entries"),
    (member("entries", {"bat_0a": 12, "../x": 0}), "/ledger/entries/..~1x"),
    (member("entries", {"bat_0a": -1, "bat_0b": 13}), "/ledger/entries/bat_0a"),
    (member("entries", {"bat_0a": 12.0}), "/ledger/entries/bat_0a"),
    (member("entries", {"bat_0a": 11}), "/ledger/n"),
]


def test_hostile_ledgers_are_refused_where_they_are_wrong_and_leave_nothing(api: Api) -> None:
    for edit, pointer in HOSTILE:
        refused = merge(api, body(edit))
        assert (refused.status_code, pointers(refused)) == (422, [pointer]), refused.json()
    wide = body(of=Sums.of(rows_of(np.ones((12, 4)), list("aabbaabbabab"))))
    assert pointers(merge(api, wide)) == ["/ledger/G"], "it says that its space is this one"
    for data in (b"", b"{}", b"\x00" * 64, body()[:-8], body() + b"\x00" * 8, b"\xff" * 8 + body()):
        assert merge(api, data).status_code == 422
    header = json.dumps({"G": {"dtype": "F64", "shape": [2**24, 2**24], "data_offsets": [0, 2**51]}}).encode()
    assert pointers(merge(api, len(header).to_bytes(8, "little") + header)) == ["/ledger/G"], "2 PiB that never came"
    for meta in ("[" * 5000, "null", "{", '{"format": 1, "format": 1}', '{"format": ' + "9" * 5000 + "}"):
        assert merge(api, save({"G": np.ones((2, 2))}, {ENTRY: meta})).status_code == 422
    assert len(api.ok("GET", f"{MODEL}/batches")["items"]) == 1
    assert api.ok("GET", f"{MODEL}/updates?state=queued")["items"][1:] == []


def test_the_body_is_bounded_and_of_one_type(make_api: MakeApi) -> None:
    api = make_api(max_body_bytes=1024)
    with_ledger(api)
    refused = merge(api, body() + b" " * 1024)
    assert (refused.status_code, refused.json()["detail"].endswith("to raise the limit.")) == (413, True)
    for media in ("multipart/form-data; boundary=x", "application/json", "application/zip"):
        assert merge(api, b"x", **{"Content-Type": media}).status_code == 415


def test_shares_hold_for_ledgers(make_api: MakeApi) -> None:
    api = make_api(model_bytes=10, queued_updates=5)
    with_ledger(api)
    refused = merge(api, body())
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (507, "quota-full")
    assert len(api.ok("GET", f"{MODEL}/batches")["items"]) == 1


def test_a_ledger_that_is_refused_leaves_no_bytes_and_takes_away_none(api: Api) -> None:
    before = stored(api)
    assert merge(api, body(), "?if_live=7").status_code == 409
    assert stored(api) == before
    assert merge(api, body()).status_code == 202
    merged = stored(api)
    assert len(merged - before) == 1
    assert merge(api, body(), "?if_live=7").status_code == 409, "the same bytes, which a row names by now"
    assert stored(api) == merged


def test_on_a_full_disk_no_ledger_is_merged(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert merge(api, body()).status_code == 202
    monkeypatch.setattr(room, "free", lambda folder: 0)
    refused = merge(api, body())
    assert (refused.status_code, refused.json()["type"]) == (507, "/problems/disk-full"), "nor the same one again"
    assert "tsuika gc" in refused.json()["detail"]


def test_of_a_merged_ledger_no_row_is_suspect_and_no_list_says_that_they_were_looked_at(api: Api) -> None:
    [batch] = merge(api, body()).json()["batches"]
    refused = api("GET", f"{MODEL}/batches/{batch}/suspects")
    assert (refused.status_code, "rows are elsewhere" in refused.json()["detail"]) == (409, True)


def test_a_merged_ledger_is_said_to_share_no_rows_and_those_beside_it_are_compared(api: Api) -> None:
    inputs = np.random.default_rng(0).random((20, 3)).tolist()
    first = api.ok("POST", f"{MODEL}/batches", {"inputs": inputs, "labels": ["a", "b"] * 10})["id"]
    update = merge(api, body()).json()
    again = api.ok("POST", f"{MODEL}/batches", {"inputs": inputs[:19], "labels": (["a", "b"] * 10)[:19]})
    assert [note.startswith(f"All 19 rows are in batch {first}") for note in again["notes"]] == [True]
    [merged] = update["batches"]
    assert api.ok("GET", f"{MODEL}/batches/{merged}")["notes"] == []
    with api.runtime.database.reading() as session:
        assert session.get_one(Batch, merged).sketch is None
        assert set(session.scalars(select(RowMark.batch_id))) == {first, again["id"]}


def test_who_sends_rows_merges_nothing_and_stops_no_merge(make_api: MakeApi) -> None:
    api = make_api(key="k")
    operator = {"Authorization": "Bearer k"}
    api.http.headers.update(operator)
    with_ledger(api)
    secret = api.ok("POST", "/v1/keys", {"name": "trainer", "scopes": ["learn"]})["secret"]
    update = merge(api, body()).json()["id"]
    trainer = {"Authorization": f"Bearer {secret}"}
    assert merge(api, body(), **trainer).status_code == 403
    assert api("POST", f"/v1/updates/{update}/cancel", headers=trainer).status_code == 403
    assert api("POST", f"/v1/updates/{update}/cancel").status_code == 200
    assert api("POST", f"/v1/updates/{update}/retry", headers=trainer).status_code == 403
