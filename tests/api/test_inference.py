"""The Open Inference Protocol: metadata, inference as JSON and as bytes, refusals in its own form, a real client."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from service import __version__
from service.contract.inference import InferenceResponse, ModelMetadata
from service.contract.inputs import ImageInput, InputSpec, TextInput, VectorInput
from service.errors import InvalidContent, TsuikaError
from service.intake.inference import Inference, Wanted, read_inference
from service.runtime import Runtime
from service.settings import Settings
from tests.api.conftest import Api, MakeApi
from tests.api.test_raw_bodies import PIXELS, ROW, picture
from tests.making import make_model, make_version
from tests.server import Server

MODEL = "/v2/models/digits"
INFER = f"{MODEL}/infer"
VECTOR = VectorInput(kind="vector", size=3)
FACES = ImageInput(kind="image", channels=3, height=4, width=5)
TEXTS = TextInput(kind="text")


@pytest.fixture
def answering(api: Api) -> Api:
    make_version(api.runtime, classes=["c", "a", "é"])
    return api


def tensor(data: Any = ROW, **other: Any) -> dict[str, Any]:
    return {"name": "input", "shape": [1, 3], "datatype": "FP32", "data": data, **other}


GOOD = {"inputs": [tensor()]}


def binary(request: dict[str, Any], behind: bytes, **tensor: Any) -> tuple[bytes, dict[str, str]]:
    """A body with bytes behind its JSON, and its headers."""
    parameters = {"binary_data_size": len(behind)}
    given = {"name": "input", "shape": [1, 3], "datatype": "FP32", "parameters": parameters, **tensor}
    head = json.dumps({"inputs": [given], **request}).encode()
    return head + behind, {"Inference-Header-Content-Length": str(len(head))}


def send(api: Api, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return api("POST", INFER, content=body, headers=headers)


def told(response: httpx.Response) -> dict[str, Any]:
    """Outputs by name, those that came as bytes, too."""
    assert response.status_code == 200, response.text
    length = response.headers.get("inference-header-content-length")
    media = "application/json" if length is None else "application/octet-stream"
    assert response.headers["content-type"] == media
    head, at = json.loads(response.content[: int(length)] if length else response.content), int(length or 0)
    InferenceResponse.model_validate(head)
    found = {}
    for output in head["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        data = response.content[at : at + (size or 0)]
        if size is None:
            found[output["name"]] = output["data"]
        elif output["datatype"] == "FP32":
            found[output["name"]] = np.frombuffer(data, "<f4").tolist()
        else:
            found[output["name"]] = [data[4:].decode()]
        at += size or 0
    assert at in (0, len(response.content))
    return found


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


def test_the_framework_answers_as_the_dispatcher_does(answering: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = [(json.dumps(GOOD).encode(), {}), binary({}, np.array([ROW], "<f4").tobytes())]
    direct = [send(answering, *body) for body in bodies]
    monkeypatch.setattr("service.api.door.inference.asked", lambda scope: None)
    for body, before in zip(bodies, direct, strict=True):
        through = send(answering, *body)
        assert (through.content, through.headers["content-type"]) == (before.content, before.headers["content-type"])
    at = answering("POST", f"{MODEL}/versions/1/infer", {**GOOD, "parameters": {"binary_data_output": True}})
    assert told(at)["class"] == told(direct[0])["class"]
    assert "JSON" in refused(send(answering, b"{", {}), 400)


HALF = np.array([ROW], np.float32).view(np.uint32) >> 16


def test_numbers_of_every_datatype_are_the_same_row(answering: Api) -> None:
    due = told(answering("POST", INFER, {"inputs": [tensor([4.0, 2.0, 7.0])]}))
    whole = np.array([[4, 2, 7]])
    kinds = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
    kinds |= {f"{u}INT{8 * k}": f"<{'u' if u else 'i'}{k}" for u in ("", "U") for k in (1, 2, 4, 8)}
    for datatype, kind in kinds.items():
        body, headers = binary({}, whole.astype(kind).tobytes(), datatype=datatype)
        assert told(send(answering, body, headers)) == due, datatype
        if datatype != "FP16":
            for data in (whole.ravel().tolist(), whole.tolist()):
                assert told(answering("POST", INFER, {"inputs": [tensor(data, datatype=datatype)]})) == due, datatype
    body, headers = binary({}, HALF.astype("<u2").tobytes(), datatype="BF16")
    assert told(send(answering, body, headers)) == told(answering("POST", INFER, {"inputs": [tensor(ROW)]}))


def test_outputs_are_chosen_and_may_be_bytes(answering: Api) -> None:
    whole = told(answering("POST", INFER, {"inputs": [tensor()]}))
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
        found = told(response)
        assert list(found) == names
        for name in names:
            assert found[name] == (whole[name] if name == "class" else pytest.approx(whole[name], abs=1e-7))


def test_a_body_without_json_is_the_tensor(answering: Api) -> None:
    due = told(answering("POST", INFER, {"inputs": [tensor()], "parameters": {"binary_data_output": True}}))
    bare = send(answering, np.array([ROW], "<f4").tobytes(), {"Inference-Header-Content-Length": "0"})
    assert told(bare) == due
    assert "12 bytes each" in refused(send(answering, b"abc", {"Inference-Header-Content-Length": "0"}))


FAULTS: list[tuple[Any, str]] = [
    ({"inputs": [tensor(name="x")]}, '"x" is no input of digits'),
    ({"inputs": [tensor(), tensor(name="mask")]}, '"mask" is no input'),
    ({"inputs": [tensor(), tensor()]}, "there 2 times"),
    ({"inputs": []}, "inputs is empty"),
    ({}, "missing required field inputs"),
    ([], "JSON object"),
    ({"inputs": {}}, "Expected array, got object - at inputs"),
    ({"inputs": [{"name": "input"}]}, "missing required field shape - at inputs[0]"),
    ({"inputs": [tensor(datatype="BOOL", data=[True] * 3)]}, "takes no BOOL"),
    ({"inputs": [tensor(datatype="BYTES", data=["a"] * 3)]}, "takes no BYTES"),
    ({"inputs": [tensor(datatype="fp32")]}, "takes no fp32"),
    ({"inputs": [tensor(datatype="FP16")]}, "JSON has no form for FP16"),
    ({"inputs": [tensor(shape=[3])]}, "one bare row"),
    ({"inputs": [tensor(shape=[1, 1, 3])]}, "digits takes [-1, 3]"),
    ({"inputs": [tensor(shape=[1, 4], data=[1] * 4)]}, "digits takes [-1, 3]"),
    ({"inputs": [tensor(shape=[2, 3])]}, "3 elements; shape [2, 3] has 6"),
    ({"inputs": [tensor(shape=[10**18, 3])]}, "3 elements"),
    ({"inputs": [tensor(shape=[-1, 3])]}, "at least one row"),
    ({"inputs": [tensor(shape=[0, 3], data=[])]}, "at least one row"),
    ({"inputs": [tensor(shape=[1.0, 3])]}, "inputs[0].shape[0]"),
    ({"inputs": [tensor([1, None, 3])]}, "Row 1 of input has null"),
    ({"inputs": [tensor([1, True, 3])]}, "true or false"),
    ({"inputs": [tensor([1, "2", 3])]}, "has text"),
    ({"inputs": [tensor([[1, 2], [3]])]}, "nested as its shape"),
    ({"inputs": [tensor([[1], [2], [3]])]}, "nested as its shape"),
    ({"inputs": [tensor([1, [2], 3])]}, "nested as its shape"),
    ({"inputs": [tensor([[1, 2, 3], [4, 5, 6]], shape=[3, 3])]}, "nested as its shape"),
    ({"inputs": [tensor("1, 2, 3")]}, "data of input is text"),
    ({"inputs": [tensor(None)]}, "neither data nor"),
    ({"inputs": [tensor([1, 2, 1e39])]}, "Row 1 has a number"),
    ({"inputs": [tensor([1, 2, 10**400])]}, "Row 1 of input has a number beyond"),
    ({"inputs": [tensor([1, 2, 200], datatype="INT8")]}, "no INT8"),
    ({"inputs": [tensor([1, 2, -1], datatype="UINT64")]}, "no UINT64"),
    ({"inputs": [tensor([1, 2, 3.5], datatype="INT32")]}, "no INT32"),
    ({"inputs": [tensor(parameters={"binary_data_size": 12})]}, "data and binary_data_size"),
    ({"inputs": [tensor(parameters={"shared_memory_region": "r"})]}, "no shared memory"),
    ({"inputs": [tensor(parameters=[])]}, "at inputs[0].parameters"),
    ({**GOOD, "id": 7}, "at id"),
    ({**GOOD, "outputs": [{"name": "logits"}]}, "class and scores"),
    ({**GOOD, "outputs": [{"name": "class"}, {"name": "class"}]}, "more than once"),
    ({**GOOD, "outputs": [{"name": "scores", "parameters": {"classification": 2}}]}, "classification"),
    ({**GOOD, "outputs": [{"name": "scores", "parameters": {"binary_data": 1}}]}, "binary_data is true or false"),
    ({**GOOD, "parameters": {"binary_data_output": "yes"}}, "binary_data_output is true or false"),
    ({**GOOD, "parameters": {"top": 3}}, "scores has all classes"),
    ({**GOOD, "parameters": {"source": 3}}, "source is text"),
    ({**GOOD, "parameters": {"source": "n" * 201}}, "source is text"),
    ({**GOOD, "parameters": {"timeout": -1}}, "microseconds"),
    ({**GOOD, "parameters": {"sequence_id": 3}}, "no sequences"),
]


def test_what_is_wrong_is_named(answering: Api) -> None:
    for body, says in FAULTS:
        assert says in refused(answering("POST", INFER, content=json.dumps(body))), body


BINARY: list[tuple[dict[str, Any], bytes, str]] = [
    ({"shape": [1, 3]}, b"\0" * 8, "8 bytes; FP32 of shape [1, 3] has 12"),
    ({"shape": [2, 3]}, b"\0" * 12, "has 24"),
    ({"shape": [1, 3], "datatype": "FP64"}, b"\0" * 12, "has 24"),
    ({"parameters": {"binary_data_size": 24}}, b"\0" * 12, "12 bytes follow the JSON, and binary_data_size says 24"),
    ({"parameters": {"binary_data_size": 8}}, b"\0" * 12, "binary_data_size says 8"),
    ({"parameters": {}}, b"\0" * 12, "neither data nor"),
    ({"parameters": {}, "data": ROW}, b"\0" * 12, "binary_data_size says 0"),
    ({"parameters": {"binary_data_size": -12}}, b"\0" * 12, "0 or more"),
    ({"parameters": {"binary_data_size": "12"}}, b"\0" * 12, "whole number of bytes"),
    ({"parameters": {"binary_data_size": True}}, b"\0", "whole number of bytes"),
    ({"shape": [1, 3]}, np.array([[1, np.nan, 3]], "<f4").tobytes(), "Row 1 has a number that is NaN"),
    ({"shape": [1, 3], "datatype": "FP64"}, np.array([[1, 1e300, 3]], "<f8").tobytes(), "Row 1 has a number"),
    ({"shape": [1, 3], "datatype": "FP16"}, np.array([[1, np.inf, 3]], "<f2").tobytes(), "Row 1 has a number"),
]


def test_bytes_that_do_not_fit_are_refused(answering: Api) -> None:
    for given, behind, says in BINARY:
        assert says in refused(send(answering, *binary({}, behind, **given))), given
    body, _ = binary({}, b"\0" * 12)
    for length in ("-1", "x", "1.0", "9" * 30, "1000000", ""):
        assert "bytes of the body" in refused(send(answering, body, {"Inference-Header-Content-Length": length}))


def test_a_missing_or_wrong_length_is_no_riddle(answering: Api) -> None:
    body, headers = binary({}, b"\0" * 12)
    refused(send(answering, body, {}), 400)
    length = int(headers["Inference-Header-Content-Length"])
    refused(send(answering, body, {"Inference-Header-Content-Length": str(length - 1)}), 400)
    refused(send(answering, body, {"Inference-Header-Content-Length": str(length + 1)}), 400)


def verdict(text: bytes, spec: InputSpec = VECTOR) -> Any:
    try:
        rows, *other = read_inference(text, None, spec, "digits")
    except TsuikaError as error:
        return error.detail
    return rows.tolist(), other


UNUSUAL = [
    b'{"inputs":[{"name":"input","shape":[1,3],"datatype":"FP32","data":[1,2,3]}],"inputs":[]}',
    b'{"id":"a","id":"b","inputs":[{"name":"input","shape":[1,3],"datatype":"FP32","data":[1,2,3]}]}',
    b'{"inputs":[{"name":"input","shape":[1,3],"datatype":"FP32","data":[1,2,3],"data":[4,5,6]}]}',
    b'{"inputs":[{"name":"input","shape":[1,3],"datatype":"FP32","data":[1,NaN,3]}]}',
    b'{"inputs":[{"name":"input","shape":[1,3],"datatype":"FP32","data":[1,2,3]}],"id":"\\ud800"}',
    b'{"inputs":[{"name":"input","shape":[1,3],"datatype":"FP32","data" : [1,2,3]}],"id":"a:b [\\"data\\"]"}',
    b'{"inputs":[{"name":"input","shape":[1,3],"datatype":"FP32","data":[1,2,3]}],"id":"data","model_name":"m"}',
    b'{"id":"data","inputs":[{"name":"input","shape":[1,3],"datatype":"FP32","data":0,"parameters":{"x":[1]}}]}',
    b'{"data":[1,2,3],"inputs":[{"name":"input","shape":[1,3],"datatype":"FP32"}]}',
    b'{"inputs":[{"name":"input","shape":[1,3],"datatype":"FP32","data":[1,2,3]}],"parameters":{"a":"x:y","b":1.5}}',
    b'\xef\xbb\xbf{"inputs":[{"name":"input","shape":[1,3],"datatype":"FP32","data":[1,2,3]}]}',
    b'{"inputs":[{"name":"input","shape":[1,3],"datatype":"FP32","data":[1,2,3]}]}x',
    b'{"inputs":[{"name":"input","shape":[1,3],"datatype":"FP32","data":[[1,2,3]]}]}',
    b'{"inputs":[{"name":"input","shape":[1,3],"datatype":"FP32","data":[1,2,3]}],"id":"\xff"}',
]


def test_the_quick_reader_and_the_strict_one_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [json.dumps(body).encode() for body, _ in FAULTS] + UNUSUAL
    texts += [json.dumps({"inputs": [tensor()], **more}).encode() for more in ({}, {"id": "x"}, {"outputs": []})]
    quick = [verdict(text) for text in texts]
    monkeypatch.setattr("service.intake.inference._quick", lambda text: None)
    assert quick == [verdict(text) for text in texts]
    assert sum(not isinstance(found, str) for found in quick) >= 6


def element(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data


def read(spec: InputSpec, behind: bytes | None = None, **given: Any) -> Inference:
    if behind is None:
        return read_inference(json.dumps({"inputs": [tensor(**given)]}).encode(), None, spec, "it")
    body, headers = binary({}, behind, **given)
    return read_inference(body, headers["Inference-Header-Content-Length"], spec, "it")


def test_texts_are_bytes_elements() -> None:
    for shape, data in [([2], ["né", "b"]), ([2, 1], [["né"], ["b"]]), ([2, 1], ["né", "b"])]:
        assert read(TEXTS, shape=shape, datatype="BYTES", data=data).rows.tolist() == ["né", "b"]
    both = element("né".encode()) + element(b"b")
    assert read(TEXTS, both, shape=[2], datatype="BYTES").rows.tolist() == ["né", "b"]
    bare = read_inference(b"where is it", "0", TEXTS, "it")
    assert (bare.rows.tolist(), bare.wanted) == (["where is it"], [Wanted("class", True), Wanted("scores", True)])
    for behind, says in [
        (both[:-1], "Row 2 of input is cut short"),
        (both + b"\1\0", "Row 3 of input is cut short"),
        (element(b"a"), "1 elements; shape [2] has 2"),
        (element(b"\xff") + element(b"b"), "Text 1 is not UTF-8"),
        (element(b"") + element(b"b"), "Text 1 is empty"),
    ]:
        with pytest.raises(InvalidContent, match=says.replace("[", r"\[")):
            read(TEXTS, behind, shape=[2], datatype="BYTES")
    for given, says in [({"data": ["a", 1]}, "Row 2 of input has a number"), ({"datatype": "FP32"}, "takes no FP32")]:
        with pytest.raises(InvalidContent, match=says):
            read(TEXTS, **{"shape": [2], "datatype": "BYTES", "data": ["a", "b"], **given})


def test_images_are_files_or_numbers(make_api: MakeApi) -> None:
    lists, png = PIXELS.transpose(2, 0, 1)[None], picture("PNG")
    for found in (
        read(FACES, png and element(png), shape=[1], datatype="BYTES"),
        read(FACES, shape=[1], datatype="BYTES", data=[base64.b64encode(png).decode()]),
        read(FACES, lists.tobytes(), shape=[1, 3, 4, 5], datatype="UINT8"),
        read(FACES, shape=[1, 3, 4, 5], data=lists.tolist()),
        read(FACES, shape=[1, 3, 4, 5], data=lists.ravel().tolist()),
        read_inference(png, "0", FACES, "faces"),
    ):
        assert found.rows.tolist() == lists.tolist()
    for behind, says in [(b"none", "Row 1 is no image"), (picture("PNG", PIXELS[:3]), "takes 5 x 4")]:
        with pytest.raises(InvalidContent, match=says):
            read(FACES, element(behind), shape=[1], datatype="BYTES")
    with pytest.raises(InvalidContent, match="Row 1 is not base64"):
        read(FACES, shape=[1], datatype="BYTES", data=["?"])
    api = make_api()
    make_model(api.runtime, "faces", FACES)
    make_version(api.runtime, "faces", spec=FACES)
    body, headers = binary({}, element(png), shape=[1], datatype="BYTES")
    assert api("POST", "/v2/models/faces/infer", content=body, headers=headers).status_code == 200


def test_bad_rows_do_not_touch_those_that_pass_with_them(answering: Api) -> None:
    rows = [np.array([[k, 1, 2]], "<f4") for k in range(6)]
    rows[3][0, 1] = np.nan
    due = told(answering("POST", INFER, {"inputs": [tensor([5.0, 1.0, 2.0])]}))["class"]

    async def together() -> list[httpx.Response]:
        bodies = [binary({"outputs": [{"name": "class"}]}, row.tobytes()) for row in rows]
        bodies.append((b"{", {}))
        return list(await asyncio.gather(*(answering.http.post(INFER, content=b, headers=h) for b, h in bodies)))

    answers = answering.runner.run(together())
    assert [answer.status_code for answer in answers] == [200, 200, 200, 422, 200, 200, 400]
    assert told(answers[5])["class"] == due


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


def test_no_body_is_a_fault_of_ours() -> None:
    chance = random.Random(0)
    bodies = [(json.dumps({"inputs": [tensor()], "outputs": [{"name": "class"}], "id": "x"}).encode(), None)]
    for spec in (VECTOR, FACES, TEXTS):
        for datatype, behind in [("FP32", b"\0" * 12), ("BYTES", element(picture("PNG")) + element(b"a"))]:
            body, headers = binary({}, behind, datatype=datatype, shape=[2])
            bodies += [(body, headers["Inference-Header-Content-Length"]), (body, "0")]
        for body, length in bodies:
            for _ in range(40):
                place = chance.randrange(len(body))
                broken = body[:place] + bytes([chance.randrange(256)]) + body[place + chance.randrange(3) :]
                with contextlib.suppress(TsuikaError):
                    read_inference(broken, length, spec, "it")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Server]:
    """A service in a process of its own, with two versions of "digits"."""
    folder = tmp_path_factory.mktemp("inference")
    (folder / "data").mkdir()
    shutil.copy(migrated, folder / "data" / "tsuika.db")
    runtime = Runtime(Settings.from_environment({"TSUIKA_DATA": str(folder / "data")}))
    make_model(runtime)
    make_version(runtime, classes=["c", "a", "é"])
    make_version(runtime, classes=["c", "a", "é"], seed=1)
    runtime.close()
    with Server(folder, worker=False) as server:
        yield server


def test_a_triton_client_gets_the_same_numbers(server: Server) -> None:
    rows = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    with server.client() as native:
        asked = native.post("/v1/models/digits/predictions", json={"inputs": rows.tolist(), "top": 3}).json()
    shares = [{share["class"]: share["score"] for share in row["top"]} for row in asked["predictions"]]
    due = np.array([[row[name] for name in ("a", "c", "é")] for row in shares], np.float32)
    names = [row["class"] for row in asked["predictions"]]

    with triton.InferenceServerClient(server.url.removeprefix("http://")) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("digits")
        assert client.is_model_ready("digits", "1")
        assert not client.is_model_ready("digits", "9")
        assert client.get_server_metadata()["name"] == "tsuika"
        assert client.get_model_metadata("digits")["versions"] == ["1", "2"]
        for sent, received in [(a, b) for a in (True, False) for b in (True, False)]:
            given = triton.InferInput("input", list(rows.shape), "FP32")
            given.set_data_from_numpy(rows, binary_data=sent)
            wanted = [triton.InferRequestedOutput(name, binary_data=received) for name in ("scores", "class")]
            found = client.infer("digits", [given], outputs=wanted, request_id="42")
            assert np.array_equal(found.as_numpy("scores"), due)
            assert [n.decode() if received else n for n in found.as_numpy("class")] == names
            assert (found.get_response()["id"], found.get_response()["model_version"]) == ("42", "2")
            whole = client.infer("digits", [given], parameters={"source": "north"})
            assert np.array_equal(whole.as_numpy("scores"), due)
            first = client.infer("digits", [given], model_version="1")
            assert not np.array_equal(first.as_numpy("scores"), due)
        soon = [client.async_infer("digits", [given]) for _ in range(3)]
        assert all(np.array_equal(request.get_result().as_numpy("scores"), due) for request in soon)

        narrow = triton.InferInput("input", [1, 2], "FP32")
        narrow.set_data_from_numpy(rows[:1, :2])
        missing = triton.InferInput("inputs", [7, 3], "FP32")
        missing.set_data_from_numpy(rows)
        for model, inputs, says in [
            ("digits", [narrow], r"digits takes \[-1, 3\]"),
            ("digits", [missing], '"inputs" is no input'),
            ("nobody", [given], 'no model "nobody"'),
        ]:
            with pytest.raises(InferenceServerException, match=says):
                client.infer(model, inputs)
        top = [triton.InferRequestedOutput("scores", class_count=2)]
        with pytest.raises(InferenceServerException, match="classification"):
            client.infer("digits", [given], outputs=top)
        with pytest.raises(InferenceServerException, match="compressed"):
            client.infer("digits", [given], request_compression_algorithm="gzip")
