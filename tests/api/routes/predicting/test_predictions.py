"""Predictions: the same answer by every route, and the same verdict on every body."""

from __future__ import annotations

import json
import threading
from typing import Any

import httpx
import msgspec
import pytest
from pydantic import ValidationError

from service.api.bodies import prediction_bodies
from service.api.bodies.prediction_bodies import PredictMembers
from service.contract.inputs import RangeScale, VectorInput
from service.contract.predictions import Predictions
from service.contract.requests import Predict
from service.serving.loaded_versions import Loaded
from tests.api.conftest import Api, pointers
from tests.making import make_model, make_version

PATH = "/v1/models/digits/predictions"


def test_get_post_and_named_versions_say_the_same(answering: Api) -> None:
    answers = [
        answering("POST", PATH, {"inputs": [[1, 2, 3]], "top": 3}),
        answering("GET", f"{PATH}?input=[1,2,3]&top=3"),
        answering("POST", PATH, {"inputs": [[1, 2, 3]], "top": 3, "source": "somewhere"}),
        answering("GET", f"{PATH}?input=[1,2,3]&top=3&source=somewhere"),
        answering("POST", "/v1/models/digits/versions/1/predictions", {"inputs": [[1, 2, 3]], "top": 3}),
        answering("GET", "/v1/models/digits/versions/1/predictions?top=3&input=%5B1%2C%202%2C%203%5D"),
    ]
    for response in answers:
        assert response.status_code == 200, response.text
        assert response.headers["tsuika-version"] == "1"
        assert response.headers["content-type"] == "application/json"
        assert response.json() == answers[0].json()
    prediction = Predictions.model_validate(answers[0].json()).predictions[0]
    assert prediction.top[0].class_ == prediction.class_
    assert sum(s.score for s in prediction.top) == pytest.approx(1, abs=1e-12)


def test_values_outside_the_declared_range_are_noted(answering: Api) -> None:
    scaled = VectorInput(kind="vector", size=3, scale=RangeScale(range=(0, 1)))
    make_model(answering.runtime, "scaled", scaled)
    make_version(answering.runtime, "scaled", spec=scaled)
    ask = "/v1/models/scaled/predictions"
    assert "notes" not in answering("POST", ask, {"inputs": [[0, 0.1, 1]]}).json()
    assert (
        "range of this model's inputs, [0, 1]" in answering("POST", ask, {"inputs": [[0, 1, 1.5]]}).json()["notes"][0]
    )


def test_the_framework_answers_as_the_dispatcher_does(answering: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    direct = answering("POST", PATH, {"inputs": [[1, 2, 3]]})
    monkeypatch.setattr("service.server.dispatch.predictions.target", lambda scope: None)
    through = answering("POST", PATH, {"inputs": [[1, 2, 3]]})
    assert (through.json(), through.headers["tsuika-version"]) == (direct.json(), "1")
    assert answering("GET", f"{PATH}?input=[1,2,3]").json() == direct.json()
    assert answering("GET", "/v1/models/digits/versions/1/predictions?input=[1,2,3]").json() == direct.json()
    assert answering("POST", PATH, {"inputs": [[1, 2]]}).status_code == 422


BODIES: list[Any] = [
    {"inputs": [[1]]},
    {"inputs": [], "top": 1},
    {"inputs": [[1]], "top": 1000},
    {"inputs": [[1]], "top": 1001},
    {"inputs": [[1]], "top": 0},
    {"inputs": [[1]], "top": -1},
    {"inputs": [[1]], "top": True},
    {"inputs": [[1]], "top": "3"},
    {"inputs": [[1]], "top": 3.0},
    {"inputs": [[1]], "top": 3.5},
    {"inputs": [[1]], "top": None},
    {"inputs": [[1]], "top": 10**30},
    {"inputs": [[1]], "topp": 3},
    {"inputs": [[1]], "level": 0.8},
    {"inputs": [[1]], "level": 0.5},
    {"inputs": [[1]], "level": 0.999},
    {"inputs": [[1]], "level": 1},
    {"inputs": [[1]], "level": "0.8"},
    {"inputs": [[1]], "level": None},
    {"inputs": [[1]], "source": "north"},
    {"inputs": [[1]], "source": None},
    {"inputs": [[1]], "source": "n" * 201},
    {"inputs": [[1]], "source": 3},
    {"top": 3},
    {},
    {"inputs": {"a": 1}},
    {"inputs": "text"},
    {"inputs": None},
]


def test_both_validators_give_the_same_verdict(answering: Api) -> None:
    for body in BODIES:
        try:
            Predict.model_validate_json(json.dumps(body), strict=True)
            slow = True
        except ValidationError:
            slow = False
        try:
            msgspec.convert(body, PredictMembers)
            fast = True
        except msgspec.ValidationError:
            fast = False
        assert slow or not fast or not isinstance(body["inputs"], list), body
        response = answering("POST", PATH, body)
        if not slow:
            assert response.status_code == 422
        else:
            assert "/top" not in (pointers(response) if response.is_error else [])


def test_faulty_queries_are_pointed_at(answering: Api) -> None:
    for query, pointer in [
        ("", "/input"),
        ("input=", "/input"),
        ("input=[1,2]", "/input"),
        ("input=[1,2,NaN]", "/input/2"),
        ("input=[[1,2,3]]", "/input"),
        ('input=[1,2,"x"]', "/input/2"),
        ("input=[1,2,3]&top=0", "/top"),
        ("input=[1,2,3]&top=x", "/top"),
        ("input=[1,2,3]&top=99999999", "/top"),
        ("input=[1,2,3]&topp=1", ""),
    ]:
        refused = answering("GET", f"{PATH}?{query}")
        assert refused.status_code == 422, refused.text
        assert pointers(refused) == [pointer], query


def test_long_queries_are_sent_to_post(answering: Api) -> None:
    refused = answering("GET", f"{PATH}?input=[{'1,' * 5000}1]")
    assert refused.status_code == 414
    assert "POST" in refused.json()["detail"]


def test_a_long_list_of_classes_is_refused_with_what_to_do(answering: Api) -> None:
    refused = answering("POST", PATH, {"inputs": [[1, 2, 3]], "top": 1001})
    assert refused.json()["detail"] == "top should be less than or equal to 1000. Ask for fewer."


def test_unknown_names_and_absent_versions(answering: Api) -> None:
    ask = {"inputs": [[1, 2, 3]]}
    assert answering("POST", "/v1/models/nobody/predictions", ask).status_code == 404
    assert answering("POST", "/v1/models/digits/versions/7/predictions", ask).status_code == 404
    assert answering("POST", "/v1/models/digits/versions/nobody/predictions", ask).status_code == 404
    assert answering("POST", "/v1/models/../versions/1/predictions", ask).status_code == 404
    answering.ok("POST", "/v1/models", {"name": "empty", "input": {"kind": "vector", "size": 3}})
    none: httpx.Response = answering("POST", "/v1/models/empty/predictions", ask)
    assert (none.status_code, none.json()["type"]) == (409, "/problems/not-live")


def test_a_large_question_is_answered_row_by_row(answering: Api) -> None:
    rows = [[k, -k, k / 7] for k in range(5000)]
    predictions = answering.ok("POST", PATH, {"inputs": rows})["predictions"]
    assert len(predictions) == 5000
    one = answering.ok("POST", PATH, {"inputs": [rows[4321]]})["predictions"][0]
    assert predictions[4321]["class"] == one["class"]
    assert predictions[4321]["score"] == pytest.approx(one["score"], abs=1e-6)


def test_a_deadline_counts_while_a_version_is_loaded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    make_version(api.runtime)
    load, opened = api.runtime.live._load_requested, threading.Event()

    def slow(name: str, number: int | None) -> Loaded:
        opened.wait(60)
        return load(name, number)

    monkeypatch.setattr(api.runtime.live, "_load_requested", slow)
    late = api("POST", PATH, {"inputs": [[1, 2, 3]]}, headers={"Tsuika-Timeout-Ms": "30"})
    assert late.status_code == 504
    assert "loaded" in late.json()["detail"]
    infer = {"inputs": [{"name": "input", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}
    assert api("POST", "/v2/models/digits/infer", infer, headers={"Tsuika-Timeout-Ms": "30"}).status_code == 504
    opened.set()
    assert api("POST", PATH, {"inputs": [[1, 2, 3]]}, headers={"Tsuika-Timeout-Ms": "60000"}).status_code == 200


@pytest.mark.parametrize(("rows", "beside"), [(100, False), (5000, True)])
def test_much_that_the_quick_reader_does_not_take_is_read_beside_the_event_loop(
    api: Api, monkeypatch: pytest.MonkeyPatch, rows: int, beside: bool
) -> None:
    """The strict reader reports a wrong row, which takes long where many rows come before it."""
    make_version(api.runtime)
    api("POST", "/v1/models/digits/predictions", {"inputs": [[1, 2, 3]]})
    threads: list[threading.Thread] = []
    read = prediction_bodies.read_named_rows

    def noted(*arguments: Any) -> Any:
        threads.append(threading.current_thread())
        return read(*arguments)

    monkeypatch.setattr(prediction_bodies, "read_named_rows", noted)
    refused = api("POST", "/v1/models/digits/predictions", {"inputs": [*[[1, 2, 3]] * rows, [1, 2, "3"]]})
    assert pointers(refused) == [f"/inputs/{rows}/2"]
    assert [thread is not threading.main_thread() for thread in threads] == [beside]
