"""Predictions of models of tables: the same answer by every way in, notes on unknown values, refusals."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from service.contract.enums import NPY, PNG, RAW
from service.contract.inputs import INPUT_SPEC
from service.contract.tables import TableInput
from service.learning.data.target_grid import UNIT_STEPS, NumberGrid
from tests.api.conftest import Api
from tests.api.test_raw_bodies import bare, saved
from tests.making import keep_version, make_model, make_number_model, table_checkpoint

pytestmark = pytest.mark.usefixtures("lasting")

INPUT = {
    "kind": "table",
    "columns": [
        {"name": "age", "kind": "number"},
        {"name": "city", "kind": "category"},
        {"name": "plan", "kind": "category", "values": ["basic", "plus"]},
        {"name": "booked", "kind": "date"},
        {"name": "member", "kind": "boolean"},
    ],
}
TABLE = INPUT_SPEC.as_stored(INPUT)
LEARNED = {"city": ["Osaka", "Nara"]}
PATH = "/v1/models/stays/predictions"
ROW = {"age": 3, "city": "Osaka", "plan": "plus", "booked": "2026-11-29T05:30", "member": True}
NEW = {**ROW, "city": "Kyoto"}
NOTE = 'Version 1 has not learned "Kyoto" of city: it counts as missing.'
ONE = NumberGrid(names=["price"], offset=[500.0], step=[64 / UNIT_STEPS])


@pytest.fixture
def answering(api: Api) -> Api:
    """An application with "stays", classes of rows of tables, and "prices", numbers of them."""
    assert isinstance(TABLE, TableInput)
    make_model(api.runtime, "stays", TABLE)
    keep_version(api.runtime, "stays", table_checkpoint(TABLE, LEARNED))
    make_number_model(api.runtime, "prices", ONE, spec=TABLE)
    keep_version(api.runtime, "prices", table_checkpoint(TABLE, LEARNED, grid=ONE))
    return api


def test_every_way_in_says_the_same(answering: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    as_list = list(NEW.values())
    answers = [
        answering.ok("POST", PATH, {"inputs": [NEW]}),
        answering.ok("POST", PATH, {"inputs": [as_list], "top": 1}),
        answering.ok("GET", f"{PATH}?input={quote(json.dumps(NEW))}"),
        answering.ok("GET", f"{PATH}?input={quote(json.dumps(as_list))}&source=north"),
        answering.ok("POST", "/v1/models/stays/versions/1/predictions", {"inputs": [NEW]}),
    ]
    monkeypatch.setattr("service.api.bodies.request_body.LARGE_BYTES", 0)
    answers.append(answering.ok("POST", PATH, {"inputs": [NEW]}))  # read by the reading process
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["notes"] == [NOTE]


@pytest.mark.parametrize("name", ["stays", "prices"])
def test_notes_are_the_same_for_classes_and_numbers_and_in_long_answers(answering: Api, name: str) -> None:
    path = f"/v1/models/{name}/predictions"
    assert "notes" not in answering.ok("POST", path, {"inputs": [ROW]})
    long = answering.ok("POST", path, {"inputs": [ROW] * 300 + [NEW] + [ROW] * 30})
    assert long["notes"] == [NOTE]
    assert len(long["predictions"]) == 331
    without = answering.ok("POST", path, {"inputs": [{**ROW, "city": None}]})["predictions"][0]
    number = {"stays": "score", "prices": "value"}[name]
    assert long["predictions"][300][number] == pytest.approx(without[number])


def test_bodies_of_bare_numbers_and_images_are_refused_with_what_to_send(answering: Api) -> None:
    numbers = np.zeros((1, 5), np.float32)
    for media, body in ((RAW, numbers.tobytes()), (NPY, saved(numbers)), (PNG, b"\x89PNG\r\n\x1a\n")):
        refused = bare(answering, media, body, PATH)
        assert refused.status_code == 415
        assert refused.json()["detail"].startswith("stays takes rows of a table")
        assert "application/json or text/csv" in refused.json()["detail"]


@pytest.mark.sqlite
def test_a_new_version_that_learned_the_value_has_no_note(answering: Api) -> None:
    before: Any = answering.ok("POST", PATH, {"inputs": [NEW]})
    keep_version(answering.runtime, "stays", table_checkpoint(TABLE, {"city": ["Osaka", "Nara", "Kyoto"]}))
    answering.runtime.live.refresh()
    after = answering.ok("POST", PATH, {"inputs": [NEW]})
    assert (before["version"], after["version"]) == (1, 2)
    assert "notes" in before
    assert "notes" not in after
    assert before["predictions"] != after["predictions"]
    old = answering.ok("POST", "/v1/models/stays/versions/1/predictions", {"inputs": [NEW]})
    assert old == before


def test_the_open_inference_protocol_has_a_tensor_for_each_column(
    answering: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = answering.ok("GET", "/v2/models/stays")
    assert {tensor["name"]: tensor["datatype"] for tensor in metadata["inputs"]} == {
        "age": "FP64",
        "city": "BYTES",
        "plan": "BYTES",
        "booked": "BYTES",
        "member": "BOOL",
    }
    inputs = [{**tensor, "shape": [1], "data": [NEW[tensor["name"]]]} for tensor in metadata["inputs"]]
    due = answering.ok("POST", PATH, {"inputs": [NEW]})["predictions"][0]
    first = answering.ok("POST", "/v2/models/stays/infer", {"inputs": inputs})
    assert first["outputs"][0]["data"] == [due["class"]]
    assert max(first["outputs"][1]["data"]) == pytest.approx(due["score"])
    assert first["parameters"] == {"notes": NOTE}
    monkeypatch.setattr("service.api.bodies.request_body.LARGE_BYTES", 0)
    assert answering.ok("POST", "/v2/models/stays/infer", {"inputs": inputs}) == first
    refused = answering("POST", "/v2/models/stays/infer", {"inputs": [{**inputs[0], "name": "input"}]})
    assert refused.status_code == 422
    assert '"input" is no column of stays' in refused.json()["error"]
