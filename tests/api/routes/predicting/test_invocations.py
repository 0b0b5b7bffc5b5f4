"""Predictions in the form of MLflow's scoring server: every body that its callers send, answers and refusals.

RECORDED are bodies of mlflow.pyfunc.scoring_server.client.ScoringServerClient (mlflow-skinny 3.17.2), of a frame of
pandas and of an array. The client itself asks a service where the page on serving is typed
(tests/docs/test_reference.py).
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from service.api.bodies.invocation_bodies import native_body
from service.contract.inputs import ImageInput, TextInput, VectorInput
from service.learning.data.target_grid import UNIT_STEPS, NumberGrid
from tests.api.conftest import Api, MakeApi
from tests.api.routes.predicting.test_table_predictions import LEARNED, ROW, TABLE
from tests.api.routes.test_metrics import OPERATOR
from tests.making import keep_version, make_model, make_number_model, make_version, number_checkpoint, table_checkpoint

pytestmark = pytest.mark.usefixtures("lasting")

ROWS = [[1.0, -2.5, 3.25], [4.0, 0.5, -1.0]]
RECORDED = [
    '{"dataframe_split": {"index": [0, 1], "columns": ["a", "b", "c"], "data": [[1.0, -2.5, 3.25], [4.0, 0.5, -1.0]]}}',
    '{"inputs": [[1.0, -2.5, 3.25], [4.0, 0.5, -1.0]]}',
]
BODIES = [
    *map(json.loads, RECORDED),
    {"inputs": {"x": ROWS}},
    {"dataframe_split": {"data": ROWS}},
    {"dataframe_records": [dict(zip("abc", row, strict=True)) for row in ROWS]},
    {"instances": ROWS, "params": {"source": "north"}},
    {"instances": [{"x": row} for row in ROWS]},
    {"inputs": {"a": [1.0, 4.0], "b": [-2.5, 0.5], "c": [3.25, -1.0]}, "params": None},
]
CSV = {"Content-Type": "text/csv; charset=utf-8"}


@pytest.fixture
def answering(api: Api) -> Api:
    make_version(api.runtime)
    return api


def invoke(api: Api, body: Any, model: str = "digits") -> Any:
    return api.ok("POST", f"/v1/models/{model}/invocations", body)["predictions"]


def classes(api: Api, rows: list[Any], model: str = "digits") -> list[str]:
    answer = api.ok("POST", f"/v1/models/{model}/predictions", {"inputs": rows})
    return [row["class"] for row in answer["predictions"]]


def test_every_form_gives_the_native_answer(answering: Api) -> None:
    expected = classes(answering, ROWS)
    for body in BODIES:
        assert invoke(answering, body) == expected, body
        assert answering.ok("POST", "/invocations", body) == {"predictions": expected}
    for data in (b"a,b,c\n1,-2.5,3.25\n4,0.5,-1\n", b"\xef\xbb\xbfa,b,c\r\n1,-2.5,3.25\r\n4,.5,-1e0\r\n"):
        answer = answering("POST", "/v1/models/digits/invocations", content=data, headers=CSV)
        assert answer.json() == {"predictions": expected}
        assert answer.headers["tsuika-version"] == "1"


def test_a_column_takes_the_place_of_no_numbered_one(answering: Api) -> None:
    named = {"x0": 1.0, "x2": 3.25, "label": 2.0}
    for body in (
        {"dataframe_records": [named]},
        {"dataframe_split": {"columns": [*named], "data": [[1.0, 3.25, 2.0]]}},
    ):
        refused = answering("POST", "/v1/models/digits/invocations", body)
        assert (refused.status_code, '"x1" is missing' in refused.json()["message"]) == (422, True)


def test_no_column_is_taken_that_is_there_twice(answering: Api) -> None:
    named = {"kind": "vector", "size": 3, "scale": {"range": [0, 1]}, "names": ["a", "b", "c"]}
    answering.ok("POST", "/v1/models", {"name": "named", "input": named})
    make_version(answering.runtime, "named")
    for body in (
        b'{"dataframe_split": {"columns": ["a", "b", "c", "a"], "data": [[1, 2, 3, 9]]}}',
        b'{"dataframe_records": [{"a": 1, "b": 2, "c": 3, "a": 9}]}',
        b'{"inputs": {"a": [1], "b": [2], "c": [3], "a": [9]}}',
    ):
        for model in ("named", "digits"):
            path, media = f"/v1/models/{model}/invocations", {"Content-Type": "application/json"}
            refused = answering("POST", path, content=body, headers=media)
            assert (refused.status_code, '"a" is there twice' in refused.json()["message"]) == (422, True), body


def test_rows_with_names_go_by_them_beside_a_tensor() -> None:
    spec = VectorInput(kind="vector", size=3, names=["a", "b", "c"])
    mixed = [{"x": [1, 2, 3]}, {"c": 3, "b": 2, "a": 1}, [1, 2, 3]]
    body = json.dumps({"instances": mixed}).encode()
    assert json.loads(native_body(body, spec)) == {"inputs": [[1, 2, 3], *mixed[1:]]}


def test_many_rows_are_answered_whole(answering: Api) -> None:
    rows = np.random.default_rng(0).normal(0, 1, (2000, 3)).round(3).tolist()
    assert invoke(answering, {"inputs": rows}) == classes(answering, rows)
    refused = answering("POST", "/invocations", {"inputs": rows * 40})
    assert (refused.status_code, refused.json()["error_code"]) == (413, "BAD_REQUEST")
    assert "takes more" in refused.json()["message"]


def test_tables_texts_images_and_numbers(api: Api) -> None:
    make_model(api.runtime, "stays", TABLE)
    keep_version(api.runtime, "stays", table_checkpoint(TABLE, LEARNED))
    stays = classes(api, [ROW, {}], "stays")
    names, nothing = list(ROW), dict.fromkeys(ROW)
    split = {"columns": names, "data": [list(ROW.values()), [None] * len(names)]}
    for body in ({"dataframe_split": split}, {"dataframe_records": [ROW, nothing]}, {"instances": [ROW, {}]}):
        assert invoke(api, body, "stays") == stays
    as_pandas = json.dumps({"dataframe_records": [ROW, {**nothing, "age": float("nan")}]})  # with NaN, as it has it
    sent = api("POST", "/v1/models/stays/invocations", content=as_pandas, headers={"Content-Type": "application/json"})
    assert sent.json() == {"predictions": stays}
    file = ",".join(names) + "\n31,Osaka,plus,2026-11-29T05:30,true\n,,,,\n"
    sent = api("POST", "/v1/models/stays/invocations", content=file.encode(), headers=CSV)
    assert sent.json() == {"predictions": stays}
    image = ImageInput(kind="image", channels=1, height=2, width=2)
    make_model(api.runtime, "icons", image)
    make_version(api.runtime, "icons", spec=image)
    pixels = [[[[0, 255], [255, 0]]]]
    assert invoke(api, {"inputs": pixels}, "icons") == invoke(api, {"instances": [{"x": pixels[0]}]}, "icons")
    for name, size in (("load", 1), ("pair", 2)):
        grid = NumberGrid(names=["a", "b"][:size], offset=[0.0] * size, step=[64 / UNIT_STEPS] * size)
        make_number_model(api.runtime, name, grid)
        keep_version(api.runtime, name, number_checkpoint(grid))
        native = api.ok("POST", f"/v1/models/{name}/predictions", {"inputs": ROWS})["predictions"]
        assert invoke(api, {"inputs": ROWS}, name) == [row.get("value", row.get("values")) for row in native]
    text = TextInput(kind="text")
    for body in ({"dataframe_split": {"columns": ["text"], "data": [["a"], ["b"]]}}, {"inputs": ["a", "b"]}):
        assert json.loads(native_body(json.dumps(body).encode(), text)) == {"inputs": ["a", "b"]}


def test_what_is_wrong_is_refused_in_its_own_form(answering: Api) -> None:
    for body, status, words in [
        ({"rows": ROWS}, 422, "dataframe_split, dataframe_records, instances, inputs"),
        ({"inputs": ROWS, "instances": ROWS}, 422, "one of"),
        ([ROWS], 422, "JSON object"),
        ({"inputs": "abc"}, 422, "list of rows"),
        ({"inputs": [[1, 2]]}, 422, "Row 0 (counted from 0) has 2 numbers"),
        ({"inputs": [[1, None, 2]]}, 422, "null"),
        ({"inputs": {"a": [1, 2], "b": [1]}}, 422, "as many values"),
        ({"dataframe_split": ROWS}, 422, '"columns"'),
        ({"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}, 422, "a value for each"),
        ({"dataframe_split": {"columns": "a", "data": [[1]]}}, 422, "a value for each"),
        ({"inputs": ROWS, "params": {"top": 3}}, 422, "params takes source"),
        ({"inputs": ROWS, "params": 3}, 422, "params takes source"),
    ]:
        refused = answering("POST", "/v1/models/digits/invocations", body)
        assert (refused.status_code, set(refused.json())) == (status, {"error_code", "message"}), body
        assert words in refused.json()["message"], body


def test_a_query_says_how_a_csv_file_is_written_and_nothing_else(answering: Api) -> None:
    file = b"a;b;c;price\n1,5;-2,5;3,25;x\n"
    path = "/v1/models/digits/invocations"
    said = answering("POST", f"{path}?target=price&decimal=,&gaps=NA&encoding=utf-8", content=file, headers=CSV)
    assert said.json() == {"predictions": classes(answering, [[1.5, -2.5, 3.25]])}
    for query, words in (
        ("sates=day-first", "sates is not known"),
        ("top=3", "top is not known"),
        ("decimal=x", "decimal is what"),
        ("target=price&decimal=.", '"1,5" is not'),
    ):
        refused = answering("POST", f"{path}?{query}", content=file, headers=CSV)
        assert (refused.status_code, set(refused.json())) == (422, {"error_code", "message"})
        assert words in refused.json()["message"]
    for query, words in (("dates=day-first", "of a CSV file"), ("gaps=NA", "of a CSV file"), ("k=1", "k is not known")):
        refused = answering("POST", f"/invocations?{query}", {"inputs": ROWS})
        assert (refused.status_code, words in refused.json()["message"]) == (422, True), refused.text


def test_what_cannot_be_read_is_refused(answering: Api) -> None:
    for data, media, status in [
        (b'{"inputs": [[1, 2, Infinity]]}', "application/json", 400),
        (b'{"inputs": [[1, 2, 1e999]]}', "application/json", 422),
        (b'{"inputs": [[1, 2,', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"", "text/csv", 422),
        (b"\xff", "text/csv", 422),
        (b"a,b,c\n1,2\n", "text/csv", 422),
        (b"a,b,c\n1,two,3\n", "text/csv", 422),
        (b"a", "text/plain", 415),
    ]:
        refused = answering("POST", "/invocations", content=data, headers={"Content-Type": media})
        assert (refused.status_code, refused.json()["error_code"]) == (status, "BAD_REQUEST"), data


def test_the_short_address_is_of_the_only_model(api: Api) -> None:
    refused = api("POST", "/invocations", {"inputs": ROWS})  # there is digits, without a version
    assert (refused.status_code, refused.json()["error_code"]) == (409, "INVALID_STATE")
    make_model(api.runtime, "other")
    make_version(api.runtime, "other")
    several = api("POST", "/invocations", {"inputs": ROWS}).json()["message"]
    assert "such as /v1/models/other/invocations, /v1/models/digits/invocations" in several
    assert len(invoke(api, {"inputs": ROWS}, "other")) == 2
    for name in ("digits", "other"):
        api.ok("DELETE", f"/v1/models/{name}")
    refused = api("POST", "/invocations", {"inputs": ROWS})
    assert (refused.status_code, refused.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_a_model_says_at_its_own_address_that_it_answers(make_api: MakeApi) -> None:
    api = make_api(key="secret")
    for name in ("digits", "letters"):
        make_model(api.runtime, name)
    order = {"name": "caller", "scopes": ["predict"], "models": ["digits"]}
    theirs = {"Authorization": f"Bearer {api.ok('POST', '/v1/keys', order, headers=OPERATOR)['secret']}"}
    assert api("GET", "/v1/models/digits/ping", headers=theirs).status_code == 409, "nothing is live"
    make_version(api.runtime)
    api.runtime.live.refresh()
    assert api.ok("GET", "/v1/models/digits/ping", headers=theirs) == {"status": "ready"}
    assert api.ok("GET", "/v1/models/digits/version", headers=theirs) == api.ok("GET", "/version", headers=theirs)
    for path, headers, status in (
        ("letters/ping", theirs, 404),
        ("letters/version", theirs, 404),
        ("digits/ping", {}, 401),
    ):
        assert api("GET", f"/v1/models/{path}", headers=headers).status_code == status, path
