"""Inference requests as rows: taken or refused in which words, by the fast reader as by the strict one."""

from __future__ import annotations

import base64
import contextlib
import json
import random
from typing import Any

import numpy as np
import pytest

from service.contract.inputs import ImageInput, InputSpec, TextInput, VectorInput
from service.errors import InvalidContent, TsuikaError
from service.intake.formats import oip_request
from service.intake.formats.oip_request import Inference, Wanted, read_inference
from tests.api.test_raw_bodies import PIXELS, ROW, picture

VECTOR = VectorInput(kind="vector", size=3)
FACES = ImageInput(kind="image", channels=3, height=4, width=5)
TEXTS = TextInput(kind="text")
OUTPUTS = ("class", "scores")


def tensor(data: Any = ROW, **other: Any) -> dict[str, Any]:
    return {"name": "input", "shape": [1, 3], "datatype": "FP32", "data": data, **other}


GOOD = {"inputs": [tensor()]}


def binary(request: dict[str, Any], behind: bytes, **tensor: Any) -> tuple[bytes, dict[str, str]]:
    """A body with bytes behind its JSON, and its headers."""
    parameters = {"binary_data_size": len(behind)}
    members = {"name": "input", "shape": [1, 3], "datatype": "FP32", "parameters": parameters, **tensor}
    head = json.dumps({"inputs": [members], **request}).encode()
    return head + behind, {"Inference-Header-Content-Length": str(len(head))}


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
    ({"inputs": [tensor([1, None, 3])]}, "Row 0 (counted from 0) of input has null"),
    ({"inputs": [tensor([1, True, 3])]}, "true or false"),
    ({"inputs": [tensor([1, "2", 3])]}, "has text"),
    ({"inputs": [tensor([[1, 2], [3]])]}, "nested as its shape"),
    ({"inputs": [tensor([[1], [2], [3]])]}, "nested as its shape"),
    ({"inputs": [tensor([1, [2], 3])]}, "nested as its shape"),
    ({"inputs": [tensor([[1, 2, 3], [4, 5, 6]], shape=[3, 3])]}, "nested as its shape"),
    ({"inputs": [tensor("1, 2, 3")]}, "data of input is text"),
    ({"inputs": [tensor(None)]}, "neither data nor"),
    ({"inputs": [tensor([1, 2, 1e39])]}, "Row 0 (counted from 0) has a number"),
    ({"inputs": [tensor([1, 2, 10**400])]}, "Row 0 (counted from 0) of input has a number beyond"),
    ({"inputs": [tensor([1, 2, 200], datatype="INT8")]}, "no INT8"),
    ({"inputs": [tensor([1, 2, -1], datatype="UINT64")]}, "no UINT64"),
    ({"inputs": [tensor([1, 2, 3.5], datatype="INT32")]}, "no INT32"),
    ({"inputs": [tensor(parameters={"binary_data_size": 12})]}, "data and binary_data_size"),
    ({"inputs": [tensor(parameters={"shared_memory_region": "r"})]}, "no shared memory"),
    ({"inputs": [tensor(None, parameters={"shared_memory_region": "r"})]}, "no shared memory"),
    ({"inputs": [tensor(parameters=[])]}, "at inputs[0].parameters"),
    ({**GOOD, "id": 7}, "at id"),
    ({**GOOD, "outputs": [{"name": "logits"}]}, "class and scores"),
    ({**GOOD, "outputs": [{"name": "class"}, {"name": "class"}]}, "more than once"),
    ({**GOOD, "outputs": [{"name": "scores", "parameters": {"classification": 2}}]}, "classification"),
    ({**GOOD, "outputs": [{"name": "scores", "parameters": {"binary_data": 1}}]}, "binary_data is true or false"),
    ({**GOOD, "parameters": {"binary_data_output": "yes"}}, "binary_data_output is true or false"),
    ({**GOOD, "parameters": {"top": 3}}, "an output has all columns"),
    ({**GOOD, "parameters": {"level": 1}}, "level is a number from 0.5 to 0.99"),
    ({**GOOD, "parameters": {"level": "0.8"}}, "level is a number"),
    ({**GOOD, "parameters": {"level": 0.8}}, "digits predicts classes"),
    ({**GOOD, "parameters": {"source": 3}}, "source is text"),
    ({**GOOD, "parameters": {"source": "n" * 201}}, "source is text"),
    ({**GOOD, "parameters": {"timeout": -1}}, "microseconds"),
    ({**GOOD, "parameters": {"sequence_id": 3}}, "no sequences"),
]


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
    ({"shape": [1, 3]}, np.array([[1, np.nan, 3]], "<f4").tobytes(), "Row 0 (counted from 0) has a number that is NaN"),
    (
        {"shape": [1, 3], "datatype": "FP64"},
        np.array([[1, 1e300, 3]], "<f8").tobytes(),
        "Row 0 (counted from 0) has a number",
    ),
    (
        {"shape": [1, 3], "datatype": "FP16"},
        np.array([[1, np.inf, 3]], "<f2").tobytes(),
        "Row 0 (counted from 0) has a number",
    ),
]


def verdict(text: bytes, spec: InputSpec = VECTOR) -> Any:
    try:
        rows, *other = read_inference(text, None, spec, "digits", OUTPUTS)
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
    monkeypatch.setattr("service.intake.formats.oip_request._read_quickly", lambda text: None)
    assert quick == [verdict(text) for text in texts]
    assert sum(not isinstance(outcome, str) for outcome in quick) >= 6


def element(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data


def read(spec: InputSpec, behind: bytes | None = None, **members: Any) -> Inference:
    if behind is None:
        return read_inference(json.dumps({"inputs": [tensor(**members)]}).encode(), None, spec, "it", OUTPUTS)
    body, headers = binary({}, behind, **members)
    return read_inference(body, headers["Inference-Header-Content-Length"], spec, "it", OUTPUTS)


def test_texts_are_bytes_elements() -> None:
    for shape, data in [([2], ["né", "b"]), ([2, 1], [["né"], ["b"]]), ([2, 1], ["né", "b"])]:
        assert read(TEXTS, shape=shape, datatype="BYTES", data=data).rows.tolist() == ["né", "b"]
    both = element("né".encode()) + element(b"b")
    assert read(TEXTS, both, shape=[2], datatype="BYTES").rows.tolist() == ["né", "b"]
    bare = read_inference(b"where is it", "0", TEXTS, "it", OUTPUTS)
    assert (bare.rows.tolist(), bare.wanted) == (["where is it"], [Wanted("class", True), Wanted("scores", True)])
    for behind, says in [
        (both[:-1], r"Row 1 \(counted from 0\) of input is cut short"),
        (both + b"\1\0", r"Row 2 \(counted from 0\) of input is cut short"),
        (element(b"a"), "1 elements; shape [2] has 2"),
        (element(b"\xff") + element(b"b"), r"Text 0 \(counted from 0\) is not UTF-8"),
        (element(b"") + element(b"b"), r"Text 0 \(counted from 0\) is empty"),
    ]:
        with pytest.raises(InvalidContent, match=says.replace("[", r"\[")):
            read(TEXTS, behind, shape=[2], datatype="BYTES")
    for members, says in [
        ({"data": ["a", 1]}, r"Row 1 \(counted from 0\) of input has a number"),
        ({"datatype": "FP32"}, "takes no FP32"),
    ]:
        with pytest.raises(InvalidContent, match=says):
            read(TEXTS, **{"shape": [2], "datatype": "BYTES", "data": ["a", "b"], **members})


def test_images_are_files_or_numbers() -> None:
    lists, png = PIXELS.transpose(2, 0, 1)[None], picture("PNG")
    for inference in (
        read(FACES, element(png), shape=[1], datatype="BYTES"),
        read(FACES, shape=[1], datatype="BYTES", data=[base64.b64encode(png).decode()]),
        read(FACES, lists.tobytes(), shape=[1, 3, 4, 5], datatype="UINT8"),
        read(FACES, shape=[1, 3, 4, 5], data=lists.tolist()),
        read(FACES, shape=[1, 3, 4, 5], data=lists.ravel().tolist()),
        read_inference(png, "0", FACES, "faces", OUTPUTS),
    ):
        assert inference.rows.tolist() == lists.tolist()
    for behind, says in [
        (b"none", r"Row 0 \(counted from 0\) is no image"),
        (picture("PNG", PIXELS[:3]), "takes 5 x 4"),
    ]:
        with pytest.raises(InvalidContent, match=says):
            read(FACES, element(behind), shape=[1], datatype="BYTES")
    with pytest.raises(InvalidContent, match=r"Row 0 \(counted from 0\) is not base64"):
        read(FACES, shape=[1], datatype="BYTES", data=["?"])


def test_the_usual_requests_are_read_at_once() -> None:
    for more in ({}, {"id": "x"}, {"outputs": [{"name": "class"}]}, {"parameters": {"binary_data_output": True}}):
        assert oip_request._read_quickly(json.dumps({**GOOD, **more}).encode()) is not None
    body, headers = binary({"outputs": [{"name": "scores", "parameters": {"binary_data": True}}]}, b"\0" * 12)
    assert oip_request._read_quickly(body[: int(headers["Inference-Header-Content-Length"])]) is not None


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
                    read_inference(broken, length, spec, "it", OUTPUTS)
