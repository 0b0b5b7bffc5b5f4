"""Predictions of models of numbers: the same values by every route, levels, refusals, a real service."""

from __future__ import annotations

import json
import math
from contextlib import closing

import httpx
import numpy as np
import pytest
import tritonclient.http as triton

from service.api.limits import long_answers
from service.contract.enums import NPY, RAW
from service.contract.predictions import InferenceResponse, ModelMetadata, NumberPredictions
from service.learning.data.target_grid import UNIT_STEPS, NumberGrid
from service.registry import models
from service.runtime import Runtime
from service.settings import Settings
from tests.acceptance.service import until
from tests.alike import alike
from tests.api.conftest import Api, pointers
from tests.api.test_raw_bodies import bare, saved
from tests.intake.formats.test_oip_tensors import binary, tensor
from tests.making import keep_version, make_number_model, make_version, number_checkpoint
from tests.running import Server
from tsuika import Client

pytestmark = pytest.mark.usefixtures("lasting")

PATH = "/v1/models/load/predictions"
INFER = "/v2/models/load/infer"
ROW = [1.0, -2.5, 3.25]
ONE = NumberGrid.model_validate({"names": ["MW"], "from": 2, "offset": [0.0], "step": [64 / UNIT_STEPS]})
TWO = NumberGrid(names=["low", "high"], offset=[500.0, -2.0], step=[64 / UNIT_STEPS, 0.25 / UNIT_STEPS])


@pytest.fixture
def answering(api: Api) -> Api:
    """An application with "load", one number a row; "pair", two; and "digits", classes."""
    for name, grid in (("load", ONE), ("pair", TWO)):
        make_number_model(api.runtime, name, grid)
        keep_version(api.runtime, name, number_checkpoint(grid))
    make_version(api.runtime)
    return api


def test_every_route_says_the_same(answering: Api) -> None:
    array = np.array([ROW], np.float32)
    answers = [
        answering("POST", PATH, {"inputs": [ROW], "level": 0.8}),
        answering("GET", f"{PATH}?input={ROW}&level=0.8"),
        answering("GET", f"{PATH}?input={ROW}&level=.8&source=north"),
        answering("POST", PATH, {"inputs": [ROW], "level": 0.8, "source": "north"}),
        answering("POST", "/v1/models/load/versions/1/predictions", {"inputs": [ROW], "level": 0.8}),
        answering("GET", f"/v1/models/load/versions/live/predictions?input={ROW}&level=0.80"),
        bare(answering, RAW, array.tobytes(), f"{PATH}?level=0.8"),
        bare(answering, NPY, saved(array.astype(np.float64)), f"{PATH}?level=0.8&source=north"),
    ]
    for response in answers:
        assert response.status_code == 200, response.text
        assert response.headers["tsuika-version"] == "1"
        assert response.json() == answers[0].json()
    first = answers[0].json()
    assert list(first) == ["model", "version", "level", "predictions"]
    [prediction] = first["predictions"]
    low, high = prediction["interval"]
    assert prediction["value"] == pytest.approx((low + high) / 2)
    usual = answering.ok("POST", PATH, {"inputs": [ROW]})
    assert (usual["level"], usual["predictions"][0]["value"]) == (0.9, prediction["value"])
    assert usual["predictions"][0]["interval"][1] - usual["predictions"][0]["interval"][0] == pytest.approx(
        (high - low) * 0.9 / 0.8
    )


def test_several_numbers_a_row_are_lists(answering: Api) -> None:
    answer = answering.ok("POST", "/v1/models/pair/predictions", {"inputs": [ROW, [0, 0, 0]]})
    for prediction in answer["predictions"]:
        assert list(prediction) == ["values", "intervals"]
        assert [low < value < high for value, (low, high) in zip(*prediction.values(), strict=True)] == [True, True]
    predictions = NumberPredictions.model_validate(answer)
    assert predictions.values == [p["values"] for p in answer["predictions"]]
    assert predictions.intervals == [[tuple(ends) for ends in p["intervals"]] for p in answer["predictions"]]


def test_a_level_out_of_bounds_is_refused(answering: Api) -> None:
    for level in [0.49, 0.995, 1, 0, -1, "0.8", True, [0.8], 1e400]:
        body = json.dumps({"inputs": [ROW], "level": level}).replace("Infinity", "1e400")
        refused = answering("POST", PATH, content=body, headers={"content-type": "application/json"})
        assert refused.status_code in (400, 422), refused.text
        assert refused.status_code == 400 or pointers(refused) == ["/level"], level


def test_a_level_in_a_query_is_a_decimal_number(answering: Api) -> None:
    for level in ["0.49", "0.991", "1", "nan", "0.8_5", "8e-1", " 0.8", "", "0.8&level=0.9"]:
        refused = answering("GET", f"{PATH}?input={ROW}&level={level}")
        assert refused.status_code == 422, level
        assert pointers(refused) == ["/level"], level
        assert bare(answering, RAW, np.array([ROW], "<f4").tobytes(), f"{PATH}?level={level}").status_code == 422, level


def test_each_kind_refuses_the_word_of_the_other(answering: Api) -> None:
    digits = "/v1/models/digits/predictions"
    rows, raw = {"inputs": [ROW]}, np.array([ROW], "<f4").tobytes()
    large = {"inputs": [ROW] * 30_000}
    for path, word, value, other in [(PATH, "top", 3, "level"), (digits, "level", 0.8, "top")]:
        for refused in [
            answering("POST", path, {**rows, word: value}),
            answering("POST", path, {**rows, word: value, "source": "north"}),
            answering("POST", path, {**large, word: value}),
            answering("GET", f"{path}?input={ROW}&{word}={value}"),
            bare(answering, RAW, raw, f"{path}?{word}={value}"),
        ]:
            assert refused.status_code == 422, refused.text
            assert pointers(refused) == [f"/{word}"]
            assert f"by {other}" in refused.json()["detail"]
    assert "belongs to" in answering("POST", INFER, {"inputs": [tensor()], "parameters": {"top": 3}}).json()["error"]
    assert answering("POST", PATH, {**rows, "level": 0.8, "top": 3}).status_code == 422


def test_bad_rows_are_refused_as_for_classes(answering: Api) -> None:
    for body, pointer in [
        ({"inputs": [[1, 2]]}, "/inputs/0"),
        ({"inputs": [ROW, [1, None, 3]]}, "/inputs/1/1"),
        ({"inputs": [[1, 2, 1e39]]}, "/inputs/0/2"),
        ({"inputs": [], "level": 0.8}, "/inputs"),
    ]:
        refused = answering("POST", PATH, body)
        assert (refused.status_code, pointers(refused)) == (422, [pointer])
    unknown = answering("POST", PATH, {"inputs": [ROW], "levels": 0.8})
    assert "Did you mean level?" in unknown.text


def test_a_large_body_is_answered_as_a_small_one(answering: Api) -> None:
    rows = np.random.default_rng(0).normal(size=(20_000, 3)).round(3).tolist()
    large = answering.ok("POST", PATH, {"inputs": rows, "level": 0.7})
    named = answering.ok("POST", PATH, {"inputs": rows, "level": 0.7, "source": "north"})
    assert large == named
    assert (len(large["predictions"]), large["level"]) == (20_000, 0.7)
    small = answering.ok("POST", PATH, {"inputs": rows[-2:], "level": 0.7})
    for a, b in zip(large["predictions"][-2:], small["predictions"], strict=True):
        assert [a["value"], *a["interval"]] == pytest.approx([b["value"], *b["interval"]], rel=1e-5)


def test_one_number_a_row_is_always_answered_several_up_to_the_limit(
    answering: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 1000
    monkeypatch.setattr("service.api.routes.predicting.predictions.MOST_SCORES", most)
    monkeypatch.setattr("service.api.routes.predicting.inference.MOST_SCORES", most)
    rows = np.zeros((most + 1, 3), "<f4")
    assert len(bare(answering, RAW, rows.tobytes(), PATH).json()["predictions"]) == most + 1
    pair = "/v1/models/pair/predictions"
    refused = bare(answering, RAW, rows[: most // 2 + 1].tobytes(), pair)
    assert (refused.status_code, pointers(refused)) == (422, ["/inputs"])
    assert refused.json()["detail"] == (
        "501 rows with 2 numbers each are 1,002 scores; an answer lists at most 1,000. "
        "Send the rows in several requests."
    )
    assert bare(answering, RAW, rows[: most // 2].tobytes(), pair).status_code == 200
    many = tensor(rows.ravel().tolist(), shape=[most + 1, 3])
    said = answering("POST", "/v2/models/pair/infer", {"inputs": [many]}).json()["error"]
    assert "with 6 numbers each" in said
    assert "Ask for value alone, for interval as bytes (binary_data), or send the rows in several requests." in said
    as_bytes = {"inputs": [many], "parameters": {"binary_data_output": True}}
    assert answering("POST", "/v2/models/pair/infer", as_bytes).status_code == 200
    assert most < long_answers.MOST_SCORES


def test_the_protocol_gives_values_and_intervals(answering: Api) -> None:
    native = answering.ok("POST", "/v1/models/pair/predictions", {"inputs": [ROW], "level": 0.8})["predictions"][0]
    request = {"inputs": [tensor()], "parameters": {"level": 0.8, "source": "north"}, "id": "42"}
    answer = answering.ok("POST", "/v2/models/pair/infer", request)
    InferenceResponse.model_validate(answer)
    assert (answer["model_version"], answer["id"]) == ("1", "42")
    value, interval = answer["outputs"]
    assert (value["name"], value["datatype"], value["shape"]) == ("value", "FP64", [1, 2])
    assert (interval["name"], interval["datatype"], interval["shape"]) == ("interval", "FP64", [1, 2, 2])
    assert value["parameters"] == {"names": ["low", "high"]}
    assert interval["parameters"] == {"names": ["low", "high"], "level": 0.8}
    assert value["data"] == native["values"]
    assert interval["data"] == [end for ends in native["intervals"] for end in ends]
    body, headers = binary({"parameters": {"binary_data_output": True}}, np.array([ROW], "<f4").tobytes())
    response = answering("POST", "/v2/models/pair/infer", content=body, headers=headers)
    at = int(response.headers["inference-header-content-length"])
    sizes = [output["parameters"]["binary_data_size"] for output in json.loads(response.content[:at])["outputs"]]
    assert sizes == [16, 32]
    assert np.frombuffer(response.content[at:], "<f8").tolist()[:2] == native["values"]
    alone = answering.ok("POST", INFER, {"inputs": [tensor()], "outputs": [{"name": "interval"}]})
    assert [(output["name"], output["parameters"]["level"]) for output in alone["outputs"]] == [("interval", 0.9)]
    for parameters, says in [({"level": 2}, "level is a number"), ({"level": True}, "level is a number")]:
        refused = answering("POST", INFER, {"inputs": [tensor()], "parameters": parameters})
        assert (refused.status_code, says in refused.json()["error"]) == (422, True)
    unknown = answering("POST", INFER, {"inputs": [tensor()], "outputs": [{"name": "scores"}]}).json()["error"]
    assert unknown == '"scores" is no output of this version. There are value and interval.'


def test_models_of_numbers_describe_themselves(answering: Api) -> None:
    keep_version(answering.runtime, "pair", number_checkpoint(TWO, intervals=False))
    make_number_model(answering.runtime, "new", TWO)
    new = ModelMetadata.model_validate(answering.ok("GET", "/v2/models/new"))
    assert (new.versions, [(t.name, t.shape) for t in new.outputs]) == (
        [],
        [("value", [-1, 2]), ("interval", [-1, 2, 2])],
    )
    for path, outputs in [
        ("/v2/models/load", [("value", "FP64", [-1, 1]), ("interval", "FP64", [-1, 1, 2])]),
        ("/v2/models/pair/versions/1", [("value", "FP64", [-1, 2]), ("interval", "FP64", [-1, 2, 2])]),
        ("/v2/models/pair", [("value", "FP64", [-1, 2])]),
    ]:
        described = ModelMetadata.model_validate(answering.ok("GET", path))
        assert [(t.name, t.datatype, t.shape) for t in described.outputs] == outputs
        assert answering.ok("GET", f"{path}/ready")["ready"]
    lacking = {"inputs": [tensor()], "outputs": [{"name": "interval"}]}
    refused = answering("POST", "/v2/models/pair/infer", lacking).json()["error"]
    assert refused == '"interval" is no output of this version. There is value.'
    whole = answering.ok("POST", "/v2/models/pair/infer", {"inputs": [tensor()]})
    assert [output["name"] for output in whole["outputs"]] == ["value"]


def test_the_level_of_a_model_is_followed_by_all_its_versions(answering: Api) -> None:
    keep_version(answering.runtime, "load", number_checkpoint(ONE, seed=1))

    def levels() -> list[float]:
        paths = [PATH, "/v1/models/load/versions/1/predictions", "/v1/models/pair/predictions"]
        return [answering.ok("POST", path, {"inputs": [ROW]})["level"] for path in paths]

    assert levels() == [0.9, 0.9, 0.9]
    answering.ok("PATCH", "/v1/models/load", {"target": {"level": 0.55}})
    assert levels() == [0.55, 0.55, 0.9]
    with answering.runtime.database.writing() as session:  # as another process does
        model = models.get(session, "load")
        model.target = {**model.target, "level": 0.625}
    answering.runtime.live.refresh()
    assert levels() == [0.625, 0.625, 0.9]
    [interval] = answering.ok("POST", INFER, {"inputs": [tensor()], "outputs": [{"name": "interval"}]})["outputs"]
    assert interval["parameters"]["level"] == 0.625


def test_the_level_takes_no_query(answering: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    answering.ok("POST", PATH, {"inputs": [ROW]})
    monkeypatch.setattr(answering.runtime.database, "looking", None)
    monkeypatch.setattr(answering.runtime.database, "reading", None)
    assert answering.ok("POST", PATH, {"inputs": [ROW]})["level"] == 0.9


def test_a_large_inference_is_read_aside(answering: Api) -> None:
    rows = np.random.default_rng(0).normal(size=(20_000, 3)).round(3)
    request = {"inputs": [tensor(rows.ravel().tolist(), shape=[20_000, 3])], "parameters": {"level": 0.6}}
    value, interval = answering.ok("POST", INFER, request)["outputs"]
    assert (value["shape"], interval["parameters"]["level"]) == ([20_000, 1], 0.6)
    assert all(map(math.isfinite, interval["data"]))


def test_the_document_says_that_an_answer_is_one_of_both(answering: Api) -> None:
    document = answering.ok("GET", "/openapi.json")
    post = document["paths"]["/v1/models/{model}/predictions"]["post"]
    answer = post["responses"]["200"]["content"]["application/json"]["schema"]
    assert [branch["$ref"].rpartition("/")[2] for branch in answer["anyOf"]] == ["Predictions", "NumberPredictions"]
    assert "level" in [parameter["name"] for parameter in post["parameters"]]


def test_a_real_service_answers_by_every_door_and_rolls_back(shared: Server) -> None:
    """A version without intervals, and one with them."""
    with closing(Runtime(Settings(data=shared.data))) as runtime:
        make_number_model(runtime, "load", ONE)
        keep_version(runtime, "load", number_checkpoint(ONE, seed=1, intervals=False))
        keep_version(runtime, "load", number_checkpoint(ONE))
    rows = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    file = saved(rows)
    with Client(shared.url) as client, shared.client() as http:
        asked = {"input": json.dumps(rows[0].tolist())}
        until(lambda: http.get(PATH, params=asked).json().get("version") == 2, what="a look at what is live")
        load = client.model("load")
        answer = load.predict(rows, level=0.8)
        assert isinstance(answer, NumberPredictions)
        assert (answer.version, answer.level, len(answer.values)) == (2, 0.8, 7)
        got = [http.get(PATH, params={"input": json.dumps(row), "level": "0.8"}).json() for row in rows.tolist()]
        for k, one in enumerate(got):
            low, high = one["predictions"][0]["interval"]
            assert [one["predictions"][0]["value"], low, high] == pytest.approx(
                [answer.values[k], *answer.intervals[k]], rel=1e-5
            )
        npy: httpx.Response = http.post(f"{PATH}?level=0.8", content=file, headers={"content-type": NPY})
        assert alike(NumberPredictions.model_validate(npy.json()), answer)
        assert load.predict(rows, version=1).intervals is None
        with triton.InferenceServerClient(shared.url.removeprefix("http://")) as protocol:
            sent = triton.InferInput("input", list(rows.shape), "FP32").set_data_from_numpy(rows)
            result = protocol.infer("load", [sent], parameters={"level": 0.8})
            assert alike(result.as_numpy("value").tolist(), [[value] for value in answer.values])
            assert alike(result.as_numpy("interval").tolist(), [[list(ends)] for ends in answer.intervals])
        load.rollback("to try")
        before = load.predict(rows[:1])
        assert isinstance(before, NumberPredictions)
        assert (before.version, before.intervals) == (1, None)
