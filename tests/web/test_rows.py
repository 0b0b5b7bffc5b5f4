"""Rows of a batch on its page, and their correction: chosen, confirmed, ordered."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import pytest
from PIL import Image

from service.learning.data.target_grid import NumberGrid
from service.web.charts.picture import SIDE, picture
from tests.api.conftest import Api, MakeApi
from tests.api.test_corrections import judged, reported
from tests.making import keep_version, number_checkpoint
from tests.web.test_pages import HTML, KEY, Person

ROWS = {"inputs": [[k, 2, 3] for k in range(30)], "labels": ["a", "<b>"] * 15, "new_classes": "allow"}


@pytest.fixture
def person(api: Api) -> Person:
    return Person(api)


def sent(api: Api, rows: dict[str, Any] = ROWS, model: str = "digits") -> str:
    batch: str = api.ok("POST", f"/v1/models/{model}/batches", rows)["id"]
    return batch


def pixels(image: list[list[list[float]]], low: float = 0, high: float = 255) -> Image.Image:
    address = picture(image, low, high)
    return Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/png;base64,"))))


def test_an_image_is_drawn_as_its_numbers_say() -> None:
    grey = pixels([[[0, 8, 16], [16, 99, -5]]], 0, 16)
    assert (grey.mode, grey.size, list(grey.get_flattened_data())) == ("L", (3, 2), [0, 128, 255, 255, 255, 0])
    colours = pixels([[[255.0, 0.0]], [[0.0, 255.0]], [[7.0, 7.0]]])
    assert (colours.mode, list(colours.get_flattened_data())) == ("RGB", [(255, 0, 7), (0, 255, 7)])
    assert pixels([[[1.0]], [[2.0]]], 1, 1).size == (1, 1)
    assert max(pixels([[[0.0] * 300] * 10]).size) <= SIDE


def test_the_page_of_a_batch_shows_its_rows(person: Person) -> None:
    page = f"/models/digits/batches/{sent(person.api)}"
    shown = person.looks(page).text
    assert shown.count('type="checkbox" name="row-') == 20
    assert "19 2 3" in shown
    assert "<b>" not in shown.partition("<main")[2].replace("<b>Pending", "")
    [after] = re.findall(rf'href="{page}\?(from=\d+)"', shown)
    assert "From row 20 on" in shown
    assert "29 2 3" in person.looks(f"{page}?{after}").text
    assert "is not one that a page of this list gave" in person.looks(f"{page}?from=nonsense").text


def test_chosen_rows_are_corrected(person: Person) -> None:
    batch = sent(person.api)
    page = f"/models/digits/batches/{batch}/correct"
    asked = person.looks(f"{page}?row-3=on&row-4=on&row-5=on").text
    assert asked.count("<select") == 3
    assert "has not learned this batch" in asked
    same = {"before-3": "<b>", "label-3": "<b>"}
    unchanged = person.sends(page, f"{page}?row-3=on", **same)
    assert (unchanged.status_code, "Nothing is changed yet" in unchanged.text) == (422, True)
    wrong = person.sends(page, f"{page}?row-3=on", **{**same, "label-3": "c"})
    assert (wrong.status_code, 'id="label-3-fault"' in wrong.text) == (422, True)
    strange = person.sends(page, f"{page}?row-3=on", **{"label-" + "9" * 5000: "c"})
    assert (strange.status_code, "Nothing is changed yet" in strange.text) == (422, True)
    fields = {**same, "before-4": "a", "label-4": "<b>", "before-5": "<b>", "label-5": "", "reason": "looked"}
    moved = person.sends(page, f"{page}?row-3=on", **fields)
    [newest, *_] = person.api.ok("GET", "/v1/models/digits/updates")["items"]
    assert (moved.status_code, moved.headers["location"]) == (303, f"/updates/{newest['id']}")
    new, old = person.api.ok("GET", "/v1/models/digits/batches")["items"]
    assert (new["corrects"], new["label_counts"], old["state"]) == (batch, {"a": 14, "<b>": 15}, "retracted")
    assert "No row was chosen" in person.looks(page).text


def test_a_correction_of_many_rows_of_a_large_batch_is_asked_about_as_one_of_most_rows(person: Person) -> None:
    many = {"inputs": [[k, 2, 3] for k in range(300)], "labels": ["a", "<b>"] * 150, "new_classes": "allow"}
    batch = sent(person.api, many)
    page = f"/models/digits/batches/{batch}/correct"
    fields = {f"{of}-{row}": label for row in range(0, 98, 2) for of, label in (("before", "a"), ("label", "<b>"))}
    asked = f"{page}?row-0=on"
    one_more = {**fields, "before-100": "a", "label-100": "<b>"}
    again = person.sends(page, asked, **one_more)
    assert "This changes 50 of the 300 rows of the batch" in again.text
    assert not person.api.ok("GET", "/v1/models/digits/updates")["items"]
    assert person.sends(page, asked, **fields).status_code == 303, "49 rows"


def test_a_correction_of_most_rows_of_a_batch_is_asked_about_once_more(person: Person) -> None:
    few = {"inputs": ROWS["inputs"][:4], "labels": ["a", "<b>", "a", "a"], "new_classes": "allow"}
    batch = sent(person.api, few)
    page = f"/models/digits/batches/{batch}/correct"
    asked = f"{page}?row-0=on&row-2=on&row-3=on"
    fields = {"before-0": "a", "label-0": "<b>", "before-2": "a", "label-2": "<b>", "before-3": "a", "label-3": ""}
    again = person.sends(page, asked, **fields)
    said = "This changes 3 of the 4 rows of the batch: &lt;b&gt;: 2 rows and take the row out: 1 row."
    assert (again.status_code, said in again.text) == (200, True)
    assert not person.api.ok("GET", "/v1/models/digits/updates")["items"]
    assert '<input type="hidden" name="sure" value="on">' in again.text
    assert '<option value="&lt;b&gt;" selected>' in again.text, "what was chosen stays so"
    assert person.sends(page, asked, **fields, sure="on").status_code == 303
    [newest, *_] = person.api.ok("GET", "/v1/models/digits/updates")["items"]
    assert newest["corrected"]["changed"] == 2


def test_a_row_without_a_label_is_not_among_those_to_correct(person: Person) -> None:
    rows = {"inputs": ROWS["inputs"][:2], "labels": ["a", None], "new_classes": "allow"}
    page = f"/models/digits/batches/{sent(person.api, rows)}"
    for shown in (person.looks(page).text, person.looks(f"{page}/correct?row-0=on&row-1=on").text):
        assert "None" not in shown
        assert 'row-1"' not in shown
        assert 'label-1"' not in shown
    assert "No row was chosen" in person.looks(f"{page}/correct?row-1=on").text


def test_doubtful_rows_are_marked_and_corrected_together(person: Person) -> None:
    batch = sent(person.api, {**ROWS, "labels": ["a", "b"] * 15})
    judged(person.api, batch, 2)
    shown = person.looks(f"/models/digits/batches/{batch}").text
    assert "Correct the 2 doubtful rows…" in shown
    assert shown.count('name="row-1"') == 1
    assert shown.count('class="mark warn">doubtful') == 2
    asked = person.looks(f"/models/digits/batches/{batch}/correct?suspects=on").text
    assert "Version 1, which is live, has learned this batch." in asked
    assert re.findall('value="(.)" selected', asked) == ["a", "b"], "as they are"
    assert asked.count("rather: b") == 2
    assert asked.index(">Make these corrections<") < asked.index(">Take all suggestions<"), "Enter does the first"
    page = f"/models/digits/batches/{batch}/correct"
    left = {"before-0": "a", "label-0": "a", "before-1": "b", "label-1": "b", "reason": "a guess"}
    unchanged = person.sends(page, f"{page}?suspects=on", **left)
    assert (unchanged.status_code, "Nothing is changed yet" in unchanged.text) == (422, True)
    filled = person.sends(page, f"{page}?suspects=on", **left, suggested="on")
    assert (filled.status_code, re.findall('value="(.)" selected', filled.text)) == (200, ["b", "b"])
    assert "nothing is sent yet" in filled.text
    assert 'value="a guess"' in filled.text
    assert [of["id"] for of in person.api.ok("GET", "/v1/models/digits/batches")["items"]] == [batch]
    person.sends(page, f"{page}?suspects=on", **{**left, "label-0": "b"})
    assert person.api.ok("GET", "/v1/models/digits/batches")["items"][0]["label_counts"] == {"a": 14, "b": 16}


@pytest.mark.parametrize(
    ("listed", "said"), [(99, ">79 more rows are doubtful."), (100, ">At least 80 more rows are doubtful")]
)
def test_of_more_doubtful_rows_than_a_report_lists_the_count_is_the_least(
    person: Person, listed: int, said: str
) -> None:
    batch = sent(person.api, {**ROWS, "inputs": [[k, 0, 1] for k in range(120)], "labels": ["a", "b"] * 60})
    judged(person.api, batch, listed)
    assert said in person.looks(f"/models/digits/batches/{batch}").text


def test_of_many_doubtful_rows_the_likeliest_are_shown(person: Person) -> None:
    batch = sent(person.api, {**ROWS, "labels": ["a", "b"] * 15})
    judged(person.api, batch, 25)
    shown = person.looks(f"/models/digits/batches/{batch}").text
    assert "5 more rows are doubtful." in shown
    assert "Correct the 25 doubtful rows…" in shown
    asked = person.looks(f"/models/digits/batches/{batch}/correct?suspects=on").text
    assert asked.count("<select") == 25


def test_doubtful_targets_are_listed_and_corrected(person: Person) -> None:
    number = {"name": "load", "input": {"kind": "vector", "size": 3}, "target": {"kind": "number"}}
    person.api.ok("POST", "/v1/models", number)
    rows = {"inputs": ROWS["inputs"], "targets": [k / 7 for k in range(30)]}
    batch = sent(person.api, rows, "load")
    outlier = {"batch": batch, "row": 4, "target": 4 / 7, "value": 1.25, "error": 0.68}
    grid = NumberGrid(names=["value"], offset=[0], step=[1 / 4096])
    keep_version(person.api.runtime, "load", number_checkpoint(grid), [batch])
    reported(person.api, {"outliers": [outlier]})
    page = f"/models/load/batches/{batch}"
    shown = person.looks(page).text
    assert "Expected" in shown
    assert '<td class="n">1.25</td><td class="n">0.68</td>' in shown
    assert "差</th>" in person.looks(f"{page}?lang=ja").text
    asked = person.looks(f"{page}/correct?suspects=on&lang=en").text
    assert f'name="label-4" value="{4 / 7!r}"' in asked
    assert ("expected: 1.25" in asked, "Take all suggestions" in asked) == (True, False), "no expectation is measured"
    assert re.search(r'scope="row">4</th>\s*<td>0\.571</td>\s*<td><input', asked), "on a phone the field is in sight"
    same = {"before-4": repr(4 / 7)}
    wrong = person.sends(f"{page}/correct", f"{page}/correct?row-4=on", **same, **{"label-4": "1,5"})
    assert (wrong.status_code, 'id="label-4-fault"' in wrong.text) == (422, True)
    deep = person.sends(f"{page}/correct", f"{page}/correct?row-4=on", **same, **{"label-4": "[" * 50_000})
    assert deep.status_code == 422
    person.sends(f"{page}/correct", f"{page}/correct?row-4=on", **same, **{"label-4": "1.5"})
    new, _ = person.api.ok("GET", "/v1/models/load/batches")["items"]
    corrected = person.api.ok("GET", f"/v1/models/load/batches/{new['id']}/rows?rows=4")["items"]
    assert (new["corrects"], corrected[0]["targets"]) == (batch, [1.5])


def test_rows_of_each_kind_are_shown(person: Person) -> None:
    api = person.api
    image = {"kind": "image", "channels": 1, "height": 2, "width": 2, "scale": {"mean": 1, "std": 2}}
    columns = [{"name": "<i>n", "kind": "number"}, {"name": "ok", "kind": "boolean"}, {"name": "x", "kind": "number"}]
    kinds: dict[str, tuple[dict[str, Any], Any, str]] = {
        "images": (image, [[[0, 1], [2, 3]]], 'src="data:image/png;base64,'),
        "tables": ({"kind": "table", "columns": columns}, {"<i>n": 2.5, "ok": True}, "<td>2.5</td>"),
        "texts": ({"kind": "text"}, "<i>" + "x" * 400, "&lt;i&gt;xxx"),
        "wide": ({"kind": "vector", "size": 9}, list(range(9)), "0 1 2 3 4 5 6 7 …"),
    }
    for name, (spec, row, words) in kinds.items():
        api.ok("POST", "/v1/models", {"name": name, "input": spec})
        shown = person.looks(f"/models/{name}/batches/{sent(api, {'inputs': [row], 'labels': ['a']}, name)}").text
        assert words in shown
        assert "<i>" not in shown


def test_rows_that_are_gone_or_may_not_be_read_are_not_shown(make_api: MakeApi) -> None:
    api = make_api(key=KEY)
    operator = {"authorization": f"Bearer {KEY}"}
    api.ok("POST", "/v1/models", {"name": "digits", "input": {"kind": "vector", "size": 3}}, headers=operator)
    batch = api.ok("POST", "/v1/models/digits/batches", ROWS, headers=operator)["id"]
    made = api.ok("POST", "/v1/keys", {"name": "till", "scopes": ["learn"]}, headers=operator)
    page = f"/models/digits/batches/{batch}"
    shown = api("GET", page, headers={**HTML, "cookie": f"tsuika_key={made['secret']}"}).text
    assert "may not look at rows" in shown
    assert "checkbox" not in shown
    api.ok("POST", "/v1/models/digits/retractions", {"batches": [batch]}, headers=operator)
    taken = api("GET", page, headers={**HTML, "cookie": f"tsuika_key={KEY}"}).text
    assert "19 2 3" in taken
    assert "checkbox" not in taken
