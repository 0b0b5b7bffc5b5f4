"""The Open Inference Protocol: metadata, inference as JSON and as bytes, refusals in its own form, a real client."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from service import __version__
from service.contract.predictions import InferenceResponse, ModelMetadata
from service.runtime import Runtime
from service.settings import Settings
from tests.acceptance.service import until
from tests.api.conftest import Api, MakeApi
from tests.api.test_raw_bodies import ROW, picture
from tests.intake.formats.test_oip_tensors import BINARY, FACES, FAULTS, GOOD, binary, element, tensor
from tests.making import make_model, make_version
from tests.running import Server

pytestmark = pytest.mark.usefixtures("lasting")

MODEL = "/v2/models/digits"
INFER = f"{MODEL}/infer"


@pytest.fixture
def answering(api: Api) -> Api:
    make_version(api.runtime, classes=["c", "a", "é"])
    return api


def send(api: Api, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return api("POST", INFER, content=body, headers=headers)


def outputs_of(response: httpx.Response) -> dict[str, Any]:
    """Outputs of a response by name, as JSON or as bytes."""
    assert response.status_code == 200, response.text
    length = response.headers.get("inference-header-content-length")
    media = "application/json" if length is None else "application/octet-stream"
    assert response.headers["content-type"] == media
    head, at = json.loads(response.content[: int(length)] if length else response.content), int(length or 0)
    InferenceResponse.model_validate(head)
    outputs = {}
    for output in head["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        data = response.content[at : at + (size or 0)]
        if size is None:
            outputs[output["name"]] = output["data"]
        elif output["datatype"] == "FP32":
            outputs[output["name"]] = np.frombuffer(data, "<f4").tolist()
        else:
            outputs[output["name"]] = [data[4:].decode()]
        at += size or 0
    assert at in (0, len(response.content))
    return outputs


def refused(response: httpx.Response, status: int = 422) -> str:
    """The sentence of a refusal."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body: dict[str, str] = response.json()
    assert body.keys() == {"error"}
    return body["error"]


def test_server_and_models_describe_themselves(answering: Api) -> None:
    server = answering.ok("GET", "/v2")
    assert server == {"name": "tsuika", "version": __version__, "extensions": ["binary_tensor_data"]}
    make_version(answering.runtime, classes=["c", "a"], seed=1)
    model = ModelMetadata.model_validate(answering.ok("GET", MODEL))
    assert (model.name, model.versions) == ("digits", ["1", "2"])
    assert [(t.name, t.datatype, t.shape) for t in model.inputs] == [("input", "FP32", [-1, 3])]
    first = answering.ok("GET", f"{MODEL}/versions/1")
    assert first["versions"] == ["1"]
    assert [(t["name"], t["datatype"], t["shape"]) for t in first["outputs"]] == [
        ("class", "BYTES", [-1]),
        ("scores", "FP32", [-1, 3]),
    ]
    for path, ready in [(MODEL, True), (f"{MODEL}/versions/1", True), (f"{MODEL}/versions/live", True)]:
        assert answering.ok("GET", f"{path}/ready") == {"name": "digits", "ready": ready}
    make_model(answering.runtime, "faces", FACES)
    faces = answering.ok("GET", "/v2/models/faces")
    assert (faces["versions"], faces["inputs"][0]["shape"]) == ([], [-1, 3, 4, 5])
    waiting = answering("GET", "/v2/models/faces/ready")
    assert (waiting.status_code, waiting.json()["ready"]) == (409, False)
    for path in ("/v2/models/nobody", f"{MODEL}/versions/9", f"{MODEL}/config", "/v2/repository/index"):
        assert refused(answering("GET", path), 404)
    assert answering("GET", f"{MODEL}/versions/9/ready").status_code == 404


def test_health_is_told_while_it_starts_and_stops(api: Api) -> None:
    assert api.ok("GET", "/v2/health/live") == {"live": True}
    assert api.ok("GET", "/v2/health/ready") == {"live": True, "ready": True}
    api.door.context.health.waiting_for = "the database"
    starting = api("GET", "/v2/health/ready")
    assert (starting.status_code, starting.json()["ready"]) == (503, False)
    assert starting.json()["error"] == "The service is starting."
    assert api.ok("GET", "/v2/health/live") == {"live": True}


def test_answers_name_the_request_the_version_and_the_columns(answering: Api) -> None:
    make_version(answering.runtime, classes=["c", "a"], seed=1)
    answer = answering.ok("POST", f"{MODEL}/versions/1/infer", {"inputs": [tensor()], "id": "é-42"})
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("digits", "1", "é-42")
    assert [output["name"] for output in answer["outputs"]] == ["class", "scores"]
    assert answer["outputs"][1]["shape"] == [1, 3]
    assert answer["outputs"][1]["parameters"] == {"classes": ["a", "c", "é"]}
    assert answering.ok("POST", INFER, {"inputs": [tensor()]})["model_version"] == "2"
    native = answering.ok("POST", "/v1/models/digits/versions/1/predictions", {"inputs": [ROW], "top": 3})
    shares = {share["class"]: share["score"] for share in native["predictions"][0]["top"]}
    assert answer["outputs"][1]["data"] == [shares["a"], shares["c"], shares["é"]]
    assert answer["outputs"][0]["data"] == [native["predictions"][0]["class"]]


def test_members_that_are_null_are_left_out(answering: Api) -> None:
    # as typed clients send them
    nothing = {"id": None, "parameters": None, "outputs": None}
    plain = answering.ok("POST", INFER, {"inputs": [tensor()]})
    assert answering.ok("POST", INFER, {"inputs": [{**tensor(), "parameters": None}], **nothing}) == plain
    hinted = {**tensor(), "parameters": {"content_type": None}}
    assert answering.ok("POST", INFER, {"inputs": [hinted], "parameters": {"headers": None}}) == plain
    wished = {**nothing, "outputs": [{"name": "class", "parameters": None}]}
    assert answering.ok("POST", INFER, {"inputs": [tensor()], **wished})["outputs"] == plain["outputs"][:1]


def test_what_is_not_known_may_be_nested_deeply(answering: Api) -> None:
    head = json.dumps({"inputs": [tensor()]}).encode()[:-1]
    for levels in [98, 100, 700, 900]:
        for nested in (b"[" * levels + b"]" * levels, b'{"parameters":' * levels + b"{}" + b"}" * levels):
            answer = send(answering, head + b', "more": ' + nested + b"}", {"content-type": "application/json"})
            assert answer.status_code in (200, 400), answer.text  # 400: too deep for the reader of JSON
            assert (answer.status_code == 200) == (levels == 98)  # the body is one more, the last object another


def test_the_framework_answers_as_the_dispatcher_does(answering: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = [(json.dumps(GOOD).encode(), {}), binary({}, np.array([ROW], "<f4").tobytes())]
    direct = [send(answering, *body) for body in bodies]
    monkeypatch.setattr("service.server.dispatch.inference.target", lambda scope: None)
    for body, before in zip(bodies, direct, strict=True):
        through = send(answering, *body)
        assert (through.content, through.headers["content-type"]) == (before.content, before.headers["content-type"])
    at = answering("POST", f"{MODEL}/versions/1/infer", {**GOOD, "parameters": {"binary_data_output": True}})
    assert outputs_of(at)["class"] == outputs_of(direct[0])["class"]
    assert "JSON" in refused(send(answering, b"{", {}), 400)


HALF = np.array([ROW], np.float32).view(np.uint32) >> 16


def test_numbers_of_every_datatype_are_the_same_row(answering: Api) -> None:
    due = outputs_of(answering("POST", INFER, {"inputs": [tensor([4.0, 2.0, 7.0])]}))
    whole = np.array([[4, 2, 7]])
    kinds = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
    kinds |= {f"{u}INT{8 * k}": f"<{'u' if u else 'i'}{k}" for u in ("", "U") for k in (1, 2, 4, 8)}
    for datatype, kind in kinds.items():
        body, headers = binary({}, whole.astype(kind).tobytes(), datatype=datatype)
        assert outputs_of(send(answering, body, headers)) == due, datatype
        if datatype != "FP16":
            for data in (whole.ravel().tolist(), whole.tolist()):
                assert outputs_of(answering("POST", INFER, {"inputs": [tensor(data, datatype=datatype)]})) == due, (
                    datatype
                )
    body, headers = binary({}, HALF.astype("<u2").tobytes(), datatype="BF16")
    assert outputs_of(send(answering, body, headers)) == outputs_of(answering("POST", INFER, {"inputs": [tensor(ROW)]}))


def test_outputs_are_chosen_and_may_be_bytes(answering: Api) -> None:
    whole = outputs_of(answering("POST", INFER, {"inputs": [tensor()]}))
    for parameters, outputs, names, as_bytes in [
        ({"binary_data_output": True}, None, ["class", "scores"], True),
        ({"binary_data_output": True}, [], ["class", "scores"], True),
        ({}, [{"name": "scores"}, {"name": "class"}], ["scores", "class"], False),
        ({}, [{"name": "scores", "parameters": {"binary_data": True}}], ["scores"], True),
        (
            {"binary_data_output": True},
            [{"name": "class"}, {"name": "scores", "parameters": {"binary_data": False}}],
            ["class", "scores"],
            True,
        ),
    ]:
        request = {"inputs": [tensor()], "parameters": parameters, "outputs": outputs}
        response = answering("POST", INFER, {k: v for k, v in request.items() if v is not None})
        assert ("inference-header-content-length" in response.headers) is as_bytes
        answered = outputs_of(response)
        assert list(answered) == names
        for name in names:
            assert answered[name] == (whole[name] if name == "class" else pytest.approx(whole[name], abs=1e-7))


def test_a_body_without_json_is_the_tensor(answering: Api) -> None:
    due = outputs_of(answering("POST", INFER, {"inputs": [tensor()], "parameters": {"binary_data_output": True}}))
    bare = send(answering, np.array([ROW], "<f4").tobytes(), {"Inference-Header-Content-Length": "0"})
    assert outputs_of(bare) == due
    assert "12 bytes each" in refused(send(answering, b"abc", {"Inference-Header-Content-Length": "0"}))


def test_what_is_wrong_is_named(answering: Api) -> None:
    for body, says in FAULTS:
        assert says in refused(answering("POST", INFER, content=json.dumps(body))), body


def test_bytes_that_do_not_fit_are_refused(answering: Api) -> None:
    for parameters, behind, says in BINARY:
        assert says in refused(send(answering, *binary({}, behind, **parameters))), parameters
    body, _ = binary({}, b"\0" * 12)
    for length in ("-1", "x", "1.0", "9" * 30, "1000000", ""):
        assert "bytes of the body" in refused(send(answering, body, {"Inference-Header-Content-Length": length}))


def test_a_missing_or_wrong_length_is_no_riddle(answering: Api) -> None:
    body, headers = binary({}, b"\0" * 12)
    refused(send(answering, body, {}), 400)
    length = int(headers["Inference-Header-Content-Length"])
    refused(send(answering, body, {"Inference-Header-Content-Length": str(length - 1)}), 400)
    refused(send(answering, body, {"Inference-Header-Content-Length": str(length + 1)}), 400)


def test_a_length_beyond_reason_is_refused_of_a_large_body_too(answering: Api) -> None:
    headers = {"Inference-Header-Content-Length": "9" * 5000}
    assert "how many of the 1,200,000 bytes" in refused(send(answering, bytes(1_200_000), headers))
    assert "how many of the 100,000 bytes" in refused(send(answering, bytes(100_000), headers))


def test_files_of_images_pass_the_door(make_api: MakeApi) -> None:
    api = make_api()
    make_model(api.runtime, "faces", FACES)
    make_version(api.runtime, "faces", spec=FACES)
    body, headers = binary({}, element(picture("PNG")), shape=[1], datatype="BYTES")
    assert api("POST", "/v2/models/faces/infer", content=body, headers=headers).status_code == 200


def test_bad_rows_do_not_touch_those_that_pass_with_them(answering: Api) -> None:
    rows = [np.array([[k, 1, 2]], "<f4") for k in range(6)]
    rows[3][0, 1] = np.nan
    due = outputs_of(answering("POST", INFER, {"inputs": [tensor([5.0, 1.0, 2.0])]}))["class"]

    async def together() -> list[httpx.Response]:
        bodies = [binary({"outputs": [{"name": "class"}]}, row.tobytes()) for row in rows]
        bodies.append((b"{", {}))
        return list(await asyncio.gather(*(answering.http.post(INFER, content=b, headers=h) for b, h in bodies)))

    answers = answering.runner.run(together())
    assert [answer.status_code for answer in answers] == [200, 200, 200, 422, 200, 200, 400]
    assert outputs_of(answers[5])["class"] == due


def test_what_every_request_meets_is_told_in_this_form_too(make_api: MakeApi) -> None:
    api = make_api(key="secret", max_body_bytes=2000, allowed_hosts="localhost")
    make_model(api.runtime)
    for method, path in [("GET", "/v2"), ("GET", MODEL), ("GET", f"{MODEL}/ready"), ("POST", INFER)]:
        assert "Authorization" in refused(api(method, path), 401)
    key = {"Authorization": "Bearer secret"}
    assert "no live version" in refused(api("POST", INFER, GOOD, headers=key), 409)
    make_version(api.runtime)
    assert api("POST", INFER, GOOD, headers=key).status_code == 200
    assert refused(api("POST", INFER, content=b" " * 3000, headers=key), 413)
    assert refused(api("POST", INFER, GOOD, headers={**key, "Content-Encoding": "gzip"}), 415)
    assert refused(api("POST", INFER, content=b"{}", headers={**key, "Content-Type": "text/plain"}), 415)
    assert "POST" in refused(api("GET", INFER, headers=key), 405)
    assert "milliseconds" in refused(api("POST", INFER, GOOD, headers={**key, "Tsuika-Timeout-Ms": "x"}))
    assert refused(api("POST", "/v2/models/digits/versions/9/infer", GOOD, headers=key), 404)


def test_a_timeout_is_a_deadline(answering: Api) -> None:
    for microseconds, status in [(1, 504), (0, 200), (60_000_000, 200)]:
        body = {**GOOD, "parameters": {"timeout": microseconds, "priority": 3, "source": "north"}}
        assert answering("POST", INFER, body).status_code == status
    assert "before its turn" in refused(answering("POST", INFER, {**GOOD, "parameters": {"timeout": 1}}), 504)


def test_a_triton_client_gets_the_same_numbers(shared: Server) -> None:
    with closing(Runtime(Settings(data=shared.data))) as runtime:
        make_model(runtime)
        make_version(runtime, classes=["c", "a", "é"])
        make_version(runtime, classes=["c", "a", "é"], seed=1)
    rows = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    with shared.client() as native:
        asked = "/v1/models/digits/predictions", {"inputs": rows.tolist(), "top": 3}
        until(lambda: native.post(asked[0], json=asked[1]).json().get("version") == 2, what="a look at what is live")
        predictions = native.post(asked[0], json=asked[1]).json()
    shares = [{share["class"]: share["score"] for share in row["top"]} for row in predictions["predictions"]]
    due = np.array([[row[name] for name in ("a", "c", "é")] for row in shares], np.float32)
    names = [row["class"] for row in predictions["predictions"]]

    with triton.InferenceServerClient(shared.url.removeprefix("http://")) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("digits")
        assert client.is_model_ready("digits", "1")
        assert not client.is_model_ready("digits", "9")
        assert client.get_server_metadata()["name"] == "tsuika"
        assert client.get_model_metadata("digits")["versions"] == ["1", "2"]
        for sent, received in [(a, b) for a in (True, False) for b in (True, False)]:
            rows_input = triton.InferInput("input", list(rows.shape), "FP32")
            rows_input.set_data_from_numpy(rows, binary_data=sent)
            wanted = [triton.InferRequestedOutput(name, binary_data=received) for name in ("scores", "class")]
            result = client.infer("digits", [rows_input], outputs=wanted, request_id="42")
            assert result.as_numpy("scores") == pytest.approx(due, abs=1e-6)
            assert [n.decode() if received else n for n in result.as_numpy("class")] == names
            assert (result.get_response()["id"], result.get_response()["model_version"]) == ("42", "2")
            whole = client.infer("digits", [rows_input], parameters={"source": "north"})
            assert whole.as_numpy("scores") == pytest.approx(due, abs=1e-6)
            first = client.infer("digits", [rows_input], model_version="1")
            assert first.as_numpy("scores") != pytest.approx(due)
        soon = [client.async_infer("digits", [rows_input]) for _ in range(3)]
        assert all(request.get_result().as_numpy("scores") == pytest.approx(due, abs=1e-6) for request in soon)

        narrow = triton.InferInput("input", [1, 2], "FP32")
        narrow.set_data_from_numpy(rows[:1, :2])
        missing = triton.InferInput("inputs", [7, 3], "FP32")
        missing.set_data_from_numpy(rows)
        for model, inputs, says in [
            ("digits", [narrow], r"digits takes \[-1, 3\]"),
            ("digits", [missing], '"inputs" is no input'),
            ("nobody", [rows_input], 'no model "nobody"'),
        ]:
            with pytest.raises(InferenceServerException, match=says):
                client.infer(model, inputs)
        top = [triton.InferRequestedOutput("scores", class_count=2)]
        with pytest.raises(InferenceServerException, match="classification"):
            client.infer("digits", [rows_input], outputs=top)
        with pytest.raises(InferenceServerException, match="compressed"):
            client.infer("digits", [rows_input], request_compression_algorithm="gzip")
