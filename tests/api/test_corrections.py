"""Rows of a batch get other labels, or are taken out: what is stored, what is ordered, what is refused."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from service.api.bodies.corrected_rows import annotations_of, corrected
from service.contract.enums import UpdateKind, UpdateState
from service.contract.inputs import VectorInput
from service.contract.tables import LACKED
from service.errors import Busy
from service.learning.data.row_hash import content_digest
from service.learning.data.rows import Known, rows_of
from service.learning.data.serialization import unpack_batch
from service.learning.data.sides import Folding, settle
from service.registry import models, updates
from service.registry.sql.tables import Batch, Deployment, Model, Update, Version
from service.storage.artifacts import model_area
from service.web.catalogue.said import said as spoken
from tests.api.conftest import Api, pointers
from tests.making import make_version

MODEL = "/v1/models/digits"
ROWS = {"inputs": [[1, 2, 3], [4, 5, 6], [7, 8, 9], [0, 1, 0]], "labels": ["a", "b", "b", None], "new_classes": "allow"}


@pytest.fixture
def batch(api: Api) -> str:
    """A stored batch of three labelled rows and one without a label."""
    batch_id: str = api.ok("POST", f"{MODEL}/batches", ROWS)["id"]
    return batch_id


def correct(api: Api, batch: str, rows: dict[str, Any]) -> Any:
    return api("POST", f"{MODEL}/batches/{batch}/corrections", {"rows": rows, "reason": "looked again"})


def test_a_correction_that_is_refused_leaves_no_bytes(api: Api, batch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise Busy("The database is held by another write; try again.")

    before = [digest for _, digest, _ in api.runtime.store.names()]
    monkeypatch.setattr(updates, "enqueue", refuse)
    assert correct(api, batch, {"0": "b"}).status_code == 503
    assert [digest for _, digest, _ in api.runtime.store.names()] == before


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_corrected_rows_are_those_that_right_labels_would_have_made(seed: int, settled: bool) -> None:
    """Whatever rows, labels and corrections: every column is that of the right labels at once."""
    random = np.random.default_rng(seed)
    inputs = random.normal(0, 1, (60, 3)).round(1).astype(np.float32)
    wrong = [str(name) for name in random.choice(list("abcde"), 60)]
    right = [str(random.choice(list("abcde"))) if random.random() < 0.3 else name for name in wrong]
    folding = Folding(input=VectorInput(kind="vector", size=3))
    folding = settle(folding, inputs, right, b"s") if settled else folding
    held = {"a": 1}
    known = Known("lab", held, None, [str(k // 4) if k < 20 else None for k in range(60)] if settled else None, folding)
    typed = rows_of("bat_1", inputs, wrong, b"s", known)
    labels = {row: (right[row], ()) for row in range(60) if right[row] != wrong[row]}
    made, expected = corrected(typed, labels, "bat_2", held), rows_of("bat_2", inputs, right, b"s", known)
    for column in fields(expected):
        assert np.array_equal(getattr(made, column.name), getattr(expected, column.name)), column.name
    if not settled:
        assert annotations_of(made).digest(inputs) == content_digest(inputs, right)
    fewer = corrected(typed, {0: None, 7: None}, "bat_2", held)
    assert [row for row in range(60) if row not in fewer.row] == [0, 7]


def test_who_takes_a_corrected_batch_back_is_told_where_its_rows_are(api: Api, batch: str) -> None:
    correct(api, batch, {"0": "b"})
    [new] = [each["id"] for each in api.ok("GET", f"{MODEL}/batches")["items"] if each["id"] != batch]
    refused = api("POST", f"{MODEL}/retractions", {"batches": [batch]})
    assert (refused.status_code, refused.json()["batch"]) == (409, new)
    assert f"was corrected: batch {new} has its rows now. Take that one back." in refused.json()["detail"]
    assert api("POST", f"{MODEL}/retractions", {"batches": [new]}).status_code == 202


def test_a_batch_that_is_live_is_subtracted_and_the_corrected_one_added_by_one_update(api: Api, batch: str) -> None:
    make_version(api.runtime, learned=[batch])
    response = correct(api, batch, {"0": "b", "1": None})
    assert response.status_code == 202, response.text
    update = response.json()
    assert (update["kind"], update["batches"], update["reason"]) == ("retract", [batch], "looked again")
    [new] = update["adds"]
    assert update["corrected"] == {"batch": batch, "by": new, "changed": 1, "taken_out": 1}
    assert api.ok("GET", f"{MODEL}/batches/{batch}")["corrected_by"] == new
    shown = api.ok("GET", f"{MODEL}/batches/{new}")
    assert (shown["corrects"], shown["label_counts"], shown["rows"]) == (batch, {"b": 2}, 3)
    assert (shown["updates"], shown["state"]) == ([update["id"]], "pending")
    assert api.ok("GET", f"{MODEL}/batches/{batch}")["state"] == "retracted"
    with api.runtime.database.reading() as session:
        area = model_area(models.get(session, "digits").id)
        data = api.runtime.store.get(area, session.get_one(Batch, new).stored_digest or "")
    rows, unlabelled = unpack_batch(data)
    assert (rows.row.tolist(), rows.label_names(), unlabelled is not None) == ([0, 2], ["b", "b"], True)
    api.ok("POST", f"/v1/updates/{update['id']}/cancel")
    states = [api.ok("GET", f"{MODEL}/batches/{each}")["state"] for each in (batch, new)]
    assert states == ["learned", "retracted"]
    assert api.ok("GET", f"{MODEL}/batches/{batch}")["corrected_by"] is None
    api.ok("POST", f"/v1/updates/{update['id']}/retry")
    states = [api.ok("GET", f"{MODEL}/batches/{each}")["state"] for each in (batch, new)]
    assert states == ["retracted", "pending"]


def test_what_is_still_to_be_learned_in_the_place_of_another_is_not_corrected_yet(api: Api, batch: str) -> None:
    """Its own correction would take it out of the update that brings it, which would then leave its rows out."""
    make_version(api.runtime, learned=[batch])
    first = correct(api, batch, {"0": "b"}).json()
    [new] = first["adds"]
    for state, remedy in (
        (UpdateState.QUEUED, f"Correct the batch once it has, or cancel that update and correct {batch}."),
        (UpdateState.RUNNING, "has not ended"),
        (UpdateState.FAILED, "Retry that update"),
    ):
        with api.runtime.database.writing() as session:
            session.get_one(Update, first["id"]).state = state
        refused = correct(api, new, {"1": "a"})
        assert (refused.status_code, refused.json()["update"]) == (409, first["id"]), refused.text
        assert remedy in refused.json()["detail"]
        assert not spoken(refused.json()["detail"], "ja").isascii()
    with api.runtime.database.writing() as session:
        session.get_one(Update, first["id"]).state = UpdateState.SUCCEEDED
        session.get_one(Batch, batch).in_live, session.get_one(Batch, new).in_live = False, True
    again = correct(api, new, {"1": "a"}).json()
    assert (again["kind"], again["batches"], len(again["adds"])) == ("retract", [new], 1)


def test_a_retried_correction_brings_nothing_that_others_took_back_or_corrected(api: Api, batch: str) -> None:
    make_version(api.runtime, learned=[batch])
    first = correct(api, batch, {"0": "b"}).json()
    [new] = first["adds"]
    taking = api.ok("POST", f"{MODEL}/retractions", {"batches": [new], "reason": "not that either"})

    def states() -> list[str]:
        return [api.ok("GET", f"{MODEL}/batches/{each}")["state"] for each in (batch, new)]

    for what, left in (("cancel", "learned"), ("retry", "retracted"), ("cancel", "learned")):
        api.ok("POST", f"/v1/updates/{first['id']}/{what}")
        assert states() == [left, "retracted"], what
    api.ok("POST", f"/v1/updates/{taking['id']}/cancel")
    assert states() == ["learned", "retracted"], "the correction that would bring it was cancelled"
    other = correct(api, batch, {"1": "a"}).json()
    refused = api("POST", f"/v1/updates/{first['id']}/retry")
    assert (refused.status_code, "was taken back since" in refused.json()["detail"]) == (409, True)
    api.ok("POST", f"/v1/updates/{other['id']}/cancel")
    api.ok("POST", f"/v1/updates/{first['id']}/retry")
    assert states() == ["retracted", "pending"]


def test_a_batch_that_waits_or_is_held_is_replaced_and_judged(api: Api, batch: str) -> None:
    update = correct(api, batch, {"0": "b"}).json()
    assert (update["kind"], update["adds"]) == ("learn", None)
    assert api.ok("GET", f"{MODEL}/batches/{update['batches'][0]}")["corrects"] == batch
    assert api.ok("GET", f"{MODEL}/batches/{batch}")["state"] == "retracted"
    [new] = update["batches"]
    assert [each["id"] for each in api.ok("GET", f"{MODEL}/updates")["items"]] == [update["id"]]
    assert update["corrected"] == {"batch": batch, "by": new, "changed": 1, "taken_out": 0}
    [again] = correct(api, new, {"0": "a"}).json()["batches"]
    assert [api.ok("GET", f"{MODEL}/batches/{old}")["corrected_by"] for old in (batch, new)] == [again, again]
    new = again
    refused = correct(api, batch, {"0": "b"})
    assert (refused.status_code, refused.json()["batch"]) == (409, new)
    assert refused.json()["detail"].endswith("Correct that one.")
    assert not spoken(refused.json()["detail"], "ja").isascii()


def states(api: Api, *ids: str) -> list[str]:
    return [api.ok("GET", f"{MODEL}/batches/{each}")["state"] for each in ids]


def test_rows_of_a_batch_that_waits_count_once_whatever_is_cancelled_or_tried_again(api: Api, batch: str) -> None:
    """Everything that a correction has queued can be cancelled, one by one: no old row comes back beside its own
    correction, not even where an earlier retraction of the batch is tried again and cancelled anew."""
    taking = api.ok("POST", f"{MODEL}/retractions", {"batches": [batch], "reason": "all wrong?"})
    api.ok("POST", f"/v1/updates/{taking['id']}/cancel")
    [new] = correct(api, batch, {"0": "b"}).json()["batches"]
    queued = [each["id"] for each in api.ok("GET", f"{MODEL}/updates?state=queued")["items"]]
    for name in queued:
        api.ok("POST", f"/v1/updates/{name}/cancel")
        assert states(api, batch, new) == ["retracted", "pending"]
    for what in ("retry", "cancel"):
        api.ok("POST", f"/v1/updates/{taking['id']}/{what}")
        assert states(api, batch, new) == ["retracted", "pending"], what
    update = api.ok("POST", f"{MODEL}/updates", {"batches": "pending"})
    assert update["batches"] == [new]


def test_a_cancelled_retraction_does_not_bring_back_rows_that_came_again(api: Api, batch: str) -> None:
    taking = api.ok("POST", f"{MODEL}/retractions", {"batches": [batch], "reason": "all wrong?"})
    again = api.ok("POST", f"{MODEL}/batches", ROWS)["id"]
    api.ok("POST", f"/v1/updates/{taking['id']}/cancel")
    assert states(api, batch, again) == ["retracted", "pending"]


def test_a_retraction_from_what_is_live_goes_on_once_its_rows_came_again(api: Api, batch: str) -> None:
    """Otherwise both would count."""
    make_version(api.runtime, learned=[batch])
    taking = api.ok("POST", f"{MODEL}/retractions", {"batches": [batch], "reason": "all wrong?"})
    again = api.ok("POST", f"{MODEL}/batches", ROWS)["id"]
    refused = api("POST", f"/v1/updates/{taking['id']}/cancel")
    assert (refused.status_code, refused.json()["batch"]) == (409, again), refused.text
    assert not spoken(refused.json()["detail"], "ja").isascii()
    back = api.ok("POST", f"{MODEL}/retractions", {"batches": [again], "reason": "twice"})
    api.ok("POST", f"/v1/updates/{taking['id']}/cancel")
    assert states(api, batch, again) == ["learned", "retracted"]
    api.ok("POST", f"/v1/updates/{back['id']}/cancel")
    assert states(api, batch, again) == ["learned", "retracted"]


def test_rows_that_were_sent_twice_on_purpose_both_come_back(api: Api, batch: str) -> None:
    twice = api.ok("POST", f"{MODEL}/batches", {**ROWS, "again": True})["id"]
    for each in (batch, twice):
        taking = api.ok("POST", f"{MODEL}/retractions", {"batches": [each], "reason": "all wrong?"})
        api.ok("POST", f"/v1/updates/{taking['id']}/cancel")
        assert states(api, batch, twice) == ["pending", "pending"]


def test_a_model_that_comes_back_from_the_archive_has_no_half_of_a_correction(api: Api, batch: str) -> None:
    """Nothing could have undone that: not the correction tried again, and no other one."""
    make_version(api.runtime, learned=[batch])
    first = correct(api, batch, {"0": "b"}).json()
    api.ok("DELETE", MODEL)
    api.ok("POST", f"{MODEL}/restore")
    assert states(api, batch, *first["adds"]) == ["learned", "retracted"]
    api.ok("POST", f"/v1/updates/{first['id']}/retry")
    assert states(api, batch, *first["adds"]) == ["retracted", "pending"]


def test_a_correction_whose_rows_are_live_by_now_is_not_cancelled(api: Api, batch: str) -> None:
    """Another update learned them while it waited to be tried again: cancelled, it would take back what is live."""
    make_version(api.runtime, learned=[batch])
    first = correct(api, batch, {"0": "b"}).json()
    [new] = first["adds"]
    with api.runtime.database.writing() as session:
        session.get_one(Batch, batch).in_live, session.get_one(Batch, new).in_live = False, True
    refused = api("POST", f"/v1/updates/{first['id']}/cancel")
    assert refused.status_code == 409, refused.text
    assert not spoken(refused.json()["detail"], "ja").isascii()
    with api.runtime.database.writing() as session:  # asked before they were live
        update = session.get_one(Update, first["id"])
        update.state, update.cancel_requested = UpdateState.RUNNING, True
        updates.cancelled(session, update)
        assert (update.state, update.cancel_requested) == (UpdateState.QUEUED, False)
    assert states(api, batch, new) == ["retracted", "learned"]


def test_a_cancelled_correction_whose_rows_were_deleted_is_not_tried_again(api: Api, batch: str) -> None:
    make_version(api.runtime, learned=[batch])
    first = correct(api, batch, {"0": "b"}).json()
    api.ok("POST", f"/v1/updates/{first['id']}/cancel")
    with api.runtime.database.writing() as session:
        session.get_one(Batch, first["adds"][0]).kept_rows = 0
    refused = api("POST", f"/v1/updates/{first['id']}/retry")
    assert (refused.status_code, refused.json()["batch"]) == (409, first["adds"][0]), refused.text
    assert states(api, batch) == ["learned"]


def test_rows_that_were_corrected_are_refused_when_they_come_again(api: Api, batch: str) -> None:
    [new] = correct(api, batch, {"0": "b"}).json()["batches"]
    before = len(list(api.runtime.store.names()))
    for path in ("batches", "updates"):
        refused = api("POST", f"{MODEL}/{path}", ROWS)
        assert (refused.status_code, refused.json()["batch"]) == (409, new), path
        assert f"came as batch {batch}, which was corrected" in refused.json()["detail"]
        assert not spoken(refused.json()["detail"], "ja").isascii()
    assert len(list(api.runtime.store.names())) == before
    assert api("POST", f"{MODEL}/batches", {**ROWS, "again": True}).status_code == 201


def test_a_row_of_a_table_of_numbers_is_taken_out_and_what_others_lack_counted_anew(api: Api) -> None:
    columns = [{"name": name, "kind": "number"} for name in "ab"]
    api.ok("POST", "/v1/models", {"name": "table", "input": {"kind": "table", "columns": columns}, "classes": ["x"]})
    sent = {"inputs": [[1, None], [2, None], [3, 4]], "labels": ["x", "x", "x"]}
    batch = api.ok("POST", "/v1/models/table/batches", sent)["id"]
    taken = api("POST", f"/v1/models/table/batches/{batch}/corrections", {"rows": {"0": None}, "reason": "twice"})
    assert taken.status_code == 202, taken.text
    with api.runtime.database.reading() as session:
        counts = [row.values for row in session.query(Batch).order_by(Batch.id)]
    assert counts == [{LACKED: {"b": 2, LACKED: 0}}, {LACKED: {"b": 1, LACKED: 0}}]


def test_a_row_of_a_table_of_categories_is_taken_out_and_what_others_have_counted_anew(api: Api) -> None:
    kinds = {"city": {}, "plan": {"values": ["a", "b"]}, "id": {"many": True}}
    columns = [{"name": "size", "kind": "number"}, *({"name": n, "kind": "category", **k} for n, k in kinds.items())]
    rows = [
        [1, "Oslo", "a", "x"],
        [2, "Kobe", "b", "y"],
        [None, "Oslo", "a", "z"],
        [4, None, "b", "y"],
        [5, "Rome", "a", "z"],
    ]
    labels = ["x", "x", "x", "x", None]
    for name, kept in (("typed", rows), ("right", rows[1:])):
        body = {"name": name, "input": {"kind": "table", "columns": columns}, "classes": ["x"]}
        api.ok("POST", "/v1/models", body)
        sent = {"inputs": kept, "labels": labels[-len(kept) :]}
        batch = api.ok("POST", f"/v1/models/{name}/batches", sent)["id"]
        if name == "typed":
            path = f"/v1/models/typed/batches/{batch}/corrections"
            assert api("POST", path, {"rows": {"0": None}, "reason": "twice"}).status_code == 202
    with api.runtime.database.reading() as session:
        first, anew, right = (row.values for row in session.query(Batch).order_by(Batch.id))
    assert first == {"city": {"Oslo": 2, "Kobe": 1}, LACKED: {"size": 1, "city": 1, LACKED: 0}}
    assert anew == right == {"city": {"Kobe": 1, "Oslo": 1}, LACKED: {"size": 1, "city": 1, LACKED: 0}}
    assert [*anew["city"]] == [*right["city"]]


def test_a_whole_number_is_a_label_as_it_is_in_a_batch(api: Api) -> None:
    batch = api.ok("POST", f"{MODEL}/batches", {**ROWS, "labels": [5, 7, True, None]})["id"]
    update = correct(api, batch, {"0": 7, "1": True}).json()
    assert api.ok("GET", f"{MODEL}/batches/{update['batches'][0]}")["label_counts"] == {"7": 1, "true": 2}


def test_what_cannot_be_corrected_is_refused_where_it_stands(api: Api, batch: str) -> None:
    before = len(list(api.runtime.store.names()))
    for rows, pointer in [
        ({}, "/rows"),
        ({"x": "a"}, "/rows/x"),
        ({"01": "a"}, "/rows/01"),
        ({"9": "a"}, "/rows/9"),
        ({"3": "a"}, "/rows/3"),
        ({"0": "a"}, "/rows/0"),
        ({"0": "c"}, "/rows/0"),
        ({"0": 1}, "/rows/0"),
        ({"0": 1.5}, "/rows/0"),
        ({"0": ["b"]}, "/rows/0"),
        ({"0": None, "1": None, "2": None}, "/rows"),
    ]:
        refused = correct(api, batch, rows)
        assert (refused.status_code, pointers(refused)) == (422, [pointer]), refused.text
        assert len(list(api.runtime.store.names())) == before, rows
        assert api.ok("GET", f"{MODEL}/batches/{batch}")["state"] == "pending", rows


def test_as_many_rows_are_corrected_at_once_as_the_description_says(api: Api) -> None:
    inputs = np.random.default_rng(0).normal(size=(10_001, 3)).round(2).tolist()
    body = {"inputs": inputs, "labels": ["b"] * 10_001, "new_classes": "allow"}
    sent = api.ok("POST", f"{MODEL}/batches", body)["id"]
    api.ok("POST", f"{MODEL}/classes", {"names": ["a"]})
    done = correct(api, sent, {str(row): "a" for row in range(10_000)})
    assert done.status_code in (200, 202), done.text
    new = api.ok("GET", f"{MODEL}/batches/{done.json()['corrected']['by']}")
    assert new["label_counts"] == {"a": 10_000, "b": 1}
    more = correct(api, sent, {str(row): "a" for row in range(10_001)})
    assert (more.status_code, pointers(more)) == (422, ["/rows"])


def test_rows_that_were_deleted_or_erased_cannot_be_corrected(api: Api, batch: str) -> None:
    with api.runtime.database.writing() as session:
        session.get_one(Batch, batch).kept_rows = 1
    assert correct(api, batch, {"0": "b"}).status_code == 409
    assert correct(api, "bat_1", {"0": "b"}).status_code == 404


SUSPECT = {"row": 0, "label": "a", "suggested": "b", "score": 0.9, "alike": 0}


def judged(api: Api, batch: str, rows: int, **facts: Any) -> None:
    """A version that learned the batch, whose report names so many of its rows, and one of another batch."""
    make_version(api.runtime, learned=[batch])
    suspects = [SUSPECT | {"batch": "bat_0"}, *(SUSPECT | {"batch": batch, "row": row} for row in range(rows))]
    reported(api, {"suspect_rows": suspects}, **facts)


def reported(api: Api, said: dict[str, Any], **facts: Any) -> None:
    """The one version has a report that says so of its batch."""
    with api.runtime.database.writing() as session:
        version = session.query(Version).one()
        version.report = {"batch": said}
        for name, value in facts.items():
            setattr(version, name, value)
        session.get_one(Update, version.update_id).method = {"name": "ridge"}


def test_rows_that_may_be_mislabelled_are_listed_with_what_they_are_taken_for(api: Api, batch: str) -> None:
    path = f"{MODEL}/batches/{batch}/suspects"
    before = api.ok("GET", path)
    assert (before["items"], before["version"], "order an update" in before["note"]) == ([], None, True)
    judged(api, batch, 3)
    page = api.ok("GET", f"{path}?limit=2")
    first = {"batch": batch, "row": 0, "label": "a", "suggested": "b", "score": 0.9, "alike": 0}
    assert (page["items"][0], page["version"]) == (first, 1)
    assert "trains on rows" in page["note"]
    rest = api.ok("GET", f"{path}?limit=2&cursor={page['next_cursor']}")
    assert [row["row"] for row in [*page["items"], *rest["items"]]] == [0, 1, 2]
    assert rest["next_cursor"] is None
    refused = api("GET", f"{path}?cursor=bat_1")
    assert (refused.status_code, pointers(refused)) == (422, ["/cursor"])
    assert api("GET", f"{MODEL}/batches/bat_1/suspects").status_code == 404


def test_rows_that_a_version_named_stay_listed_once_a_later_one_names_none(api: Api, batch: str) -> None:
    judged(api, batch, 2)
    make_version(api.runtime, learned=[batch])
    with api.runtime.database.writing() as session:
        later = session.query(Version).filter_by(number=2).one()
        later.report = {"batch": {"suspect_rows": [{"batch": "bat_0", "row": 5}]}}
        session.get_one(Update, later.update_id).method = {"name": "ridge"}
    page = api.ok("GET", f"{MODEL}/batches/{batch}/suspects")
    assert page["note"].endswith(f" {page['remedy']}")
    assert f"{MODEL}/batches/{batch}/corrections" in page["remedy"]
    assert ([row["row"] for row in page["items"]], page["version"]) == ([0, 1], 1)
    assert "Version 2 learned the batch later and names no row of it." in page["note"]


def test_a_batch_that_is_live_is_judged_by_the_version_that_went_live_and_not_by_a_held_one(
    api: Api, batch: str
) -> None:
    path = f"{MODEL}/batches/{batch}/suspects"
    for promote in (False, True, False):
        make_version(api.runtime, learned=[batch], promote=promote)
    with api.runtime.database.writing() as session:
        for version in session.query(Version):
            version.report = {"batch": {"suspect_rows": [SUSPECT | {"batch": batch, "row": version.number}]}}
            session.get_one(Update, version.update_id).method = {"name": "ridge"}
    page = api.ok("GET", path)
    assert (page["version"], [row["row"] for row in page["items"]]) == (2, [2])
    with api.runtime.database.writing() as session:
        session.query(Deployment).delete()
        session.query(Model).one().live_version_id = None
    assert api.ok("GET", path)["version"] == 3, "none went live"


def test_where_no_row_of_a_corrected_batch_was_judged_the_note_says_so(api: Api, batch: str) -> None:
    typed = api.ok("POST", f"{MODEL}/batches", {"inputs": [[1, 2, 9]], "labels": ["a"]})["id"]
    judged(api, batch, 0)
    with api.runtime.database.writing() as session:
        session.query(Update).one().kind = UpdateKind.RETRACT
        session.get_one(Batch, batch).corrects = typed
    assert f"in the place of {typed} and judged none" in api.ok("GET", f"{MODEL}/batches/{batch}/suspects")["note"]


def test_of_erased_rows_no_row_is_suspect(api: Api, batch: str) -> None:
    judged(api, batch, 1, erased_at=1.0, report=None)
    assert api.ok("GET", f"{MODEL}/batches/{batch}/suspects")["items"] == []
    with api.runtime.database.writing() as session:
        session.get_one(Batch, batch).erased_at = 1.0
    erased = api("GET", f"{MODEL}/batches/{batch}/suspects")
    assert (erased.status_code, "were erased" in erased.json()["detail"]) == (410, True)


def test_targets_are_corrected_as_labels_are(api: Api) -> None:
    target = {"kind": "number", "size": 2, "range": [0, 100]}
    body = {"name": "load", "input": {"kind": "vector", "size": 1}, "target": target}
    api.ok("POST", "/v1/models", body)
    sent = {"inputs": [[1], [2], [3], [4]], "targets": [[1, 2], [30, 4], None, [5, 6]], "source": "north"}
    batch = api.ok("POST", "/v1/models/load/batches", sent)["id"]
    path = f"/v1/models/load/batches/{batch}"
    assert "order an update" in api.ok("GET", f"{path}/suspects")["note"]
    for rows, pointer, said in [
        ({"1": [30, 4]}, "/rows/1", "Row 1 (counted from 0) is 30.0, 4.0 already"),
        ({"2": [1, 2]}, "/rows/2", "has no target"),
        ({"0": 5}, "/rows/0", "Target 0 (counted from 0) is a number; a list of 2 numbers"),
        ({"0": None, "3": [5, "12,5"]}, "/rows/3/1", "Target 3 (counted from 0): "),
        ({"3": [5, 1e9]}, "/rows/3/1", "beyond the grid"),
        ({"0": None, "1": None, "3": None}, "/rows", "No row would be left"),
    ]:
        refused = api("POST", f"{path}/corrections", {"rows": rows})
        assert (refused.status_code, pointers(refused)) == (422, [pointer]), refused.text
        assert said in refused.json()["detail"]
    update = api.ok("POST", f"{path}/corrections", {"rows": {"1": [3, -0.0], "3": None}})
    new = api.ok("GET", f"/v1/models/load/batches/{update['batches'][0]}")
    assert (new["corrects"], new["rows"], new["label_counts"], new["source"]) == (batch, 3, {}, "north")
    assert [(of["mean"], of["min"], of["max"]) for of in new["target_summary"]] == [(2, 1, 3), (1, 0, 2)]
    shown = api.ok("GET", f"/v1/models/load/batches/{new['id']}/rows")["items"]
    assert [(row["row"], row["targets"]) for row in shown][:2] == [(0, [1, 2]), (1, [3, 0])]
    right = {"inputs": [[1], [2]], "targets": [[1, 2], [3, 0]], "source": "north"}
    with api.runtime.database.reading() as session:
        digest = session.get_one(Batch, new["id"]).digest
    again = api.ok("POST", "/v1/models/load/batches", right)["id"]
    with api.runtime.database.reading() as session:
        assert session.get_one(Batch, again).digest == digest
