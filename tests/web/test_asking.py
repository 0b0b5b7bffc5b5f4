"""Pages that ask a model and show what it knows: predictions, two versions side by side, lineage."""

from __future__ import annotations

import io
import re
from html import unescape
from typing import Any
from urllib.parse import unquote

import pytest
from PIL import Image
from pydantic import TypeAdapter

from service.contract.enums import Verdict
from service.contract.inputs import ImageInput, InputSpec
from service.contract.reports.class_report import ClassScore, Score
from service.contract.reports.number_report import Errors
from service.contract.resources import Model
from service.contract.version_resources import LineageNode
from service.learning.data.target_grid import NumberGrid
from service.web.charts.history import Mark
from service.web.charts.lanes import MOST_LANES, Node, lanes_of, lineage
from service.web.kinds.class_kind import ClassKind
from service.web.kinds.kind import AnyKind
from service.web.kinds.number_kind import NumberKind
from service.web.pages.answers import MOST_ROWS
from service.web.pages.predict import Pad, Unreadable, pad, question
from service.web.pages.versions.compare import pairs, sentence
from service.web.pages.versions.lineage import note
from service.web.reports.estimates import Estimate, Pair, Side, share
from service.web.words import Words
from tests.api.conftest import Api
from tests.making import keep_version, make_model, make_number_model, make_version, number_checkpoint, table_checkpoint
from tests.tables import table_of
from tests.web.test_pages import HTML, Person
from tests.web.test_reasons import report

EN = Words("en")
CLASSES, NUMBERS = ClassKind(), NumberKind()
PATH = "/models/digits/predict"
TABLE = table_of(
    {
        "nights": "number",
        "city/ward": {"kind": "category", "values": ["Osaka", "<b>Kyoto</b>"]},
        "booked": "date",
        "member": "boolean",
    }
)


@pytest.fixture
def person(api: Api) -> Person:
    return Person(api)


def model(spec: dict[str, Any]) -> Model:
    alone: dict[str, Any] = {"name": "m", "input": TypeAdapter(InputSpec).validate_python(spec)}
    return Model.model_construct(**alone)


VECTOR, IMAGE = {"kind": "vector", "size": 3}, {"kind": "image", "channels": 1, "height": 2, "width": 2}


def test_rows_are_read_as_people_write_them() -> None:
    for spec, typed, expected in [
        (VECTOR, "1 2.5 -3", [[1, 2.5, -3]]),
        (VECTOR, "1, 2,3\n\n4 5 6\n", [[1, 2, 3], [4, 5, 6]]),
        (VECTOR, "\u22121.5 ２ 3", [[-1.5, 2, 3]]),
        (VECTOR, "\ufeff[1, 2, 3]", [[1, 2, 3]]),
        (VECTOR, "[[1, 2, 3], [4, 5, 6]]", [[1, 2, 3], [4, 5, 6]]),
        (VECTOR, "5,1 3,5 2\n-0,5; 1,234; ７", [[5.1, 3.5, 2], [-0.5, 1.234, 7]]),
        (VECTOR, "1,5, 2", [[1, 5, 2]]),
        (IMAGE, "[[[0, 1], [2, 3]]]", [[[[0, 1], [2, 3]]]]),
        (IMAGE, "[[[[0, 1], [2, 3]]]]", [[[[0, 1], [2, 3]]]]),
        (IMAGE, '{"png": "iVBO"}', [{"png": "iVBO"}]),
        ({"kind": "text"}, ' ["where"] ', ['["where"]']),
    ]:
        assert question(model(spec), {"rows": typed}) == {"inputs": expected}, spec
    body = '{"inputs": [1, 2, 3], "top": 10}'
    assert question(model(VECTOR), {"rows": body}) == {"inputs": [[1, 2, 3]], "top": 10}
    for pasted, expected in (('"where"', ["where"]), ('["where", "when"]', ["where", "when"])):
        assert question(model({"kind": "text"}), {"rows": "left alone", "json": pasted}) == {"inputs": expected}


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("17. August 2026", "2026-08-17"),
        ("17 Aug. 26", "2026-08-17"),
        ("August 17, 2026 9:30", "2026-08-17T09:30"),
        ("3. März 1999 18:05", "1999-03-03T18:05"),
        ("1.2.26", "2026-02-01"),
        ("1. 2. 1999", "1999-02-01"),
        ("31/12/69", "1969-12-31"),
        ("2026-11-30 11:42", "2026-11-30T11:42"),
        ("2026/1/2", "2026-01-02"),
        ("17. Brumaire 2026", "17. Brumaire 2026"),
    ],
)
def test_a_date_is_read_as_people_type_it(typed: str, read: str) -> None:
    spec = model(table_of({"booked": "date"}).model_dump())
    assert question(spec, {"column-0": typed}) == {"inputs": [{"booked": read}]}


def test_what_is_no_row_gets_a_sentence() -> None:
    twice = '[{"a": 1, "a": 2}]'
    for typed in [
        "",
        "  ",
        "1 2 three",
        "1_0 2 3",
        "5,1 3,5",
        "1,234 5,678 9,000",
        "1 nan 2",
        "1 1e999 2",
        "[1, 2",
        "{",
        "[" * 5000,
        twice,
    ]:
        with pytest.raises(Unreadable) as fault:
            question(model(VECTOR), {"rows": typed})
        assert EN(fault.value.args[0], name=fault.value.name), typed


def test_small_images_of_a_known_range_can_be_drawn() -> None:
    assert pad(model(IMAGE)) == Pad(1, 2, 2, 0.0, 255.0)
    assert pad(model({**IMAGE, "scale": {"range": [0, 16]}})) == Pad(1, 2, 2, 0.0, 16.0)
    for spec in (VECTOR, {**IMAGE, "width": 65}, {**IMAGE, "scale": {"mean": 0.5, "std": 1}}):
        assert pad(model(spec)) is None


def test_a_model_is_asked_with_numbers_and_answers_with_its_version(person: Person) -> None:
    make_version(person.api.runtime, classes=("a", "<i>b</i>"))
    assert f'href="{PATH}"' in person.looks("/models/digits").text
    page = person.sends(PATH, PATH, rows="1 2 3")
    assert page.status_code == 200
    expected = person.api.ok("POST", "/v1/models/digits/predictions", {"inputs": [[1, 2, 3]], "top": 10})
    [row] = expected["predictions"]
    text = unescape(page.text)
    assert f"It is “{row['class']}”" in text
    assert "What it could be" in text
    assert '<a href="/models/digits/versions/1">version 1</a>' in text
    assert "POST /v1/models/digits/predictions" in text
    assert '{"inputs": [[1, 2, 3]], "top": 10}' in text
    assert "<i>b" not in page.text
    many = person.sends(PATH, PATH, rows="1 2 3\n4 5 6").text
    assert "It answers 2 rows." in many


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_an_image_file_is_asked_about(person: Person) -> None:
    runtime, path = person.api.runtime, "/models/pictures/predict"
    spec = ImageInput(kind="image", channels=1, height=4, width=4)
    make_model(runtime, "pictures", spec)
    make_version(runtime, "pictures", spec=spec)
    Image.new("L", (4, 4), 200).save(picture := io.BytesIO(), "PNG")
    shown = person.looks(path).text
    assert 'enctype="multipart/form-data"' in shown
    hidden = {n: unescape(v) for n, v in re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', shown)}
    Image.new("L", (4, 4), 200).save(jpeg := io.BytesIO(), "JPEG")
    for name, content, status, part in (
        ("drawn.png", picture.getvalue(), 200, "It is “"),
        ("drawn.jfif", jpeg.getvalue(), 200, "It is “"),
        ("drawn.png", b"no image", 422, 'id="file-fault"'),
    ):
        sent = {"file": (name, content, "image/png")}
        answer = person.api("POST", path, data={**hidden, "version": "1"}, files=sent, headers=HTML)
        assert (answer.status_code, part in answer.text) == (status, True), answer.text


def test_a_csv_file_is_asked_about(person: Person) -> None:
    make_version(person.api.runtime)
    shown = person.looks(PATH).text
    assert 'accept=".csv"' in shown
    hidden = {n: unescape(v) for n, v in re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', shown)}
    lines = [b"a,b,c", *(b"%d,2,3" % k for k in range(MOST_ROWS + 20))]
    for content, status, part in (
        (b"\n".join(lines[:4]), 200, "It answers 3 rows.</b>"),
        (b"\n".join(lines), 200, "It answers 120 rows.</b> The first 100 of them are below;"),
        (b"a,b\n1,2", 422, 'id="file-fault"'),
    ):
        answer = person.api("POST", PATH, data=hidden, files={"file": ("rows.csv", content, "text/csv")}, headers=HTML)
        assert (answer.status_code, part in answer.text) == (status, True), answer.text
        assert answer.text.count('<th scope="row">') <= MOST_ROWS
        if status == 200:
            assert len(taken(answer.text)) == 1 + content.count(b"\n")


def taken(page: str) -> list[str]:
    """The lines of the CSV file that a page of answers has."""
    [address] = re.findall(r'href="data:text/csv;charset=utf-8,([^"]*)" download="[a-z]+.csv"', page)
    return unquote(unescape(address)).removeprefix("\ufeff").splitlines()


def test_any_version_can_be_asked_and_one_that_is_not_there_is_a_sentence(person: Person) -> None:
    make_version(person.api.runtime)
    make_version(person.api.runtime, seed=1, promote=False)
    assert 'value="2"' in person.looks(f"{PATH}?version=2").text
    assert ">version 2</a>" in person.sends(PATH, PATH, rows="1 2 3", version="2").text
    for version in ("9", "../../keys", "<b>"):
        refused = person.sends(PATH, PATH, rows="1 2 3", version=version)
        assert refused.status_code == 404
        assert 'role="alert"' in refused.text
        assert "1 2 3</textarea>" in refused.text


def test_bad_rows_are_answered_beside_their_field(person: Person) -> None:
    make_version(person.api.runtime)
    for typed in ("1 2", "one two three", '["1", 2, 3]', "</textarea><script>"):
        refused = person.sends(PATH, PATH, rows=typed)
        assert refused.status_code == 422, typed
        assert 'id="rows-fault"' in refused.text
        assert "<script>" not in refused.text
    assert person.sends(PATH, PATH, rows="[" * 980 + "]" * 980).status_code in (400, 422)


@pytest.mark.long
def test_a_table_is_asked_by_a_field_a_column(person: Person) -> None:
    runtime, path = person.api.runtime, "/models/stays/predict"
    make_model(runtime, "stays", TABLE)
    keep_version(runtime, "stays", table_checkpoint(TABLE, {}), [], True)
    shown = person.looks(path).text
    assert "<option>&lt;b&gt;Kyoto&lt;/b&gt;</option>" in shown
    typed = {"column-0": "3", "column-1": "Osaka", "column-2": "2026-11-30", "column-3": "true"}
    page = unescape(person.sends(path, path, **typed).text)
    assert '{"nights": 3, "city/ward": "Osaka", "booked": "2026-11-30", "member": true}' in page
    assert '"nights": null' in unescape(person.sends(path, path, **{**typed, "column-0": ""}).text)
    for field, wrong in (("column-0", "three"), ("column-0", "10²"), ("column-1", "Nara"), ("column-2", "yesterday")):
        refused = person.sends(path, path, **{**typed, field: wrong})
        assert refused.status_code == 422
        assert f'id="{field}-fault"' in refused.text
        assert "null where" not in refused.text
    assert "and leave it blank where it is missing" in refused.text
    person.looks(f"{path}?lang=ja")
    blank = person.sends(path, path, **{**typed, "column-2": "yesterday"})
    assert "のように書き、不明な場合は空欄にしてください" in blank.text
    for field, written, read in (
        ("column-0", "1.234,50", '"nights": 1234.5,'),
        ("column-0", "１，５", '"nights": 1.5,'),
        ("column-0", "\u22121,5", '"nights": -1.5,'),
        ("column-0", "1,234.5", '"nights": 1234.5,'),
        ("column-0", "1,234,567", '"nights": 1234567,'),
        ("column-2", "31.12.2024", '"booked": "2024-12-31"'),
        ("column-2", "2024年12月31日", '"booked": "2024-12-31"'),
        ("column-2", "5/31/2024 9:30", '"booked": "2024-05-31T09:30"'),
    ):
        assert read in unescape(person.sends(path, path, **{**typed, field: written}).text)
    for field, written, asks, readings in (
        ("column-0", "1.234", "decimal", {",": '"nights": 1234,', ".": '"nights": 1.234,'}),
        ("column-0", "1,234", "decimal", {".": '"nights": 1234,', ",": '"nights": 1.234,'}),
        ("column-2", "3/4/2024", "dates", {"day-first": '"2024-04-03"', "month-first": '"2024-03-04"'}),
    ):
        refused = person.sends(path, path, **{**typed, field: written})
        assert (refused.status_code, f'id="{asks}-fault"' in refused.text) == (422, True)
        assert f'<a href="#{asks}">' in refused.text
        for said, read in readings.items():
            assert read in unescape(person.sends(path, path, **{**typed, field: written, asks: said}).text)
    said_in = ("en", "12,34.50", "“nights” takes a number, such as"), ("ja", "1_000", "「nights」は数値です（")
    for language, wrong, said in said_in:
        person.looks(f"{path}?lang={language}")
        refused = person.sends(path, path, **{**typed, "column-0": wrong})
        assert refused.status_code == 422
        assert said in refused.text
        assert "null where" not in refused.text
        assert f'value="{wrong}"' in refused.text
    hidden = {n: unescape(v) for n, v in re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', refused.text)}
    person.looks(f"{path}?lang=en")
    row = '{"nights": 3, "city/ward": "Osaka"}'
    answers = (
        ("\ufeff" + row, "Answered by"),
        (f"[{row}, {row}]", "2 rows."),
        (f'{{"inputs": [{row}, {row}]}}', "2 rows."),
    )
    for pasted, shown in answers:
        assert shown in person.sends(path, path, json=pasted, **{"column-0": "three"}).text
    for pasted in (
        '{"inputs": [{}], "top": 0}',
        '{"nights": ',
        '{"nights": 1, "nights": 2}',
        '{"nights": 3, "city/ward": "Nara"}',
        "[[1]]",
    ):
        refused = person.sends(path, path, json=pasted)
        assert (refused.status_code, 'id="json-fault"' in refused.text, "<details open>" in refused.text) == (
            422,
            True,
            True,
        )
    person.looks(f"{path}?lang=ja")
    lines = "nights;city/ward;booked;member;x\n1,5;Osaka;31/12/2026;true;1\n2,5;Osaka;30/12/2026;true;1"

    def sent(content: str, **fields: str) -> tuple[int, str]:
        files = {"file": ("rows.csv", content, "text/csv")}
        answer = person.api("POST", path, data={**hidden, **fields}, files=files, headers=HTML)
        return answer.status_code, answer.text

    clash = lines.replace("x\n", "class;score;row;given_row\n").replace("true;1", "true;1;2;3;4")
    assert taken(sent(clash)[1])[0] == "row;given_class;given_score;given_row;given_given_row;class;score"
    named = lines.replace("x\n", "<i>id</i>\n").replace(";1\n", ";=a1\n")
    for content, beside in ((named, True), (named + "\n" * 2**22, False)):  # too large to be kept
        _, answered = sent(content)
        [head, first, last] = taken(answered)
        assert head.split(";") == ["row", *(["<i>id</i>"] if beside else []), "class", "score"]
        assert first.startswith("0;'=a1;" if beside else "0;")
        assert re.fullmatch(r"1;(1;)?[ab];0,\d+", last)
        assert (
            answered.count('<th scope="col">&lt;i&gt;id&lt;/i&gt;</th>')
            == answered.count('<td class="name">=a1</td>')
            == beside
        )
    _, noted = sent(lines)
    assert "小数点はコンマとして読みました。日付は日を先に読みました。" in noted
    assert "「x」は stays の列ではないため、使いませんでした。" in noted
    assert "行 0 はファイルの 2 行目です" in noted
    assert "まだ学習していない" not in noted
    both = sent(lines, **typed)
    assert (both[0], "上の欄にも入力があります" in both[1], 'id="file-fault"' in both[1]) == (422, True, True)
    unclear = lines.replace("31/12", "3/12").replace("30/12", "4/12")
    status, asked = sent(unclear)
    assert (status, 'id="dates-fault"' in asked) == (422, True)
    assert sent(unclear, dates="day-first")[0] == 200
    assert 'id="gaps"' in sent(lines.replace("2,5", "NA"))[1]
    assert sent(lines.replace("2,5", "NA"), gaps="NA")[0] == 200


def test_a_number_is_shown_with_its_interval(person: Person) -> None:
    runtime, path = person.api.runtime, "/models/load/predict"
    grid = NumberGrid(names=["MW"], offset=[0.0], step=[2.0**-16])
    make_number_model(runtime, "load", grid)
    keep_version(runtime, "load", number_checkpoint(grid), [], True)
    page = person.sends(path, path, rows="1 2 3").text
    assert re.search(r"MW is \S+ It lies between \S+ and \S+ in 90% of such cases\.", page.replace("\xa0", ""))
    page = person.sends(path, path, rows="1 2 3\n4 5 6").text
    assert "In 90\xa0% of such cases the number lies between" in page
    head, first, _ = taken(page)
    assert head == "row,MW,MW from,MW to"
    assert re.fullmatch(r"0(,-?\d+\.\d+){3}", first)


def test_what_was_made_from_what_is_a_graph_with_the_live_line_at_its_left() -> None:
    nodes = [
        Node(5, 3, Mark.HELD, "held"),
        Node(4, 3, Mark.LIVE, "went live"),
        Node(3, 1, Mark.WENT_LIVE, "went live"),
        Node(2, 1, Mark.REJECTED, "<b>"),
        Node(1, None, Mark.WENT_LIVE, "went live"),
    ]
    assert lanes_of(nodes, 4) == [1, 0, 0, 1, 0]
    picture = lineage(nodes, 4, "Lineage", "5 versions")
    assert picture.count('class="edge"') == 4
    assert "2 · &lt;b&gt;" in picture
    assert picture.count('class="ring"') == 1
    many = [*(Node(n, 1, Mark.HELD, "held") for n in range(40, 1, -1)), nodes[-1]]
    assert max(lanes_of(many, 1)) == MOST_LANES - 1
    assert lanes_of([Node(9, 8, Mark.LIVE, "")], 9) == [0]
    assert lineage([Node(9, 8, Mark.LIVE, "")], 9, "", "").count('class="edge"') == 1


def test_a_version_that_was_rolled_back_is_said_to_be() -> None:
    node = LineageNode(number=2, parent=1, update=None, verdict=Verdict.PROMOTED, live=False, erased=True)
    assert note(node, {2}, {2}, EN) == "went live, rolled back, erased"
    assert note(node.model_copy(update={"live": True, "erased": False}), {2}, {2}, EN) == "went live, answers now"
    ordered = node.model_copy(update={"verdict": Verdict.REJECTED, "erased": False})
    assert note(ordered, {2}, {2}, EN) == "live by order (rejected), rolled back"
    assert note(ordered, (), (), EN) == "rejected"


def test_the_lineage_of_a_model_is_a_page(person: Person) -> None:
    make_version(person.api.runtime)
    make_version(person.api.runtime, seed=1)
    person.api.ok("POST", "/v1/models/digits/rollback", {"reason": "worse"})
    page = person.looks("/models/digits/lineage").text
    assert "There are 2 versions. Version 1 is live; it was made from no other." in page
    assert "rolled back" in page
    assert '<a href="/v1/models/digits/lineage">JSON</a>' in page
    older = person.looks("/models/digits/lineage?before=2").text
    assert '/versions/1"' in older
    assert '/versions/2"' not in older
    assert person.looks("/models/digits/lineage?before=x").status_code == 200
    assert person.looks(f"/models/digits/lineage?before={'9' * 5000}").status_code == 200


def test_older_versions_of_a_model_are_looked_at_on_pages_of_their_own(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.web.pages.model.VERSIONS", 2)
    for seed in range(3):
        make_version(person.api.runtime, seed=seed)
    latest = person.looks("/models/digits").text
    [way] = set(re.findall(r'"(/models/digits\?cursor=[^"]+)"', latest))
    assert "These are the latest 2 versions." in latest
    older = person.looks(way).text
    assert ("These are versions 1 to 1." in older, "Version 3 is live." in older) == (True, True)
    assert '<a href="/models/digits">Latest versions</a>' in older


def score(**classes: float) -> Score:
    of = {name: ClassScore(accuracy=value, rows=100) for name, value in classes.items()}
    mean = sum(classes.values()) / len(classes)
    return Score(accuracy=mean, balanced_accuracy=mean, rows=100 * len(of), classes=of)


def test_two_accuracies_of_one_version_say_what_each_is() -> None:
    def said(accuracy: float, words: Words) -> str:
        after = score(a=1.0, b=0.9).model_copy(update={"accuracy": accuracy})
        made = report(tested=None, forgetting=None).model_copy(update={"after": after})
        return " ".join(CLASSES.figures(made, words)[1])

    assert said(0.95, EN) == ""
    assert "98.0\xa0% where each stands for its part" in said(0.98, EN)
    assert "95.0\xa0% where all count alike, as in what the gate says" in said(0.98, EN)
    assert "どの行も同じ重みにすると 95.0\xa0% です" in said(0.98, Words("ja"))


def test_two_versions_are_compared_class_by_class() -> None:
    first, second = CLASSES.side(score(a=0.9, b=0.8, gone=1.0)), CLASSES.side(score(a=0.91, b=0.5, new=1.0))
    assert [(of.name, of.change and round(of.change, 2)) for of in pairs(first, second, CLASSES)] == [
        ("b", -0.3),
        ("a", 0.01),
        ("gone", None),
        ("new", None),
    ]


def test_the_first_sentence_says_which_is_better_and_whether_that_may_be_chance() -> None:
    def said(one: Score | Errors | None, other: Score | Errors | None, kind: AnyKind = CLASSES) -> str:
        return sentence(kind.side(one), kind.side(other), kind, (3, 4), EN)

    assert said(score(a=0.9), score(a=0.5)) == (
        "Version 3 is right 40.0 points more often than version 4. Their 95 % intervals do not meet."
    )
    assert said(score(a=0.9), score(a=0.92)).startswith("Version 4 is right 2.0 points more often than version 3. That")
    assert "may be chance" in said(score(a=0.9), score(a=0.92))
    assert said(score(a=0.9), score(a=0.9)) == "Versions 3 and 4 are equally good."
    assert "not known" in said(None, score(a=0.9))
    errors = [Errors(mae=mae, rmse=mae, r2=None, median_error=mae, bias=0, rows=9) for mae in (3.5, 2.0)]
    assert said(*errors, kind=NUMBERS) == (
        "Version 4 is off by 2 on average, version 3 by 3.50. "
        "Whether that is more than chance, these figures do not say."
    )
    for kind, ones in ((CLASSES, (score(a=0.9), score(a=0.92))), (NUMBERS, (errors[0], errors[1]))):
        sides = kind.side(ones[0]), kind.side(ones[1])
        for worse, chance in (((-0.1, -0.01), "is more than chance"), ((-0.1, 0.01), "may be chance")):
            assert chance in sentence(*sides, kind, (3, 4), EN, worse), "row by row the service says it"
        assert "do not say" in sentence(*sides, kind, (3, 4), EN, (0.01, 0.1)), "it is better by one figure alone"
    assert Pair("", Estimate(3.5, None, None, 9), Estimate(2.0, None, None, 9), of_errors=True).better
    assert Pair("", share(0.9, 9), share(0.5, 9)).better is False
    ranges = {str(start): Estimate(1.0, None, None, 9, start) for start in (472.0, 66.3)}
    assert [of.name for of in pairs(Side(None, {}), Side(None, ranges), NUMBERS)] == ["66.3", "472.0"], (
        "by their values"
    )


def test_two_versions_have_a_page_without_reports_too(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/models/digits/compare"
    assert "There are not two versions yet" in person.looks(path).text
    make_version(person.api.runtime)
    assert "There are not two versions yet" in person.looks(path).text
    make_version(person.api.runtime, seed=1)
    page = person.looks(path).text
    assert "Which one is better is not known" in page
    assert "<option selected>2</option>" in page
    monkeypatch.setattr("service.web.pages.versions.compare.CHOICES", 1)
    typed = person.looks(path).text
    assert ("<select" in typed, 'name="before" type="text" value="1"' in typed) == (False, True), "of many versions"
    same = person.looks(f"{path}?before=2&after=1")
    assert same.status_code == 200
    assert "Nothing is measured of it yet." in same.text
    assert person.looks(f"{path}?before=9&after=1").status_code == 404
    assert person.looks(f"{path}?before=%3Cb%3E&after=1").status_code == 404
