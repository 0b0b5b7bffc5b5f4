"""CSV files as bodies: the same batches and predictions as of JSON, refused with line and column."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest
import torch

from service.api.bodies.csv_bodies import takes_rows
from service.contract.inputs import Architecture
from service.contract.requests import CreateBatch, CreateUpdate
from service.contract.tables import LACKED
from service.learning.data.learned_values import LearnedValues
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.network import fresh, parts_of
from service.learning.network.table_scale import TableScale
from service.registry import batches, models
from tests.alike import alike
from tests.api.conftest import Api, pointers
from tests.making import keep_version, make_model, make_version
from tests.tables import table_of

pytestmark = pytest.mark.usefixtures("lasting")

SPEC = table_of({"rooms": "number", "city": "category", "day": "date", "member": "boolean"})
TEXT = """\
city,price,rooms,member,day,house
Osaka,512.5,2,true,2026-11-29,a
"Kyoto",,3.5,,,a
,-3,,false,2026-11-30T05:30,
"""
ROWS: list[Any] = [
    {"rooms": 2, "city": "Osaka", "day": "2026-11-29", "member": True},
    {"rooms": 3.5, "city": "Kyoto"},
    {"day": "2026-11-30T05:30", "member": False},
]
GROUPS = ["a", "a", None]
LARGE = "service.api.bodies.request_body.LARGE_BYTES"


@pytest.fixture
def rents(api: Api) -> Api:
    """An application with tables: "rents" predicts numbers, "plans" classes; "digits" are vectors."""
    make_model(api.runtime, "rents", SPEC, target={"kind": "number"})
    make_model(api.runtime, "plans", SPEC, classes=["yes", "no"])
    rows = np.zeros((2, 4))
    network = fresh(
        SPEC, Architecture(), TableScale.fitted(SPEC, rows), ["yes", "no"], torch.Generator().manual_seed(0)
    )
    made = Checkpoint(network.layout, parts_of(network))
    keep_version(api.runtime, "plans", made.with_values(LearnedValues.of(SPEC, [{"city": {"Osaka": 2}}]), []))
    return api


def send(api: Api, path: str, text: str | bytes, **headers: str) -> httpx.Response:
    body = text.encode() if isinstance(text, str) else text
    return api("POST", f"/v1/models/{path}", content=body, headers={"Content-Type": "text/csv", **headers})


def test_a_file_is_the_batch_that_the_same_json_is(rents: Api) -> None:
    made = send(rents, "rents/batches?target=price&group=house&source=north", TEXT)
    assert made.status_code == 201, made.text
    body = {"inputs": ROWS, "targets": [512.5, None, -3], "groups": GROUPS, "source": "north"}
    same = rents("POST", "/v1/models/rents/batches", body)
    assert (same.status_code, same.json()) == (200, made.json())
    assert (made.json()["rows"], made.json()["unlabelled"], made.json()["source"]) == (3, 1, "north")
    with rents.runtime.database.reading() as session:
        batch = batches.get(session, models.get(session, "rents"), made.json()["id"])
        assert batch.values == {"city": {"Osaka": 1}, LACKED: {"city": 1, "rooms": 1, LACKED: 0}}


def test_labels_come_in_a_column_of_their_name(rents: Api) -> None:
    text = "label,rooms,city,day,member\nyes,1,Osaka,,\n,2,,,\nno,3,,,\n"
    made = send(rents, "plans/batches", text)
    assert made.status_code == 201, made.text
    assert made.json()["label_counts"] == {"yes": 1, "no": 1}
    typo = send(rents, "plans/batches", text.replace("no,3", "nno,3"))
    assert (typo.status_code, typo.json()["type"]) == (422, "/problems/unknown-labels")
    assert pointers(typo) == ["/labels/2"]
    assert typo.json()["detail"].startswith('Line 4, column "label": "nno" is not a class of plans. Near: "no".')
    assert typo.json()["unknown"] == ["nno"]
    value = send(rents, "plans/batches?new_values=refuse", text.replace("Osaka", "Osako"))
    assert value.json()["detail"].startswith('Line 2, column "city": "Osako" is a new value of city')
    assert value.json()["detail"].endswith("To take new values, add ?new_values=take to the address.")
    assert typo.json()["detail"].endswith(
        "To add new classes, send new_classes=allow, in the address: ?new_classes=allow."
    )
    new = send(rents, "plans/batches?new_classes=allow", text.replace("no,3", "perhaps,3"))
    assert new.status_code == 201, new.text


def test_values_that_the_live_version_knows_are_not_new_though_no_batch_brought_them(rents: Api) -> None:
    """As of an imported version."""
    text = "label,rooms,city,day,member\nyes,1,Osaka,,\n"
    path = "plans/batches?new_values=refuse"
    refused = send(rents, path, text.replace("Osaka", "Kyoto"))
    assert (refused.status_code, refused.json()["unknown"]) == (422, {"city": ["Kyoto"]})
    taken = send(rents, path, text)
    assert taken.status_code == 201, taken.text


def test_labels_that_are_numbers_are_asked_about_before_anything_is_stored(rents: Api) -> None:
    make_model(rents.runtime, "prices", SPEC)
    make_model(rents.runtime, "grades", SPEC, classes=[f"{k}.5" for k in range(20)])
    labels = [f"{k}.5" for k in range(20)]
    asked = 'All 20 labels differ and are numbers. Is a number predicted? Then make the model with "target"'
    text = "label,rooms,city,day,member\n" + "".join(f"{label},1,,,\n" for label in labels)
    body = {"inputs": [{"rooms": 1}] * 20, "labels": labels}
    for refused in (
        send(rents, "prices/batches", text),
        rents("POST", "/v1/models/prices/batches", body),
        rents("POST", "/v1/models/plans/updates", {**body, "new_classes": "allow"}),
    ):
        assert (refused.status_code, pointers(refused)) == (422, ["/labels"]), refused.text
        assert refused.json()["detail"].startswith(asked)
    known = rents("POST", "/v1/models/plans/batches", body)
    assert (known.status_code, known.json()["type"]) == (422, "/problems/unknown-labels")
    assert asked in known.json()["detail"]
    assert rents.ok("GET", "/v1/models/prices/batches")["items"] == []
    assert send(rents, "grades/batches", text).status_code == 201


@pytest.mark.parametrize("limit", [256 * 1024, 0], ids=["here", "aside"])
def test_columns_that_are_named_are_left_out(rents: Api, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LARGE, limit)
    extra = "\n".join(f"{line},note {k}" if k else f"{line},note" for k, line in enumerate(TEXT.splitlines())) + "\n"
    refused = send(rents, "rents/batches?target=price&group=house", extra)
    assert (refused.status_code, "leave it out" in refused.text) == (422, True)
    left = send(rents, "rents/batches?target=price&group=house&leave_out=note", extra)
    same = send(rents, "rents/batches?target=price&group=house", TEXT)
    assert (left.status_code, same.status_code, same.json()["id"]) == (201, 200, left.json()["id"])


@pytest.mark.parametrize("limit", [256 * 1024, 0], ids=["here", "aside"])
def test_words_for_nothing_are_gaps(rents: Api, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LARGE, limit)
    written = TEXT.replace('"Kyoto",,', '"Kyoto",NA,').replace(",-3,,", "?,-3,NA,")
    wrong = send(rents, "rents/batches?target=price&group=house", written)
    assert (wrong.status_code, 'say gaps="NA"' in wrong.json()["detail"]) == (422, True)
    left = send(rents, "rents/batches?target=price&group=house&gaps=NA&gaps=%3F", written)
    same = send(rents, "rents/batches?target=price&group=house", TEXT)
    assert (left.status_code, same.status_code, same.json()["id"]) == (201, 200, left.json()["id"])


def test_an_update_takes_what_json_says_from_the_query(rents: Api) -> None:
    method = '{"name": "ridge", "lift": "none"}'
    query = f"target=price&group=house&wait=0&method={method}&seed=7&source=south&again=true"
    ordered = send(rents, f"rents/updates?{query}", TEXT)
    assert ordered.status_code == 202, ordered.text
    assert ordered.json()["requested_method"] == {"name": "ridge", "lift": "none"}
    (batch,) = ordered.json()["batches"]
    assert rents.ok("GET", f"/v1/models/rents/batches/{batch}")["source"] == "south"
    named = send(rents, "rents/updates?target=price&group=house&method=ridge", TEXT)
    assert named.json()["requested_method"] == {"name": "ridge"}


REFUSED = [
    ("rents/updates?target=price&colour=red", "/colour", "colour is not known"),
    ("rents/updates?label=price", "/label", "Did you mean target?"),
    ("rents/updates?target=price&seed=-1", "/seed", "seed should"),
    ("rents/updates?target=price&again=perhaps", "/again", "again should"),
    ("rents/updates?target=price&method={", "/method", "method is not JSON"),
    ("rents/updates?target=price&group=house&method=magic", "/method/name", "magic"),
    ("rents/updates?target=price&source=a&source=b", "/source", "The query says source twice."),
    ("rents/updates?target=price&batches=pending", "/batches", "not known"),
    ("rents/batches?target=price", "/inputs", '"house"'),
    ("rents/batches?target=prise&group=house", "/target", '"price"'),
    ("rents/batches?group=house", "/target", 'target="NAME"'),
    ("plans/predictions?target=prise", "/target", 'no column "prise". Near: "price"'),
    ("plans/predictions?source=a&source=b", "/source", "twice"),
]


def test_what_a_query_or_header_says_wrong_is_refused(rents: Api) -> None:
    for path, pointer, words in REFUSED:
        refused = send(rents, path, TEXT)
        assert refused.status_code == 422, refused.text
        assert words in refused.json()["detail"], path
        assert pointers(refused)[0] == pointer, path


FAULTS = [
    (TEXT.replace("3.5", '"3,5"'), "/inputs/1/rooms", 'Line 3, column "rooms": "3,5" is not a number here: write 3.5'),
    (TEXT.replace(",-3", ",n/a"), "/targets/2", 'Line 4, column "price": n/a is no number. Leave the cell empty'),
    (TEXT.replace(",-3", ",1e200"), "/targets/2", 'Line 4, column "price": Beyond 1e+150'),
    (TEXT.replace(",a\n", ",a\u0007\n", 1), "/groups/0", 'Line 2, column "house": The name of a group has no control'),
    (TEXT.replace(",-3,,", ",-3,"), "/inputs/2", "Line 4 has 5 cells, and the header 6."),
    (TEXT.replace("Osaka", "Ōsaka").encode() + b"\xff", "/encoding", "not UTF-8: a byte of line 5 begins no"),
    (TEXT.splitlines()[0], "/inputs", "There is a header and no row."),
    ("", "", "The body is empty."),
    (TEXT.replace("512.5", "").replace(",-3", ","), "/targets", "target"),
]


def test_a_fault_is_told_with_line_and_column_and_nothing_is_stored(rents: Api) -> None:
    for text, pointer, words in FAULTS:
        refused = send(rents, "rents/updates?target=price&group=house", text)
        assert refused.status_code == 422, refused.text
        assert words in refused.json()["detail"], text
        assert pointers(refused) == [pointer], text
        assert rents.ok("GET", "/v1/models/rents/batches")["items"] == [], text


def test_rows_of_a_file_are_predicted_as_those_of_json(rents: Api) -> None:
    text = "city,rooms,member,day\nOsaka,2,true,2026-11-29\nKyoto,3.5,,\n,,false,2026-11-30T05:30\n"
    answer = send(rents, "plans/predictions?top=2", text)
    assert answer.status_code == 200, answer.text
    assert alike(answer.json(), rents.ok("POST", "/v1/models/plans/predictions", {"inputs": ROWS, "top": 2}))
    note = '"price", "house" are no columns of plans, and left out.'
    more = send(rents, "plans/predictions?top=2", TEXT).json()
    assert alike(more, {**answer.json(), "notes": [note, *answer.json()["notes"]]})
    lacking = send(rents, "plans/predictions", TEXT.replace("rooms", "room"))
    assert (lacking.status_code, pointers(lacking)) == (422, ["/inputs"])
    wrong = send(rents, "plans/predictions", text.replace("3.5", "-"))
    assert (wrong.status_code, pointers(wrong)) == (422, ["/inputs/1/rooms"])
    assert 'Line 3, column "rooms": - is no number. Leave the cell empty' in wrong.json()["detail"]


@pytest.mark.parametrize("limit", [256 * 1024, 0], ids=["here", "aside"])
def test_columns_that_a_model_leaves_out_are_left_out_of_questions(
    api: Api, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LARGE, limit)
    make_version(api.runtime)
    bare, asked = "x0,x1,x2\n1,2,3\n", "digits/predictions"
    answer = send(api, asked, bare).json()["predictions"]
    numbered = "id," + bare.replace("\n1", "\n7,1")
    refused = send(api, asked, numbered)
    assert (refused.status_code, "there are 4 columns" in refused.text) == (422, True)
    assert 'Leave out what is no input: leave_out="id".' in refused.json()["detail"]
    assert send(api, f"{asked}?leave_out=id", numbered).json()["predictions"] == answer
    unknown = send(api, f"{asked}?leave_out=nr", numbered)
    assert (unknown.status_code, pointers(unknown)) == (422, ["/leave_out"])
    lacking = send(api, asked, "id,x0,x2\n7,1,3\n").json()["detail"]
    assert '"x1" is missing in their numbering, and "id" is no part of it: add it' in lacking, "an id is no x1"
    in_its_place = send(api, asked, "x0,x2,label\n1,3,2\n")
    assert (in_its_place.status_code, '"x1" is missing' in in_its_place.text.replace("\\", "")) == (422, True)
    at_the_end = send(api, asked, "x1,x2,label\n2,3,2\n").json()["detail"]
    assert 'missing, and "label" is no part of it' in at_the_end
    api.ok("PATCH", "/v1/models/digits", {"leave_out": ["id"]})
    labelled = numbered.replace("x2", "x2,label").replace(",3", ",3,a")
    for text in (bare, numbered, labelled):
        assert send(api, asked, text).json()["predictions"] == answer
    api.ok("PATCH", "/v1/models/digits", {"leave_out": []})
    assert send(api, asked, numbered).status_code == 422


def test_an_encoding_is_said_in_the_query_or_as_charset_and_others_are_refused(rents: Api) -> None:
    strange = send(rents, "rents/batches?target=price", TEXT, **{"Content-Type": "text/csv; charset=utf-7"})
    assert (strange.status_code, "UTF-8" in strange.json()["detail"]) == (415, True)
    polish = TEXT.replace("Osaka", "Łódź")
    due = send(rents, "rents/batches?target=price&group=house", polish).json()
    for query, letters in (
        ("", "; charset=Windows-1250"),
        ("&encoding=windows-1250", ""),
        ("&encoding=Windows-1250", ""),
    ):
        content = {"Content-Type": f"text/csv{letters}"}
        answer = send(rents, f"rents/batches?target=price&group=house{query}", polish.encode("cp1250"), **content)
        assert (answer.status_code, answer.json()["id"]) == (200, due["id"]), answer.text
    both = {"Content-Type": "text/csv; charset=shift_jis"}
    answer = send(rents, "plans/predictions?encoding=windows-1250", polish.encode("cp1250"), **both)
    assert answer.json()["notes"][0] == "Letters are read as Windows-1250."
    for encoding in ("utf-16", "utf-16-le"):  # the second has no mark
        content = {"Content-Type": "text/csv;charset=utf-16"}
        assert send(rents, "plans/invocations", TEXT.encode(encoding), **content).is_success
    refused = send(rents, "rents/batches?target=price&encoding=utf-7", TEXT)
    assert (refused.status_code, pointers(refused)) == (422, ["/encoding"])
    utf8 = send(rents, "rents/batches?target=price&group=house", TEXT, **{"Content-Type": "Text/CSV;charset=UTF-8"})
    assert utf8.status_code == 201, utf8.text
    assert send(rents, "rents/rollback", TEXT).status_code == 415


def test_a_body_of_json_has_no_query(rents: Api) -> None:
    refused = rents("POST", "/v1/models/rents/updates?target=price", {"inputs": ROWS, "targets": [1, 2, 3]})
    assert (refused.status_code, pointers(refused)) == (422, ["/target"])
    assert "a JSON body says it itself. Is this a CSV file? Send Content-Type: text/csv." in refused.json()["detail"]


def test_a_file_that_comes_as_json_is_asked_whether_it_is_one(rents: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = " Is this a CSV file? Send Content-Type: text/csv."
    for limit in (256 * 1024, 0):
        monkeypatch.setattr(LARGE, limit)
        for path in ("rents/updates", "rents/batches", "plans/predictions", "digits/batches"):
            broken = send(rents, path, TEXT, **{"Content-Type": "application/json"})
            assert (broken.status_code, broken.json()["detail"].endswith(asked)) == (400, True), path
            assert asked not in send(rents, path, '{"inputs": [', **{"Content-Type": "application/json"}).text
    form = send(rents, "rents/updates", TEXT, **{"Content-Type": "application/x-www-form-urlencoded"})
    assert form.status_code == 415
    assert "The body came as application/x-www-form-urlencoded." in form.json()["detail"]
    assert "application/json. Taken here, too: text/csv; application/x-safetensors of arrays." in form.json()["detail"]


def test_the_description_of_the_interface_has_files() -> None:
    for kind, more in ((CreateBatch, {"again"}), (CreateUpdate, {"method", "seed"})):
        described = takes_rows(kind)
        content = described["requestBody"]["content"]
        assert content.keys() == {"application/json", "text/csv", "application/x-safetensors"}
        named = {parameter["name"] for parameter in described["parameters"]}
        assert named >= {"target", "group", "source", "new_classes", "new_values", *more}
        assert not named & {"inputs", "labels", "targets", "groups", "batches"}


def comparable(response: httpx.Response) -> Any:
    """A response without what differs each time."""
    body = response.json()
    return response.status_code, {k: v for k, v in body.items() if k not in ("request_id", "received_at")}


def test_the_reading_process_says_what_a_handler_says(rents: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = "city,rooms,member,day\nOsaka,2,true,2026-11-29\nKyoto,3.5,,\n"
    cases = [(path, TEXT) for path, _, _ in REFUSED]
    cases += [("rents/updates?target=price&group=house", text) for text, _, _ in FAULTS]
    cases += [
        ("plans/predictions?top=2", asked),
        ("plans/predictions", TEXT),
        ("plans/predictions", asked.replace("3.5", "-")),
        ("digits/batches", "a"),
    ]
    cases += [("plans/batches?target=label", f"label,{asked}".replace("\n", "\nyes,").removesuffix("yes,"))]
    cases += [("plans/batches", f"label,{asked}".replace("\n", "\nyess,").removesuffix("yess,"))]
    cases += [("rents/batches?target=price&group=house&source=north", TEXT)]
    for path, text in cases:
        monkeypatch.setattr(LARGE, 256 * 1024)
        here = send(rents, path, text)
        monkeypatch.setattr(LARGE, 0)
        aside = send(rents, path, text)
        if here.status_code == 201:
            assert (aside.status_code, aside.json()) == (200, here.json()), path
        else:
            assert comparable(aside) == comparable(here), (path, text)
    again = send(rents, "rents/batches?target=price&group=house&source=north&again=true", TEXT).json()
    with rents.runtime.database.reading() as session:
        stored = batches.get(session, models.get(session, "rents"), again["id"])
        assert (stored.values, stored.rows, stored.unlabelled) == (
            {"city": {"Osaka": 1}, LACKED: {"rooms": 1, "city": 1, LACKED: 0}},
            2,
            1,
        )


def test_a_key_knows_a_file_however_it_was_read(rents: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    path, key = "rents/batches?target=price&group=house", {"Idempotency-Key": "k"}
    made = send(rents, path, TEXT, **key)
    assert send(rents, path, TEXT.replace("512.5", "512.6"), **key).status_code == 409
    assert send(rents, f"{path}&source=x", TEXT, **key).status_code == 409
    monkeypatch.setattr(LARGE, 0)
    again = send(rents, path, TEXT, **key)
    assert (again.status_code, again.json()) == (201, made.json())


def test_a_file_of_more_than_a_small_body_has(rents: Api) -> None:
    lines = "".join(f"c{k % 7},{k}.5,{k % 50},,,\n" for k in range(20_000))
    made = send(rents, "rents/batches?target=price&group=house", f"{TEXT.splitlines()[0]}\n{lines}")
    assert made.status_code == 201, made.text
    assert made.json()["target_summary"]["mean"] == 10_000
    broken = send(rents, "rents/updates?target=price&group=house", f"{TEXT.splitlines()[0]}\n{lines},x,,,,\n")
    assert broken.json()["detail"].startswith('Line 20,002, column "price": "x" is not a number: write one')
