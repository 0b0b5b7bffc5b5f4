"""A model from a file: guessed, shown, corrected, made once the file is whole, and not made where it is refused."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import httpx
import pytest

from service.guessing.csv_files.dialect import SAID_NOTHING, SaidDialect
from service.web.upload import HEAD_BYTES, Head
from tests.api.conftest import Api, MakeApi
from tests.making import make_version
from tests.web.test_pages import HTML, KEY, Person

ROWS = b"".join(b"%d,Osaka,%d.5,2026-11-%02d,%s\n" % (k, k, k % 28 + 1, (b"yes", b"<b>no")[k % 2]) for k in range(30))
STAYS = b"nights,<i>city</i>,price,day,again\n" + ROWS


@pytest.fixture
def person(make_api: MakeApi) -> Person:
    return Person(make_api(max_body_bytes=300_000))


def look(person: Person, content: bytes, name: str = "stays", file: str = "a.csv", **fields: str) -> httpx.Response:
    return sent(person, "/new", person.looks("/new").text, content, file, name=name, **fields)


def sent(person: Person, path: str, page: str, content: bytes, file: str = "a.csv", **fields: str) -> httpx.Response:
    """Sends the form that stands on a page, with a file."""
    [form] = [form for form in re.findall(r"<form.*?</form>", page, re.S) if f'action="{path}"' in form]
    filled = dict(re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', form))
    filled |= dict(re.findall(r'name="(\w+)" type="text" value="([^"]*)"', form))
    for select, options in re.findall(r'<select id="[^"]*" name="([^"]*)".*?>(.*?)</select>', form, re.S):
        filled[select] = re.findall(r'<option value="([^"]*)" selected>', options)[0]
    filled |= dict(re.findall(r'name="(\w+)" type="radio" value="(\w+)" required checked', form))
    data = {unescape(name): unescape(value) for name, value in filled.items()} | fields
    files: Any = {"file": (file, content)}
    return person.api("POST", path, data=data, files=files, headers=HTML)


def nothing_is_there(api: Api) -> bool:
    return bool(api.ok("GET", "/v1/models")["items"] == [])


def test_a_file_says_what_it_is_for_and_becomes_a_model_that_learns_it(person: Person) -> None:
    assert 'href="/new"' in person.looks("/").text
    assert "<code>tsuika init NAME FILE</code>" in person.looks("/new").text, "the way of files that it does not take"
    shown = look(person, STAYS)
    assert shown.status_code == 200
    assert "30 rows were looked at. The classes of “again” are yes: 15, &lt;b&gt;no: 15." in shown.text
    assert '<option value="again" selected>' in shown.text
    assert "0 · 1 · 2" in shown.text
    assert "<i>" not in shown.text
    assert nothing_is_there(person.api)
    moved = sent(person, "/new/send", shown.text, STAYS)
    [update] = person.api.ok("GET", "/v1/models/stays/updates")["items"]
    assert (moved.status_code, moved.headers["location"]) == (303, f"/updates/{update['id']}")
    model = person.api.ok("GET", "/v1/models/stays")
    assert [(column["name"], column["kind"]) for column in model["input"]["columns"]] == [
        ("nights", "number"),
        ("<i>city</i>", "category"),
        ("price", "number"),
        ("day", "date"),
    ]
    assert model["input"]["columns"][3]["parts"] == ["weekday", "year"]
    assert (model["target"]["kind"], model["classes"]) == ("class", ["yes", "<b>no"])
    again = sent(person, "/new/send", shown.text, STAYS)  # a second click
    assert again.headers["location"] == moved.headers["location"]


def test_what_is_guessed_wrong_is_corrected(person: Person) -> None:
    shown = look(person, STAYS).text
    sent(person, "/new/send", shown, STAYS, target="price", predicts="number", **{"kind-1": "many"})
    model = person.api.ok("GET", "/v1/models/stays")
    assert (model["target"]["names"], len(model["input"]["columns"])) == (["price"], 4)
    assert model["input"]["columns"][1]["many"]
    [batch] = person.api.ok("GET", "/v1/models/stays/batches")["items"]
    assert (batch["rows"], batch["target_summary"]["min"]) == (30, 0.5)


def test_numbers_that_would_become_classes_are_asked_about_at_the_top_before_anything_is_made(person: Person) -> None:
    shown = look(person, STAYS).text
    asked = sent(person, "/new/send", shown, STAYS, target="price")
    assert (asked.status_code, nothing_is_there(person.api)) == (422, True)
    top = asked.text.partition('<form method="post" action="/new/send"')[0]
    assert "No model was made. Mend this, and make it again:" in top
    assert re.search(r'<a href="#number">\s*“price” holds numbers', top)
    assert '<a href="#file">Choose the file again</a>' in top
    assert "Nothing is made yet" not in asked.text
    assert 'value="number" required checked' in asked.text
    assert '<td class="text">0.5 · 1.5 · 2.5</td>' in asked.text, "it has its first rows still"
    assert sent(person, "/new/send", asked.text, STAYS, predicts="class").status_code == 422, "the API refuses it, too"
    assert sent(person, "/new/send", asked.text, STAYS).status_code == 303
    assert person.api.ok("GET", "/v1/models/stays")["target"]["names"] == ["price"]


def test_a_refusal_of_the_api_speaks_of_the_page(person: Person) -> None:
    asked = sent(person, "/new/send", look(person, STAYS).text, STAYS, target="price").text
    refused = unescape(sent(person, "/new/send", asked, STAYS, predicts="class").text)
    assert refused.count("Is a number predicted? Then choose “A number” as what is predicted.") == 2
    assert '"kind": "number"}' not in refused
    person.looks("/new?lang=ja")
    assert (
        "「数値」を予測するモデルを作ってください。" in sent(person, "/new/send", asked, STAYS, predicts="class").text
    )


def test_a_column_is_left_out_and_the_others_are_learned(person: Person) -> None:
    shown = look(person, STAYS).text
    moved = sent(person, "/new/send", shown, STAYS, **{"kind-0": "out", "kind-3": "out"})
    assert moved.status_code == 303
    model = person.api.ok("GET", "/v1/models/stays")
    assert [column["name"] for column in model["input"]["columns"]] == ["<i>city</i>", "price"]
    [batch] = person.api.ok("GET", "/v1/models/stays/batches")["items"]
    assert batch["rows"] == 30


@pytest.mark.parametrize(
    ("content", "spec"),
    [
        (b"text,kind\n" + b"a sentence with several words,a\nanother one that is long,b\n" * 9, {"kind": "text"}),
        (b"p0,p1,label\n" + b"1,2.5,a\n3,4,b\n" * 9, {"kind": "vector", "size": 2}),
    ],
)
def test_a_file_of_texts_or_of_numbers_is_no_table(person: Person, content: bytes, spec: dict[str, Any]) -> None:
    shown = look(person, content).text
    assert f'<option value="{spec["kind"]}" selected>' in shown
    assert sent(person, "/new/send", shown, content).status_code == 303
    assert spec.items() <= person.api.ok("GET", "/v1/models/stays")["input"].items()


def test_a_column_of_texts_beside_others_becomes_a_model_of_texts(person: Person) -> None:
    lines = "".join(f"T-{k},order {k} came late again,{'ab'[k % 2]}\n" for k in range(30))
    content = f"nr,words,label\n{lines}".encode()
    shown = look(person, content).text
    assert "For a model of texts of that column alone choose “A text”" in shown
    assert '<option value="text">A text' in shown
    moved = sent(person, "/new/send", shown, content, kind="text", **{"kind-0": "out"})
    assert moved.status_code == 303, moved.text
    model = person.api.ok("GET", "/v1/models/stays")
    assert (model["input"]["kind"], model["leave_out"]) == ("text", ["nr"])


def test_gaps_are_said_and_confirmed_and_an_archived_name_is_told_before_the_file_is_sent(person: Person) -> None:
    gaps = STAYS.replace(b"\n3,", b"\nNA,").replace(b",yes\n", b",NA\n", 1)
    shown = look(person, gaps).text
    assert "“NA” in nights and again is taken for a gap" in shown
    assert "no: 15, yes: 14" in shown
    assert sent(person, "/new/send", shown, gaps).status_code == 303
    person.api.ok("DELETE", "/v1/models/stays")
    refused = look(person, STAYS)
    assert (refused.status_code, "An archived model has this name." in refused.text) == (422, True)


PRICES = b"rooms,price\n" + b"".join(b"%d,%d.25\n" % (k % 5, 500 + k) for k in range(40))


def test_a_price_with_one_slip_becomes_no_classes(person: Person) -> None:
    shown = look(person, PRICES.replace(b"520.25", b"52O.25"))
    fault = re.search(r'id="predicts-fault" role="alert">(.*?)</span>', shown.text, re.S)
    assert "look like numbers, and “52O.25” is none" in fault[1]
    assert "required checked" not in shown.text
    refused = sent(person, "/new/send", shown.text, PRICES)  # nobody has said what is predicted
    assert refused.status_code == 422
    assert nothing_is_there(person.api)
    assert 'value="number" required checked' in look(person, PRICES).text


def test_a_likely_slip_is_refused_until_it_is_mended_or_meant(person: Person) -> None:
    rows = [f"{k % 7},{name}" for name in ("barbera", "barolo") for k in range(20)]
    mended = "\n".join(["acid,kind", *rows]).encode()
    slipped = mended + b"\n3,barbrea\n"
    shown = look(person, slipped).text
    assert "“barbrea”, one row: nearly “barbera”, 20 rows" in shown
    assert '<input id="class-0" name="class-0" type="checkbox">' in shown
    refused = sent(person, "/new/send", shown, slipped, predicts="class", target="kind")
    assert (refused.status_code, "One label is new to the model." in refused.text) == (422, True)
    assert 'name="class-0" type="checkbox">' in refused.text
    assert nothing_is_there(person.api)
    for name, content, ticked in (("stays", mended, {}), ("meant", slipped, {"class-0": "on"})):
        shown = look(person, slipped, name=name).text
        made = sent(person, "/new/send", shown, content, predicts="class", target="kind", **ticked)
        assert made.status_code == 303, name
        classes = person.api.ok("GET", f"/v1/models/{name}")["classes"]
        assert classes == ["barbera", "barolo", *(["barbrea"] if ticked else [])]
    shown = look(person, slipped, name="long").text
    asked = sent(person, "/new/send", shown, slipped, predicts="class", target="kind", whole="")
    assert (asked.status_code, "The file is long" in asked.text) == (422, True)


def test_a_category_before_a_last_column_of_prices_is_asked_about(person: Person) -> None:
    shown = look(person, PRICES.replace(b"rooms", b"Category")).text
    assert "or “price”, the numbers in the last column. Choose here which." in shown


def test_a_number_and_a_date_with_a_slip_are_no_categories(person: Person) -> None:
    days = b"weight,day,label\n" + b"".join(
        b"%d.5,2026-11-%d,%s\n" % (k, 10 + k, b"xy"[k % 2 :][:1]) for k in range(20)
    )
    slipped = days.replace(b"\n6.5", b"\n6,5b".replace(b",", b";")).replace(b"-11-17", b"-l1-17")
    shown = look(person, slipped).text
    assert "“6;5b” is no number, and nearly all other cells of “weight” are." in shown
    assert "“2026-l1-17” is no date" in shown
    assert re.findall(r'<option value="(\w+)" selected>', shown)[-3:] == ["number", "day", "category"]
    refused = sent(person, "/new/send", shown, slipped)
    assert (refused.status_code, "6;5b" in refused.text) == (422, True)
    assert nothing_is_there(person.api)


def test_what_is_wrong_stands_beside_its_field_and_nothing_is_made(person: Person) -> None:
    person.api.ok("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 3}})
    for content, fields, place, sentence in [
        ("ō,label\n".encode() + b"M\xfcnchen,a\n", {}, "encoding", "not UTF-8: a byte of line 2"),
        (b"a,b,label\n", {}, "file", "no row"),
        (b"", {}, "file", "no row"),
        (b"a,<b>,<b>\n1,2,3\n", {}, "file", "called “&lt;b&gt;”"),
        (b"a|b\n1|2\n", {}, "file", "Save it with commas, semicolons or tabs"),
        (b"a,,b\n1,2,3\n", {}, "file", "Column 2"),
        (b"a\n1\n", {}, "file", "one column"),
        (b"5.1,3.5,setosa\n4.9,3.0,setosa\n", {}, "file", "names no columns"),
        (b'[{"a": 1, "label": "b"}]', {}, "file", "The file is JSON"),
        (b"PK\x03\x04", {}, "file", "The file is a zip archive"),
        (b"PAR1", {}, "file", "The file is Parquet"),
        (b'a,b\n"' + b"x" * 200_000, {}, "file", "never closed"),
        (STAYS, {"size": str(2 * 1024**3)}, "file", "2,048 MB"),
        (b"", {"size": "9" * 5000}, "file", "no row"),
        (STAYS, {"name": "Stays"}, "name", "lower-case letter"),
        (STAYS, {"name": "digits"}, "name", "a model of this name"),
        (STAYS, {"file": ""}, "file", "Choose a file."),
    ]:
        refused = look(person, content, **fields)
        fault = re.search(rf'id="{place}-fault"[^>]*>(.*?)</span>', refused.text, re.S)
        assert (refused.status_code, fault is not None) == (422, True), content
        assert sentence in fault[1], content
        assert len(person.api.ok("GET", "/v1/models")["items"]) == 1, content


def test_a_long_file_is_guessed_from_its_beginning(make_api: MakeApi) -> None:
    person = Person(make_api())
    line = b'1,"two\nlines and \xe3\x81\x82",yes\n'
    long = b"n,words,label\n" + line * (HEAD_BYTES // len(line) + 500)
    shown = look(person, long).text
    rows = re.search(r"its first ([0-9,]+) rows were looked at", shown)
    assert int(rows[1].replace(",", "")) == pytest.approx(HEAD_BYTES / len(line), abs=3)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (STAYS + b"many,Kyoto,1,2026-11-30,yes\n", "Line 32"),
        (STAYS + b"1,2\n" * 100_000, "300,000 bytes"),
        (STAYS.replace(b"nights", b"night"), "night"),
    ],
)
def test_a_file_that_is_refused_leaves_no_model_and_its_name_free(
    person: Person, content: bytes, sentence: str
) -> None:
    shown = look(person, STAYS).text
    refused = sent(person, "/new/send", shown, content)
    fault = re.search(r'id="file-fault" role="alert">(.*?)</span>', refused.text, re.S)
    assert sentence in unescape(fault[1])
    assert nothing_is_there(person.api)
    moved = sent(person, "/new/send", refused.text, STAYS)
    assert moved.status_code == 303
    assert [model["name"] for model in person.api.ok("GET", "/v1/models")["items"]] == ["stays"]


def test_whoever_goes_back_after_a_refusal_sends_the_mended_file(person: Person) -> None:
    shown = look(person, STAYS).text
    assert sent(person, "/new/send", shown, STAYS + b"1,2\n").status_code == 422
    moved = sent(person, "/new/send", shown, STAYS)  # the same form, and a file of the same name
    assert (moved.status_code, person.api.ok("GET", "/v1/models/stays")["classes"]) == (303, ["yes", "<b>no"])


def test_a_name_that_is_taken_meanwhile_is_changed_where_it_is_refused(person: Person) -> None:
    shown = look(person, STAYS).text
    person.api.ok("POST", "/v1/models", {"name": "stays", "input": {"kind": "vector", "size": 3}})
    refused = sent(person, "/new/send", shown, STAYS)
    assert (refused.status_code, '<input id="name" name="name"' in refused.text) == (409, True)
    again = sent(person, "/new/send", refused.text, STAYS, name="Stays 2")
    assert (again.status_code, 'id="name-fault"' in again.text) == (422, True)
    assert sent(person, "/new/send", again.text, STAYS, name=" stays2 ").status_code == 303
    assert len(person.api.ok("GET", "/v1/models")["items"]) == 2


def test_a_model_remembers_what_it_leaves_out_however_long_the_names_are_together(person: Person) -> None:
    names = [f"とても長い名前の列{k}" for k in range(150)]
    content = ",".join([*names, "x", "label\n"]).encode() + (b"1," * 151 + b"a\n") * 2
    moved = sent(person, "/new/send", look(person, content).text, content, **{f"kind-{k}": "out" for k in range(150)})
    assert moved.status_code == 303
    [made] = person.api.ok("GET", "/v1/models")["items"]
    assert made["leave_out"] == names


@pytest.mark.parametrize("kind", ["", "image", "<b>"])
def test_a_kind_of_row_that_no_form_offers_is_refused_there(person: Person, kind: str) -> None:
    refused = sent(person, "/new/send", look(person, STAYS).text, STAYS, kind=kind)
    assert (refused.status_code, nothing_is_there(person.api)) == (422, True)


def test_a_file_that_is_cut_off_makes_nothing(person: Person) -> None:
    shown = look(person, STAYS).text
    request = person.api.http.build_request("POST", "/new/send", data=_hidden(shown), files={"file": ("a.csv", STAYS)})
    body = request.read()
    cut = {"content": body[: len(body) // 2], "headers": {**HTML, "content-type": request.headers["content-type"]}}
    assert person.api("POST", "/new/send", **cut).status_code == 422
    assert nothing_is_there(person.api)


def _hidden(page: str) -> dict[str, str]:
    pairs = re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', page)
    return {unescape(name): unescape(value) for name, value in pairs} | {"target": "again", "predicts": "class"}


def test_who_may_not_do_what_a_form_does_is_told_which_scope_it_takes_and_sees_none(make_api: MakeApi) -> None:
    api = make_api(key=KEY)
    order = {"name": "digits", "input": {"kind": "vector", "size": 3}}
    api.ok("POST", "/v1/models", order, headers={"authorization": f"Bearer {KEY}"})
    for seed in range(2):
        make_version(api.runtime, seed=seed, promote=seed == 0)

    def shown(path: str, **order: Any) -> str:
        made = api.ok("POST", "/v1/keys", {"name": "till", **order}, headers={"authorization": f"Bearer {KEY}"})
        return api("GET", path, headers={**HTML, "cookie": f"tsuika_key={made['secret']}"}).text

    for path, scopes, takes in (
        ("/new", ["learn"], "scope promote"),
        ("/new", ["predict"], "scopes promote and learn"),
        ("/models/digits/send", ["predict"], "scope learn"),
        ("/models/digits/predict", ["learn"], "scope predict"),
        ("/models/digits/versions/2/promote", ["learn"], "scope promote"),
    ):
        page = shown(path, scopes=scopes)
        assert f"may not do this. One with the {takes} may, and so may one with admin." in page, path
        assert f'action="{path}"' not in page
        assert 'type="file"' not in page
    assert "promote の権限を持つキーか、admin の権限" in shown("/new?lang=ja", scopes=["learn"])
    for scopes, leads in (["predict"], ["predict"]), (["learn"], ["send", "batches"]), (["promote"], ["batches"]):
        page = shown("/models/digits", scopes=scopes)
        assert re.findall('href="/models/digits/(send|predict|batches)"', page) == leads, scopes
    rows = {"inputs": [[1, 2, 3]], "labels": ["a"], "new_classes": "allow"}
    batch = api.ok("POST", "/v1/models/digits/batches", rows, headers={"authorization": f"Bearer {KEY}"})["id"]
    manual = {"promotion": "manual"}
    api.ok("PATCH", "/v1/models/digits", manual, headers={"authorization": f"Bearer {KEY}"})
    for scopes in (["learn"], ["promote"]):
        page = shown("/models/digits", scopes=scopes)
        assert ('action="/models/digits/auto"' in page) == (scopes == ["promote"])
        assert "may not do this" not in page
        page = shown("/models/digits/versions/2", scopes=scopes)
        assert ("versions/2/promote" in page) == (scopes == ["promote"])
        assert "/predict" not in page
        page = shown(f"/models/digits/batches/{batch}", scopes=scopes)
        assert (f"{batch}/retract" in page) == (scopes == ["promote"])
    page = shown("/new", scopes=["promote", "learn"], models=["team-a-*"])
    assert 'type="file"' in page, "it makes models of the names that it reaches"
    for scopes, leads in ((["predict"], []), (["promote", "learn"], ["new"]), (["admin"], ["new", "keys", "audit"])):
        page = shown("/", scopes=scopes)
        assert re.findall('href="/(new|keys|audit)"', page.partition("<main")[0]) == leads, scopes
        assert ('class="button primary" href="/new"' in page) == ("new" in leads)


GERMAN = "größe;tag;preis;label\n" + "".join(
    f"{k},5;{k % 28 + 1}.11.2026;1.{100 + k};{'ja' if k % 2 else 'nein'}\n" for k in range(40)
)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252"])
def test_a_file_of_semicolons_is_guessed_said_and_learned(person: Person, encoding: str) -> None:
    content = GERMAN.encode(encoding)
    shown = look(person, content).text
    assert "Cells are parted by semicolons; numbers have a decimal comma." in shown
    assert ("Letters are read as Windows-1252, as in “größe”; if that is wrong, choose" in shown) == (
        encoding == "cp1252"
    )
    assert 'type="hidden" name="delimiter" value=";"' in shown
    assert sent(person, "/new/send", shown, content).status_code == 303
    columns = person.api.ok("GET", "/v1/models/stays")["input"]["columns"]
    assert [(c["name"], c["kind"]) for c in columns] == [("größe", "number"), ("tag", "date"), ("preis", "number")]
    [batch] = person.api.ok("GET", "/v1/models/stays/batches")["items"]
    rows = [{"größe": k + 0.5, "tag": f"2026-11-{k % 28 + 1:02}", "preis": 1100 + k} for k in range(40)]
    body = {"inputs": rows, "labels": ["ja" if k % 2 else "nein" for k in range(40)]}
    assert person.api("POST", "/v1/models/stays/batches", body).json()["id"] == batch["id"]


PARTED = '"1,234",x\n"2,345",y\n960,x\n'


@pytest.mark.parametrize(
    ("content", "field", "value", "sentence"),
    [
        (
            GERMAN.replace("größe", "größe, m"),
            "delimiter",
            ";",
            "The first line can be read in two ways. Parted by commas",
        ),
        (GERMAN.replace(",5;", ";"), "decimal", ",", "1.100 in “preis” is 1100 if a point parts thousands"),
        (GERMAN.replace(";ja", "5;ja"), "decimal", ",", "Decimals have two signs"),
        (f"area,rent\n{PARTED * 9}", "decimal", ".", "1,234 in “area” is 1234 if a comma parts thousands"),
    ],
)
def test_what_can_be_read_in_two_ways_is_chosen_there(
    person: Person, content: str, field: str, value: str, sentence: str
) -> None:
    asked = look(person, content.encode())
    assert (asked.status_code, sentence in unescape(asked.text)) == (422, True)
    assert f'<select id="{field}" name="{field}"' in asked.text
    assert f'id="{field}-fault"' in asked.text
    shown = sent(person, "/new", asked.text, content.encode(), name="stays", **{field: value})
    assert shown.status_code == 200
    assert sent(person, "/new/send", shown.text, content.encode()).status_code == 303


def test_letters_and_dates_of_a_spreadsheet_are_said_and_chosen(person: Person) -> None:
    rows = "".join(f"2026/11/{k % 28 + 1},{k}.5,{('晴れ', '雨')[k % 2]}\n" for k in range(40))
    japanese = f"日付,気温,天気\n{rows}".encode("cp932")
    shown = look(person, japanese, "tenki").text
    assert "Letters are read as Shift_JIS, as in “日付”" in shown
    assert 'type="hidden" name="encoding" value="shift_jis"' in shown
    assert sent(person, "/new/send", shown, japanese).status_code == 303
    columns = person.api.ok("GET", "/v1/models/tenki")["input"]["columns"]
    assert [(column["name"], column["kind"]) for column in columns] == [("日付", "date"), ("気温", "number")]
    refused = look(person, b"day,size,label\n3/4/2026,1,a\n5/6/2026,2,b\n", "days")
    assert 'id="dates-fault"' in refused.text
    czech = "ort;preis;label\n" + "".join(f"Příbram;{k};{'ab'[k % 2]}\n" for k in range(20))
    assert "as in “Pøíbram”" in look(person, czech.encode("cp1250"), "ceny").text
    polish = "ort;preis;label\n" + "".join(f"Łódź;{k};{'ab'[k % 2]}\n" for k in range(20))
    assert 'id="encoding-fault"' in look(person, polish.encode("cp1250"), "ceny").text
    assert (
        "Letters are read as Windows-1250."
        in look(person, polish.encode("cp1250"), "ceny", encoding="windows-1250").text
    )


def test_the_beginning_of_a_file_ends_with_a_line_however_lines_end() -> None:
    for encoding, line_break in [("mac_roman", "\r"), ("utf-16", "\n"), ("utf-16-be", "\r\n"), ("utf-16-le", "\n")]:
        content = ("\ufeff" if encoding == "utf-16-be" else "") + line_break.join(["größe;label", *["12,5;größer"] * 9])
        head = Head("a.csv", content.encode(encoding)[:-4], whole=False)
        said = SaidDialect(encoding="utf-16") if encoding == "utf-16-le" else SAID_NOTHING  # it has no mark
        lines, dialect = head.lines(said)
        assert lines[0] == ["größe", "label"], encoding
        assert lines[1:] == [["12,5", "größer"]] * (len(lines) - 1), encoding
        assert (len(lines) > 6, dialect.decimal) == (True, ","), encoding


def test_words_among_numbers_are_filled_in_as_gaps_and_quotes_hold_words_together(person: Person) -> None:
    content = STAYS.replace(b"\n7,", b"\nno data,")
    shown = look(person, content).text
    assert "“no data” in nights is taken for a gap: nothing is known there." in shown
    assert 'name="gaps" type="text" value="&#34;no data&#34;"' in shown
    assert '<option value="number" selected>' in shown
    assert sent(person, "/new/send", shown, content).status_code == 303
    assert person.api.ok("GET", "/v1/models/stays")["input"]["gaps"] == ["no data"]
    later = STAYS.replace(b"\n8,", b"\nno data,").replace(b"\n9,", b"\nk.A.,")
    asked = sent(person, "/models/stays/send/look", person.looks("/models/stays/send").text, later).text
    assert 'name="gaps" type="text" value="k.A."' in asked, "what the model remembers is not asked for"
    typed = {"gaps": '“no data”, "NA"'}
    other = look(person, content.replace(b"\n9,", b"\nNA,"), "other").text
    assert sent(person, "/new/send", other, content.replace(b"\n9,", b"\nNA,"), **typed).status_code == 303


def test_full_width_digits_and_decimals_in_quotes_make_numbers_and_are_said(person: Person) -> None:
    wide = STAYS.replace(b"\n7,", "\n７,".encode())
    shown = look(person, wide).text
    assert "Full-width digits in nights are read as numbers, as in “７”." in shown
    assert sent(person, "/new/send", shown, wide).status_code == 303
    kinds = {column["name"]: column["kind"] for column in person.api.ok("GET", "/v1/models/stays")["input"]["columns"]}
    assert kinds["nights"] == "number"
    quoted = b"size,again\n" + b"".join(b'"%d,5",%s\n' % (k, (b"yes", b"no")[k % 3 % 2]) for k in range(30))
    shown = look(person, quoted, "other").text
    assert "Cells are parted by commas; numbers have a decimal comma." in shown
    assert sent(person, "/new/send", shown, quoted).status_code == 303


def test_a_file_of_another_kind_is_told_in_the_language_of_the_page(person: Person) -> None:
    page = person.looks("/new").text
    for content, english, japanese in (
        (b"\x1f\x8b\x08\x00", "The file is packed by gzip. Unpack it first.", "gzip で圧縮されています"),
        (b"a,label\n1,x\0\n", "a NUL character in line 2", "2 行目に NUL 文字"),
        (b"a,label\n1,x\n" * 2, "Line 3 names the columns once more", "3 行目に列名がもう一度"),
    ):
        assert english in look(person, content).text
        files: Any = {"file": ("a.csv", content)}
        data = dict(re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', page)) | {"name": "x"}
        shown = person.api("POST", "/new", data=data, files=files, headers={**HTML, "accept-language": "ja"})
        assert japanese in shown.text
