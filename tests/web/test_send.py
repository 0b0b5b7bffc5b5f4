"""A file that a browser sends: read as it comes, streamed to the API, refused beside its field."""

from __future__ import annotations

import asyncio
import re
from html import unescape
from typing import Any

import httpx
import pytest
from starlette.types import Message

from service.contract.resources import Problem
from service.errors import InvalidContent, TooLarge, TsuikaError
from service.web.forms import FORM_BYTES, MOST_FIELDS
from service.web.pages.data.send import beside
from service.web.upload import Upload
from service.web.words import Words
from tests.api.conftest import MakeApi
from tests.web.browser.test_japanese import Text
from tests.web.test_pages import HTML, Person

KIND = "multipart/form-data; boundary=x-y"
FIELDS = b'--x-y\r\nContent-Disposition: form-data; name="token"\r\n\r\nabc\r\n'
FILE = b'--x-y\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\nContent-Type: text/csv\r\n\r\n'
CONTENT = b"a,label\r\n1,\r\n--x-\r\n--x\r\n2,b\r\n"
LAST = b"\r\n--x-y--\r\n"


def read(sent: bytes, piece: int, whole: bool = True) -> tuple[dict[str, str], str, bytes, str]:
    """-> fields, name of the file, its bytes, type of the last message. whole: the browser does not hang up."""
    pieces = [sent[at : at + piece] for at in range(0, len(sent), piece)]

    async def receive() -> Message:
        if not pieces:
            return {"type": "http.disconnect"}
        body = pieces.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(pieces) or not whole}

    async def run() -> tuple[dict[str, str], str, bytes, str]:
        upload, content = Upload(receive, KIND), b""
        await upload.read_fields()
        while upload.name:
            message = await upload.receive()
            content += message.get("body", b"")
            if not message.get("more_body", False):
                after = await upload.receive()
                assert after["type"] == "http.disconnect"
                return upload.fields, upload.name, content, message["type"]
        return upload.fields, "", b"", ""

    return asyncio.run(run())


def test_a_file_comes_through_as_it_is_however_it_is_cut() -> None:
    for piece in [1, 2, 7, 64, 10_000]:
        assert read(FIELDS + FILE + CONTENT + LAST, piece) == ({"token": "abc"}, "a.csv", CONTENT, "http.request"), (
            piece
        )
        assert read(FIELDS + LAST[2:], piece) == ({"token": "abc"}, "", b"", ""), piece


@pytest.mark.parametrize("whole", [False, True])
def test_a_file_that_is_cut_off_ends_as_a_sender_that_hung_up(whole: bool) -> None:
    fields, _, content, last = read(FIELDS + FILE + CONTENT, 16, whole)
    assert (fields, last) == ({"token": "abc"}, "http.disconnect")
    assert CONTENT.startswith(content)
    with pytest.raises(InvalidContent, match="cut off"):
        read(FIELDS[:-10], 16, whole)


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"x" * (FORM_BYTES + 200_000), TooLarge),
        (FIELDS.replace(b"abc", b"x" * (FORM_BYTES + 200_000)), TooLarge),
        (FIELDS.replace(b"Content-Disposition", b"Disposition") + LAST, InvalidContent),
        (b"".join(FIELDS.replace(b"token", b"f%d" % k) for k in range(MOST_FIELDS + 5)) + LAST, InvalidContent),
    ],
)
def test_what_is_no_form_is_refused(sent: bytes, error: type[TsuikaError]) -> None:
    with pytest.raises(error):
        read(sent, 65536)
    with pytest.raises(InvalidContent):
        Upload(lambda: asyncio.sleep(0, {}), "multipart/form-data")


@pytest.mark.parametrize(
    ("field", "of_query", "of_page"),
    [
        ("delimiter", 'Say which: delimiter="," or delimiter=";".', "Choose here what parts cells."),
        (
            "decimal",
            'begin with a point, say decimal=".".',
            "choose . as what decimals begin with.",
        ),
        ("inputs/0/age", 'or say gaps="no data" if', 'or write "no data" into the field for words that mean'),
    ],
)
def test_a_refusal_says_what_to_do_on_the_page(field: str, of_query: str, of_page: str) -> None:
    fault = {"pointer": f"/{field}", "detail": of_query}
    problem = Problem.model_validate(
        {
            "type": "/problems/invalid-content",
            "title": "No",
            "status": 422,
            "detail": of_query,
            "request_id": "r",
            "errors": [fault],
        }
    )
    place = field if field in ("delimiter", "decimal") else "file"
    assert of_page in beside(problem, Words("en"))[place]
    assert beside(problem, Words("ja"))[place] == of_query


STAYS = {
    "name": "stays",
    "classes": ["yes", "no"],
    "input": {"kind": "table", "columns": [{"name": "nights", "kind": "number"}, {"name": "city", "kind": "category"}]},
}
GOOD = b"nights,city,label\n" + b"".join(b"%d,Osaka,%s\n" % (k, (b"yes", b"no")[k % 2]) for k in range(20))


@pytest.fixture
def person(make_api: MakeApi) -> Person:
    api = make_api(max_body_bytes=300_000)
    api.ok("POST", "/v1/models", STAYS)
    api.ok("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 3}})
    return Person(api)


def send(
    person: Person, content: bytes, name: str = "a.csv", model: str = "stays", look: str = "", **fields: str
) -> httpx.Response:
    page = f"/models/{model}/send"
    form = person.looks(page).text
    assert 'enctype="multipart/form-data"' in form
    hidden = {unescape(n): unescape(v) for n, v in re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', form)}
    files: Any = {"file": (name, content)}
    return person.api("POST", page + look, data={**hidden, **fields}, files=files, headers=HTML)


def test_a_file_is_sent_and_its_update_is_shown(person: Person) -> None:
    assert 'href="/models/stays/send"' in person.looks("/models/stays").text
    assert "Columns: nights and city;" in person.looks("/models/stays/send").text
    moved = send(person, GOOD, new_classes="on", source="<b>till</b>")
    [update] = person.api.ok("GET", "/v1/models/stays/updates")["items"]
    assert (moved.status_code, moved.headers["location"]) == (303, f"/updates/{update['id']}")
    [batch] = person.api.ok("GET", "/v1/models/stays/batches")["items"]
    assert (batch["rows"], batch["label_counts"], batch["source"]) == (20, {"yes": 10, "no": 10}, "<b>till</b>")


def test_the_column_that_the_model_does_not_know_is_filled_in(person: Person) -> None:
    assert 'data-look="/models/stays/send/look"' in person.looks("/models/stays/send").text
    named = GOOD.replace(b"label", b"<b>again")
    shown = send(person, named, look="/look", source="till").text
    assert '<option value="&lt;b&gt;again" selected>' in shown
    assert 'value="till"' in shown
    strange = named.replace(b"city", b"town").replace(b",yes", b",perhaps").replace(b",no\n", b",never\n")
    assert '<option value="" selected>choose one' in send(person, strange, look="/look").text
    assert 'id="file-fault"' in send(person, b"\x1f\x8b\x08\x00", look="/look").text
    assert send(person, named, target="<b>again", new_classes="on").status_code == 303
    more = b"id," + named.replace(b"\n", b"\n7,").removesuffix(b"7,")
    extra = re.findall(r'name="extra" value="([^"]*)"', send(person, more, look="/look").text)
    fields = {"target": "<b>again", "new_classes": "on", "extra": unescape(extra[0])}
    refused = send(person, more, **fields)
    assert (refused.status_code, '<option value="id">' in refused.text) == (422, True)
    assert send(person, more, **fields, leave_out="on").status_code == 303


def test_each_new_label_is_ticked_and_a_likely_slip_is_not(person: Person) -> None:
    person.api.ok("POST", "/v1/models/stays/classes", {"names": ["yes", "no", "perhaps"]})
    lines = [b"%d,Osaka,%s" % (k, (b"yes", b"no")[k % 2]) for k in range(40)]
    new = [*[b"1,Osaka,later"] * 3, b"2,Osaka,noo", b"3,Osaka,perhap", b"4,Osaka,yse"]
    both = b"\n".join([b"nights,city,label", *lines, *new]) + b"\n"
    shown = send(person, both, look="/look", target="label").text
    ticks = re.findall(r'name="(class-[0-9])" type="checkbox"( checked)?>\s*<label[^>]*>([^<]*)', shown)
    assert ticks == [
        ("class-0", "", "“noo”, one row: nearly “no”, 20 rows"),
        ("class-1", "", "“perhap”, one row: nearly “perhaps”, a class of the model"),
        ("class-2", " checked", "“later”, 3 rows"),
        ("class-3", "", "“yse”, one row"),
    ]
    listed = fields_of(shown)
    assert listed_in(shown) == ["noo", "perhap", "later", "yse"]
    chosen = {**listed, "target": "label", "class-2": "on"}
    refused = send(person, both, **chosen)
    assert (refused.status_code, "Tick those that are new classes" in refused.text) == (422, True)
    assert listed_in(refused.text) == [name for name in listed.values() if name != "later"]
    assert "What you ticked is a class of the model now: later. Mend the rest." in refused.text
    assert person.api.ok("GET", "/v1/models/stays")["classes"] == ["yes", "no", "perhaps", "later"]
    assert 'name="class-0" type="checkbox">' in send(person, both, target="label").text, "where nothing looked at it"
    mended = both.replace(b"noo", b"no").replace(b"perhap\n", b"perhaps\n").replace(b"yse", b"yes")
    assert send(person, mended, **chosen).status_code == 303
    assert person.api.ok("GET", "/v1/models/stays")["classes"] == ["yes", "no", "perhaps", "later"]
    meant = send(person, both, **chosen, **dict.fromkeys(("class-0", "class-1", "class-3"), "on"))
    assert meant.status_code == 303
    assert {"noo", "perhap", "yse"} < {*person.api.ok("GET", "/v1/models/stays")["classes"]}


def test_what_is_ticked_is_a_class_whatever_becomes_of_the_file_and_as_often_as_it_is_sent(person: Person) -> None:
    fields = {"new-0": "later", "class-0": "on", "target": "label", "attempt": "of-one-page"}
    good = GOOD + b"1,Osaka,later\n"
    refused = send(person, good + b"x,Osaka,yes\n", **fields)
    assert (refused.status_code, "is a class of the model now: later." in refused.text) == (422, True)
    assert person.api.ok("GET", "/v1/models/stays/classes")["classes"] == ["yes", "no", "later"]
    person.looks("/?lang=ja")
    assert "モデルのクラスになりました：later。" in send(person, b"", **fields).text, "another tab that ticked it"
    assert person.api.ok("GET", "/v1/models/stays/classes")["classes"] == ["yes", "no", "later"]
    person.api.ok("DELETE", "/v1/models/stays/classes/later")
    assert send(person, good, **fields).status_code == 303, "after the Back button it is declared anew"
    assert send(person, good, **fields).status_code == 303
    decomposed = {**fields, "new-0": "cre\u0300me", "attempt": "of-another"}
    assert send(person, good.replace(b"later", "cre\u0300me".encode()), **decomposed).status_code == 303
    assert person.api.ok("GET", "/v1/models/stays/classes")["classes"] == ["yes", "no", "later", "cr\u00e8me"]
    assert listed_in(send(person, good.replace(b"later", "cre\u0300me".encode()), look="/look").text) == []


def test_a_label_that_only_the_service_finds_has_a_box(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.web.upload.HEAD_BYTES", len(GOOD))
    monkeypatch.setattr("service.web.upload.KEPT_BYTES", 0)  # the last bytes, which may begin a boundary, come later
    long = GOOD + b"1,Osaka,late\n2,Osaka,yess\n"
    json = b'{"inputs": [[1, 2, 3]], "labels": ["late"]}'
    dot = b'{"inputs": [[[[0]]]], "labels": ["late"]}'
    spec = {"kind": "image", "channels": 1, "height": 1, "width": 1}
    for name, of in (("digits", {"kind": "vector", "size": 3}), ("dots", spec)):
        person.api("DELETE", f"/v1/models/{name}")
        person.api.ok("POST", "/v1/models", {"name": name, "input": of, "classes": ["a"]})
    for model, content, file in (("stays", long, "a.csv"), ("digits", json, "a.json"), ("dots", dot, "a.json")):
        if model == "stays":
            assert listed_in(send(person, content, file, model, look="/look").text) == []
        refused = send(person, content, file, model)
        assert (refused.status_code, listed_in(refused.text)[-1]) == (422, "late"), model
        ticks = {f"class-{k}": "on" for k in range(len(listed_in(refused.text)))}
        assert 'type="checkbox" checked' not in refused.text, "nobody has counted them"
        assert ("“yess”: nearly “yes”, " in refused.text) == (model == "stays")
        fields = {**fields_of(refused.text), **ticks}
        if model != "dots":
            again = send(person, content, file, model, look="/look", **fields).text
            assert listed_in(again) == listed_in(refused.text), "a look at the file keeps them"
            assert again.count('name="class-') == again.count('type="checkbox" checked') == len(ticks)
        assert send(person, content, file, model, **fields).status_code == 303, model


def test_a_label_that_can_be_no_class_has_no_box_and_is_seen(person: Person) -> None:
    lines = [b'%d,Osaka,"%s"\n' % (k, name) for name in ("\u202eevil".encode(), b"a\tb", b"x" * 201) for k in range(3)]
    shown = send(person, GOOD + b"".join(lines), look="/look")
    assert listed_in(shown.text) == []
    for name in ("\\u202eevil", "a\\tb", "x" * 200):
        assert f"<p>“{name}”, 3 rows: this can be no class." in shown.text


def fields_of(page: str) -> dict[str, str]:
    """The labels that a page lists, by the field of each."""
    hidden = re.findall(r'type="hidden" name="((?:new|named)-[0-9]+)" value="([^"]*)"', page)
    return {name: unescape(value) for name, value in hidden}


def listed_in(page: str) -> list[str]:
    return [*fields_of(page).values()]


def test_a_form_that_was_refused_keeps_what_was_found_and_says_what_is_wrong_once(person: Person) -> None:
    person.api.ok("POST", "/v1/models", {"name": "texts", "classes": ["yes", "no"], "input": {"kind": "text"}})
    text = b"body,answer\n" + b"".join(b"text %d,%s\n" % (k, (b"yes", b"on")[k % 2]) for k in range(20))
    for model, typo in (("stays", GOOD.replace(b"5,Osaka,no", b"5,Osaka,on")), ("texts", text)):
        looked = send(person, typo, model=model, look="/look").text
        [extra] = re.findall(r'name="extra" value="([^"]*)"', looked)
        [found] = re.findall(r'<select id="target".*?</select>', looked, re.S)
        chosen = {"target": "answer" if model == "texts" else "label", "extra": unescape(extra)}
        refused = send(person, typo, model=model, **chosen)
        assert refused.status_code == 422
        assert found.count("<option") == refused.text.count("<option") > 0
        assert 'name="gaps"' not in refused.text
        assert 'name="leave_out"' not in refused.text
        [fault] = re.findall(r'id="file-fault" role="alert">(.*?)</span></?', refused.text.replace("\n", ""))
        assert unescape(fault).count('on"') == 1
        assert "One label is new to the model." in fault


def test_words_for_gaps_are_asked_for_only_where_they_would_mend_what_is_wrong(person: Person) -> None:
    short = GOOD.replace(b"\n7,Osaka", b"\n7", 1)
    for content, asks in ((short, False), (b"", False), (GOOD.replace(b"\n7,", b"\nold,", 1), True)):
        for language in ("en", "ja"):
            person.looks(f"/models/stays/send?lang={language}")
            refused = send(person, content, new_classes="on", gaps="")
            assert (refused.status_code, 'name="gaps"' in refused.text) == (422, asks), (content, language)


def test_gaps_are_filled_in_and_a_column_is_asked_for_in_words_of_the_page(person: Person) -> None:
    gaps = GOOD.replace(b"\n7,", b"\nNA,")
    assert 'name="gaps" type="text" value="NA"' in send(person, gaps, look="/look").text
    refused = send(person, gaps, new_classes="on")
    assert (refused.status_code, 'name="gaps"' in refused.text) == (422, True)
    assert send(person, gaps, new_classes="on", gaps="NA, ?").status_code == 303
    two = b"nr," + GOOD.replace(b"label", b"again").replace(b"\n", b"\n7,").removesuffix(b"7,")
    assert '<option value="again" selected>' in send(person, two, look="/look").text, "its values are classes"
    asked = send(person, GOOD.replace(b"label", b"again")).text
    assert "Say which column is predicted" in asked
    assert '<option value="again" selected>' in asked, "filled in where nothing looked at the file before"
    assert "?target=" not in asked


def test_dates_that_can_be_read_in_two_ways_are_asked_about_at_once_and_the_label_column_is_kept(
    person: Person,
) -> None:
    columns = [{"name": "day", "kind": "date"}, {"name": "nights", "kind": "number"}]
    dated = {**STAYS, "name": "dated", "input": {"kind": "table", "columns": columns}}
    person.api.ok("POST", "/v1/models", dated)
    rows = (b"%d/%d/2026,%d,%s\n" % (k % 9 + 1, k % 7 + 1, k, (b"yes", b"no")[k % 2]) for k in range(20))
    content, chosen = b"day,nights,churned\n" + b"".join(rows), {"target": "churned", "extra": '["churned"]'}
    for fields in ({"look": "/look"}, {}, chosen, {**chosen, "look": "/look"}):
        asked = send(person, content, model="dated", **fields).text
        assert re.findall('id="([a-z]*)-fault"', asked) == ["dates"], fields
        assert '<option value="churned" selected>' in asked, fields
    assert send(person, content, model="dated", **chosen, dates="day-first").status_code == 303


def test_what_is_wrong_with_a_file_stands_beside_it_and_nothing_is_kept(person: Person) -> None:
    for content, fields, status, sentence in [
        (GOOD.replace(b"5,Osaka,no", b"5,Osaka,on"), {}, 422, "Line 7"),
        (GOOD.replace(b"\n7,", b"\nmany,"), {"new_classes": "on"}, 422, 'Line 9, column "nights"'),
        (GOOD.replace(b"nights", b"<b>"), {"new_classes": "on"}, 422, "nights"),
        (GOOD + b"1,2\n" * 100_000, {"new_classes": "on"}, 413, "300,000 bytes"),
        (b"", {"new_classes": "on"}, 422, "line"),
    ]:
        refused = send(person, content, **fields)
        assert refused.status_code == status, content
        [fault] = re.findall(r'id="file-fault" role="alert">(.*?)</span>', refused.text, re.S)
        assert sentence in unescape(fault), content
        assert "<b>" not in fault, content
        assert person.api.ok("GET", "/v1/models/stays/batches")["items"] == [], content


def test_what_is_wrong_with_a_field_stands_beside_that_field(person: Person) -> None:
    for fields, content in (({}, b"\xff\xfe\x00"), ({"encoding": "utf-16"}, GOOD)):
        refused = send(person, content, new_classes="on", **fields)
        assert re.search(r'id="encoding-fault" role="alert">(.*?)UTF-16', refused.text, re.S)
    refused = send(person, GOOD, new_classes="on", source="x" * 201)
    assert (refused.status_code, 'id="source-fault"' in refused.text) == (422, True)
    assert re.search(
        r'autofocus><p><b>Nothing was learned.*?<li><a href="#source">.*?<a href="#file">', refused.text, re.S
    )
    assert "Choose a file." in send(person, b"", name="").text
    missing = send(person, GOOD, new_classes="on", target="answer")
    assert (missing.status_code, "answer" in missing.text) == (422, True)


def test_rows_that_are_no_table_are_sent_as_json(person: Person) -> None:
    body = b'{"inputs": [[1, 2, 3]], "labels": ["a"], "new_classes": "allow"}'
    assert "&#34;inputs&#34;: [[0.5, 3, 7.25], …]" in person.looks("/models/digits/send").text
    assert send(person, body, "rows.json", "digits").status_code == 303
    as_table = send(person, GOOD, model="digits")
    assert (as_table.status_code, "digits takes 3 numbers a row" in as_table.text) == (422, True)
    assert send(person, b"a,b,c,right\n1,2,3,a\n", model="digits", target="right").status_code == 303


def test_a_refusal_of_a_json_file_is_in_japanese(person: Person) -> None:
    person.looks("/?lang=ja")
    for body in [
        "[]",
        '{"inputs": [1,]}',
        '{"inputs": [[1, 2, 1e999]], "labels": ["a"]}',
        '{"inputs": [[1, 2, 3]]}',
        '{"inputs": [[1, 2, 3]], "labels": "a"}',
        '{"inputs": [[1, 2, 3]], "labels": ["a", "b"]}',
        '{"inputs": [[1, 2, 3]], "targets": [1]}',
        '{"inputs": {}, "labels": ["a"]}',
        '{"inputs": [[1, 2, 3]], "labels": ["a"], "sauce": "x"}',
        '{"inputs": [[1, 2, 3]], "labels": ["a"], "new_classes": "yes"}',
    ]:
        refused = send(person, body.encode(), "rows.json", "digits")
        assert (refused.status_code // 100, refused.text.count('id="file-fault"')) == (4, 1), body
        assert Text(refused.text).english == [], body
        assert Words("ja").refusal("invalid-content") not in refused.text, body
        assert Words("ja").refusal("broken-json") not in refused.text, body


def test_what_is_wrong_with_a_member_that_the_form_has_no_field_for_stands_beside_the_file(person: Person) -> None:
    spec = {"kind": "image", "channels": 1, "height": 1, "width": 1}
    person.api.ok("POST", "/v1/models", {"name": "dots", "input": spec})
    refused = send(person, b'{"inputs": [[[[0]]]], "labels": ["a"], "source": 3}', "rows.json", "dots")
    assert "source should be a valid string." in refused.text


def test_pages_say_where_files_go_that_they_do_not_take(person: Person) -> None:
    spec = {"kind": "image", "channels": 1, "height": 1, "width": 1}
    person.api.ok("POST", "/v1/models", {"name": "dots", "input": spec})
    for model in ("dots", "stays"):
        assert f"<code>tsuika push {model} FILE</code>" in person.looks(f"/models/{model}/send").text
    for language, sentence in (("en", "takes pictures in folders or a zip"), ("ja", "画像やその zip は、ターミナルの")):
        person.looks(f"/?lang={language}")
        refused = send(person, b"PK\x03\x04", "pictures.zip", "dots")
        assert (refused.status_code, sentence in refused.text) == (415, True)
        assert "no line of a CSV file" not in refused.text


def test_a_file_of_a_form_that_is_not_ours_is_not_read(person: Person) -> None:
    assert send(person, GOOD, new_classes="on", token="x" * 32).status_code == 403
    assert person.api.ok("GET", "/v1/models/stays/batches")["items"] == []


def test_another_file_of_the_same_form_is_another_one_and_the_same_is_not(person: Person) -> None:
    fields = {"new_classes": "on", "attempt": "of-one-page"}
    first, again = (send(person, GOOD, **fields).headers["location"] for _ in range(2))
    other = send(person, GOOD.replace(b"Osaka", b"Kobe"), "b.csv", **fields)
    assert first == again
    assert (other.status_code, other.headers["location"] != first) == (303, True)


def test_a_file_of_semicolons_is_looked_at_and_sent(person: Person) -> None:
    content = GOOD.replace(b",", b";").replace(b";Osaka", b",5;Osaka")
    shown = send(person, content, look="/look").text
    assert "Cells are parted by semicolons; numbers have a decimal comma." in shown
    assert send(person, content, target="label").status_code == 303
    [batch] = person.api.ok("GET", "/v1/models/stays/batches")["items"]
    same = person.api(
        "POST",
        "/v1/models/stays/batches?target=label",
        content=GOOD.replace(b",Osaka", b".5,Osaka"),
        headers={"content-type": "text/csv"},
    )
    assert same.json()["id"] == batch["id"]


def test_who_has_to_say_how_a_file_is_written_is_asked_beside_a_field(person: Person) -> None:
    content = b"nights;city;label\n1.250;Osaka;yes\n2;Kobe;no\n"
    for path in ("", "/look"):
        asked = send(person, content, look=path)
        assert (asked.status_code, 'id="decimal-fault"' in asked.text) == (422, True)
        assert '<select id="decimal" name="decimal"' in asked.text
    assert send(person, content, decimal=",", new_classes="on").status_code == 303


WRONG = {
    GOOD + b"x,Osaka,yes\n": "22 行目、列「nights」：「x」は数値ではありません。",
    GOOD + b"3,Osaka,yse\n": "22 行目、列「label」：「yse」は stays のクラスではありません。近いもの：「yes」。",
    GOOD + b"3,Osaka\n": "22 行目のセルは 2 個ですが、列名は 3 個です。",
    GOOD.replace(b"city", b"town"): "1 行目（列名）：stays に列「town」はありません。除いてください。",
    b"nights,city,label\n": "列名だけで行がありません。",
    b"": "ファイルが空です。",
    GOOD + b'3,"Osaka,yes\n': "22 行目：この行か、続く行で開いた引用符が閉じられていません。",
    GOOD + b"NA,Osaka,yes\n": "「値が不明であることを表す語」に NA を加えてください。",
}


def test_what_is_wrong_with_a_file_is_said_in_japanese(person: Person) -> None:
    person.looks("/?lang=ja")
    for content, sentence in WRONG.items():
        wrong = send(person, content)
        assert (wrong.status_code, sentence in wrong.text) == (422, True), wrong.text.partition("file-fault")[2][:900]
        assert Text(wrong.text).english == [], content


async def unread(*_: object) -> Message:
    raise AssertionError("a body that says how large it is was read")


@pytest.mark.parametrize("path", ["/new", "/models/stays/send", "/models/stays/predict"])
def test_a_file_that_says_itself_that_it_is_too_large_is_refused_before_it_is_read(person: Person, path: str) -> None:
    site = person.api.door._site
    headers = [(b"content-type", KIND.encode()), (b"content-length", b"2000000000"), (b"accept", b"text/html")]
    asked = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    with pytest.raises(TooLarge, match="300,000 bytes"):
        asyncio.run(site(asked, unread, unread))
    refused = person.api("POST", path, content=b"x" * 2 * FORM_BYTES, headers={**HTML, "Content-Type": KIND})
    assert (refused.status_code, "Send a smaller file, or less at once." in refused.text) == (413, True)
    assert "300,000 bytes" in refused.text
