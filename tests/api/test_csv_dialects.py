"""Files of spreadsheets where a comma is the decimal sign, as bodies: the same batches and predictions as of others."""

from __future__ import annotations

import gzip

import pytest

from tests.api.conftest import Api, pointers
from tests.api.test_csv import LARGE, TEXT, rents, send

pytestmark = pytest.mark.usefixtures("lasting")
__all__ = ["rents"]

GERMAN = """\
city;price;rooms;member;day;house
Osaka;512,5;2;true;29.11.2026;a
"Kyoto";;3,5;;;a
;-3;;false;30.11.2026 5:30;
"""
SIDES = pytest.mark.parametrize("limit", [256 * 1024, 0], ids=["here", "aside"])
PATH = "rents/batches?target=price&group=house"


@SIDES
@pytest.mark.parametrize(
    "body",
    [
        GERMAN.encode("utf-8-sig"),
        GERMAN.replace("Kyoto", "Orléans").encode("cp1252"),
        GERMAN.replace(";", "\t").encode(),
    ],
    ids=["byte order mark", "Windows-1252", "tabs"],
)
def test_a_file_of_semicolons_is_the_batch_that_one_of_commas_is(
    rents: Api, body: bytes, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LARGE, limit)
    usual = TEXT.replace("Kyoto", "Orléans") if b"Kyoto" not in body else TEXT
    made, same = send(rents, PATH, usual), send(rents, PATH, body)
    assert (made.status_code, same.status_code) == (201, 200)
    assert {**same.json(), "notes": []} == made.json()
    mark = "tab" if b"\t" in body else "%3B"
    said = send(rents, f"{PATH}&delimiter={mark}&decimal=,", body)
    assert (said.status_code, said.json()["id"]) == (200, made.json()["id"])


@SIDES
@pytest.mark.parametrize("said", ["", "&decimal=,", "&delimiter=,&decimal=,"])
def test_numbers_in_quotes_have_a_decimal_comma_where_commas_part_cells(
    rents: Api, limit: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a sheet is saved that has the language of Germany, by what writes commas between cells."""
    monkeypatch.setattr(LARGE, limit)
    german = TEXT.replace("512.5", '"512,5"').replace("3.5", '"3,5"')
    made = send(rents, PATH + said, german).json()
    assert made["notes"] == ["Cells are parted by commas; numbers have a decimal comma."]
    same = send(rents, PATH, TEXT)
    assert (same.status_code, same.json()["id"]) == (200, made["id"])
    slip = TEXT.replace("3.5", '"3,5"')  # beside a decimal point
    assert '"3,5" is not a number here: write 3.5, a point' in send(rents, PATH, slip).json()["detail"]
    assert send(rents, PATH + "&decimal=.", german).status_code == 422


@SIDES
def test_full_width_digits_of_files_are_read_as_numbers(
    rents: Api, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LARGE, limit)
    made = send(rents, PATH, TEXT.replace("512.5", "５１２．５").replace("-3,", "－３,")).json()
    same = send(rents, PATH, TEXT)
    assert (same.status_code, same.json()["id"]) == (200, made["id"])
    assert made["notes"] == []
    row = {"city": "Osaka", "rooms": "１２", "member": None, "day": None}
    refused = rents("POST", "/v1/models/rents/batches", {"inputs": [row], "targets": [1]})
    assert "is text: the number 12 is due, without quotes" in refused.json()["detail"]


@SIDES
def test_how_a_file_was_read_is_kept_with_its_batch(rents: Api, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LARGE, limit)
    content = GERMAN.replace("Kyoto", "Orléans").encode("cp1252")
    guess = 'Letters are read as Windows-1252, as in "Orléans"; if that is wrong, say another encoding.'
    read = "Cells are parted by semicolons; numbers have a decimal comma."
    due = [f"{read} {guess}"]
    update = send(rents, "rents/updates?target=price&group=house", content).json()
    assert send(rents, PATH, content).json()["notes"] == due
    path = f"/v1/models/rents/batches/{update['batches'][0]}"
    assert rents.ok("GET", path)["notes"] == due
    said = send(rents, f"{PATH}&encoding=windows-1252&again=true", content).json()
    assert said["notes"] == [f"{read} Letters are read as Windows-1252."]
    allowed = send(rents, f"{PATH}&new_classes=allow&again=true", TEXT).json()
    assert allowed["notes"] == ["new_classes says nothing here: rents predicts numbers."]


@SIDES
def test_columns_that_a_model_leaves_out_need_no_word_of_a_file(
    rents: Api, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LARGE, limit)
    file = "\n".join(f"{'nr' if k == 0 else k},{line}" for k, line in enumerate(TEXT.splitlines()))
    assert send(rents, PATH, file).status_code == 422
    model = rents.ok("PATCH", "/v1/models/rents", {"leave_out": ["nr", "remark"]})
    assert model["leave_out"] == ["nr", "remark"]
    batch = send(rents, PATH, file).json()
    assert batch["notes"] == [], "nobody need be told again what the model was told"
    assert send(rents, PATH, TEXT).json()["id"] == batch["id"]
    assert send(rents, f"{PATH}&leave_out=nr&again=true", file).status_code == 201
    refused = rents("PATCH", "/v1/models/rents", {"leave_out": ["city"]})
    assert pointers(refused) == ["/leave_out"]
    assert rents.ok("PATCH", "/v1/models/rents", {"leave_out": []})["leave_out"] == []


@SIDES
def test_predictions_say_how_a_file_was_read(rents: Api, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LARGE, limit)
    answer, usual = (send(rents, "plans/predictions?top=2", text).json() for text in (GERMAN, TEXT))
    note = "Cells are parted by semicolons; numbers have a decimal comma."
    assert answer["notes"] == [note, *usual["notes"]]
    for row, same in zip(answer["predictions"], usual["predictions"], strict=True):
        assert (row["class"], row["score"]) == (same["class"], pytest.approx(same["score"], abs=1e-6))


@SIDES
def test_what_can_be_read_in_two_ways_and_what_is_no_csv_file_is_refused(
    rents: Api, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LARGE, limit)
    for text, query, pointer, words in [
        (GERMAN.replace("price", "price, net"), "", "/delimiter", 'Say which: delimiter="," or delimiter=";".'),
        (GERMAN.replace("512,5", "1.512").replace("3,5", "3"), "", "/decimal", '1.512 in "price" is 1512 if a point'),
        (GERMAN, "&decimal=.", "/targets/0", '"512,5" is not a number here: write 512.5, a point for decimals'),
        (GERMAN, "&delimiter=|", "/delimiter", 'delimiter is what parts cells: ",", ";" (%3B) or "tab".'),
        (GERMAN, "&decimal=;", "/decimal", 'decimal is what decimals begin with: "," or ".".'),
        (GERMAN, "&delimiter=,&decimal=,", "/delimiter", 'and semicolons do: leave out delimiter=",".'),
        (GERMAN, "&decimal=,&decimal=,", "/decimal", "The query says decimal twice."),
        (
            gzip.compress(GERMAN.encode()),
            "",
            "",
            "This file is packed by gzip, and a CSV file is due. Unpack it first.",
        ),
        (b"%PDF-1.7\n", "", "", "This file is a PDF"),
        (GERMAN.replace("Osaka", "Osa\0ka"), "", "", "NUL"),
        (GERMAN + GERMAN, "", "", f"Line {len(GERMAN.splitlines()) + 1} names the columns once more"),
    ]:
        refused = send(rents, PATH + query, text)
        assert (refused.status_code, pointers(refused)) == (422, [pointer]), refused.text
        assert words in refused.json()["detail"], text
        assert rents.ok("GET", "/v1/models/rents/batches")["items"] == [], text


def test_a_body_of_json_says_nothing_of_how_a_file_is_written(rents: Api) -> None:
    body = {"inputs": [{"rooms": 1}], "targets": [1]}
    refused = rents("POST", "/v1/models/rents/updates?decimal=,", body)
    assert (refused.status_code, pointers(refused)) == (422, ["/decimal"])


def test_mlflow_takes_such_files_too(rents: Api) -> None:
    asked = [send(rents, "plans/invocations", text).json() for text in (GERMAN, TEXT)]
    assert asked[0] == asked[1]
    assert len(asked[0]["predictions"]) == 3
