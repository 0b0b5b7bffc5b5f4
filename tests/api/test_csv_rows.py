"""CSV files of vectors and of texts as bodies: the batches, updates and answers that the same rows in JSON are."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from service.contract.inputs import ImageInput, TextInput, VectorInput
from service.learning.data.serialization import unpack_rows
from service.registry import batches, models
from service.storage.artifacts import model_area
from tests.alike import alike
from tests.api.conftest import Api, pointers
from tests.api.test_csv import LARGE, comparable, send
from tests.making import make_model, make_version

pytestmark = pytest.mark.usefixtures("lasting")

NUMBERS = "a,b,c,label\n1,-2.5,3.25,yes\n4,0.5,-1,\n7,8,-8,no\n"
ROWS: list[Any] = [[1, -2.5, 3.25], [4, 0.5, -1], [7, 8, -8]]
TEXTS = 'text,label\n"Where is it, please?",yes\n caf\u00e9 ,no\n'
LINE_7 = "a,b,c,label\n" + "1,2,3,yes\n" * 5


@pytest.fixture
def wines(api: Api) -> Api:
    """ "digits" takes 3 numbers and has a version, "prices" predicts numbers of them, "intents" takes texts."""
    make_version(api.runtime, "digits", ["yes", "no"])
    make_model(api.runtime, "wine", VectorInput(kind="vector", size=3), classes=["yes", "no"])
    make_model(api.runtime, "prices", VectorInput(kind="vector", size=3), target={"kind": "number"})
    make_model(api.runtime, "intents", TextInput(kind="text", length=40), classes=["yes", "no"])
    make_model(api.runtime, "icons", ImageInput(kind="image", channels=1, height=2, width=2))
    return api


@pytest.mark.parametrize("limit", [256 * 1024, 0], ids=["here", "aside"])
def test_a_file_is_the_batch_that_the_same_json_is(wines: Api, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LARGE, limit)
    priced = NUMBERS.replace("label", "eur").replace("yes", "1.5").replace("no", "-2")
    for path, text, body in (
        ("wine", NUMBERS, {"inputs": ROWS, "labels": ["yes", None, "no"]}),
        ("prices", priced, {"inputs": ROWS, "targets": [1.5, None, -2]}),
        ("intents", TEXTS, {"inputs": ["Where is it, please?", "caf\u00e9 "], "labels": ["yes", "no"]}),
    ):
        made = send(wines, f"{path}/batches?source=north{'&target=eur' if path == 'prices' else ''}", text)
        assert made.status_code == 201, made.text
        same = wines("POST", f"/v1/models/{path}/batches", {**body, "source": "north"})
        assert (same.status_code, same.json()) == (200, made.json())
    with wines.runtime.database.reading() as session:
        newest, _ = batches.page(session, models.get(session, "wine"), 1, None)
        row = newest[0]
        stored = unpack_rows(wines.runtime.store.get(model_area(row.model_id), row.stored_digest or ""))
    assert (stored.inputs.tolist(), stored.label_names(), row.unlabelled) == ([ROWS[0], ROWS[2]], ["yes", "no"], 1)


def test_an_update_says_the_rest_in_its_query(wines: Api) -> None:
    ordered = send(wines, "wine/updates?method=ridge&seed=7&source=south&group=c", NUMBERS.replace("c", "patient"))
    assert (ordered.status_code, pointers(ordered)) == (422, ["/group"])
    four = "patient,a,b,c,label\n" + "k,1,2,3,yes\n,3,2,1,no\n" * 2
    ordered = send(wines, "wine/updates?method=ridge&seed=7&source=south&group=patient", four)
    assert ordered.status_code == 202, ordered.text
    assert ordered.json()["requested_method"] == {"name": "ridge"}


@pytest.mark.parametrize("limit", [256 * 1024, 0], ids=["here", "aside"])
def test_rows_of_a_file_are_predicted_as_those_of_json(wines: Api, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LARGE, limit)
    expected = wines.ok("POST", "/v1/models/digits/predictions", {"inputs": ROWS, "top": 2})
    bare = "\n".join(line.rpartition(",")[0] for line in NUMBERS.splitlines())
    assert alike(send(wines, "digits/predictions?top=2", bare).json(), expected)
    noted = send(wines, "digits/predictions?top=2", NUMBERS).json()
    assert alike(noted, {**expected, "notes": ['"label" is no column of digits, and left out.']})
    named = send(wines, "digits/predictions?top=2&target=kind", NUMBERS.replace("label", "kind")).json()
    assert alike(named["predictions"], expected["predictions"])
    refused = send(wines, "digits/predictions", NUMBERS.replace("label", "kind"))
    assert (refused.status_code, pointers(refused)) == (422, ["/inputs"])
    assert 'digits takes 3 numbers a row, and there are 4 columns: "a", "b", "c", "kind".' in refused.text.replace(
        "\\", ""
    )
    json_with_target = wines("POST", "/v1/models/digits/predictions?target=kind", {"inputs": ROWS})
    assert json_with_target.status_code == 422


def test_a_mistake_is_told_with_line_and_column_and_nothing_is_stored(
    wines: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path, text, pointer, words in [
        ("wine", LINE_7 + "1,2,yes\n", "/inputs/5", "Line 7 has 3 cells, and the header 4."),
        ("wine", LINE_7 + "1,two,3,yes\n", "/inputs/5/1", 'Line 7, column "b": "two" is not a number'),
        ("wine", LINE_7 + "1,2,3,yess\n", "/labels/5", 'Line 7, column "label": "yess" is not a class of wine. Near'),
        ("wine", LINE_7.replace(",label", ",kind"), "/target", 'No column is called "target" or "label"'),
        ("intents", TEXTS.replace("label", "kind"), "/target", 'No column is called "target" or "label"'),
        ("intents", TEXTS + f"{'x' * 41},yes\n", "/inputs/2", 'Line 4, column "text": It has 41 characters'),
        ("prices", NUMBERS, "/targets/0", 'Line 2, column "label": "yes" is not a number'),
    ]:
        monkeypatch.setattr(LARGE, 256 * 1024)
        refused = send(wines, f"{path}/updates", text)
        assert (refused.status_code, pointers(refused)) == (422, [pointer]), refused.text
        assert words in refused.json()["detail"], path
        assert wines.ok("GET", f"/v1/models/{path}/batches")["items"] == [], path
        monkeypatch.setattr(LARGE, 0)
        assert comparable(send(wines, f"{path}/updates", text)) == comparable(refused), path


def test_callers_of_a_scoring_server_are_told_the_same(wines: Api) -> None:
    def invoke(model: str, text: str) -> httpx.Response:
        content = {"content": text.encode(), "headers": {"Content-Type": "text/csv"}}
        return wines("POST", f"/v1/models/{model}/invocations", **content)

    native = wines.ok("POST", "/v1/models/digits/predictions", {"inputs": ROWS})["predictions"]
    assert invoke("digits", NUMBERS).json()["predictions"] == [row["class"] for row in native]
    assert 'Line 3, column "b": "x" is not' in invoke("digits", NUMBERS.replace("0.5", "x")).json()["message"]


def test_a_line_is_no_image(wines: Api) -> None:
    for path in ("icons/batches", "icons/updates"):
        refused = send(wines, path, NUMBERS)
        assert (refused.status_code, "no line of a CSV file is one" in refused.json()["detail"]) == (415, True)
