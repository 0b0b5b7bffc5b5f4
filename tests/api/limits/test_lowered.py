"""Limits that whoever runs a service has lowered: every way in keeps to them, and nothing refused is stored."""

from __future__ import annotations

import base64
import io
import json

import httpx
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save

from service.contract.body_limits import MOST_ROWS, BodyLimits
from service.contract.enums import CSV, NPY, RAW, SAFETENSORS
from service.contract.inputs import ImageInput
from service.errors import ImpossibleSettings
from service.settings import PREFIX, Settings
from tests.api.conftest import Api, MakeApi, pointers
from tests.making import keep_version, make_model, make_version, table_checkpoint
from tests.tables import table_of

LOWERED = {
    "max_other_body_bytes": 2048,
    "max_model_body_bytes": 4096,
    "max_depth": 10,
    "max_rows": 3,
    "max_cells": 1000,
    "max_picture_bytes": 2**24,
    "max_image_side": 512,
    "max_classes": 3,
    "max_class_name": 5,
}
STAYS = table_of({f"c{k}": "number" for k in range(400)})
FACES = ImageInput(kind="image", channels=1, height=512, width=512)
ROWS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0], [1.0, 5.0, 9.0]]
LARGE = "service.api.bodies.request_body.LARGE_BYTES"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def strict(make_api: MakeApi) -> Api:
    """A service with all of them lowered, and versions that answer."""
    api = make_api(**LOWERED)
    make_model(api.runtime, "digits")
    make_version(api.runtime)
    make_model(api.runtime, "stays", STAYS)
    keep_version(api.runtime, "stays", table_checkpoint(STAYS, {}))
    make_model(api.runtime, "faces", FACES)
    make_version(api.runtime, "faces", spec=FACES)
    return api


def stored(api: Api, model: str) -> int:
    return sum(batch["rows"] for batch in api.ok("GET", f"/v1/models/{model}/batches")["items"])


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def rows_by_every_way(api: Api, count: int) -> list[httpx.Response]:
    """The answers to so many rows of "digits"."""
    rows, labels = ROWS[:count], ["a"] * count
    array = np.array(rows, np.float32)
    lines = "".join(f"{a},{b},{c},a\n" for a, b, c in rows)
    numpy_file = io.BytesIO()
    np.save(numpy_file, array)
    tensor = {"name": "input", "shape": [count, 3], "datatype": "FP32", "data": array.ravel().tolist()}
    model, infer = "/v1/models/digits", "/v2/models/digits/infer"
    sent: list[tuple[str, bytes, dict[str, str]]] = [
        (f"{model}/batches", json.dumps({"inputs": rows, "labels": labels}).encode(), JSON),
        (f"{model}/updates", json.dumps({"inputs": rows, "labels": labels}).encode(), JSON),
        (f"{model}/batches", f"x,y,z,label\n{lines}".encode(), {"Content-Type": CSV}),
        (
            f"{model}/batches",
            save({"inputs": array}, {"body": json.dumps({"labels": labels})}),
            {"Content-Type": SAFETENSORS},
        ),
        (f"{model}/predictions", json.dumps({"inputs": rows}).encode(), JSON),
        (f"{model}/predictions", json.dumps({"inputs": rows, "source": "x"}).encode(), JSON),
        (f"{model}/predictions", f"x,y,z,label\n{lines}".encode(), {"Content-Type": CSV}),
        (f"{model}/predictions", array.tobytes(), {"Content-Type": RAW}),
        (f"{model}/predictions", numpy_file.getvalue(), {"Content-Type": NPY}),
        (f"{model}/invocations", json.dumps({"instances": rows}).encode(), JSON),
        (infer, json.dumps({"inputs": [tensor]}).encode(), JSON),
        (infer, array.tobytes(), {"Content-Type": RAW, "Inference-Header-Content-Length": "0"}),
    ]
    return [api("POST", path, content=content, headers=headers) for path, content, headers in sent]


@pytest.mark.parametrize("limit", [256 * 1024, 0], ids=["here", "aside"])
def test_rows(strict: Api, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LARGE, limit)
    for refused in rows_by_every_way(strict, 4):
        assert (refused.status_code, "at most 3 rows" in refused.text) == (422, True), (refused.url, refused.text)
    assert stored(strict, "digits") == 0
    assert {answer.is_success for answer in rows_by_every_way(strict, 3)} == {True}


@pytest.mark.parametrize("limit", [256 * 1024, 0], ids=["here", "aside"])
def test_cells(strict: Api, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LARGE, limit)
    tensor = {"name": "c0", "datatype": "FP64"}
    for count, fits in ((3, False), (2, True)):
        lines = "".join(",".join(["1"] * 400) + ",a\n" for _ in range(count))
        header = ",".join(column.name for column in STAYS.columns)
        for path, content, headers in (
            ("v1/models/stays/batches", {"inputs": [{}] * count, "labels": ["a"] * count}, JSON),
            ("v1/models/stays/batches", f"{header},label\n{lines}", {"Content-Type": CSV}),
            ("v1/models/stays/predictions", {"inputs": [{}] * count}, JSON),
            ("v2/models/stays/infer", {"inputs": [{**tensor, "shape": [count], "data": [1.0] * count}]}, JSON),
        ):
            body = content if isinstance(content, str) else json.dumps(content)
            answer = strict("POST", f"/{path}", content=body, headers=headers)
            assert answer.is_success == fits, answer.text
            assert ("at most 2 rows of 400 columns" in answer.text) == (not fits), (path, answer.text)
        assert (stored(strict, "stays") > 0) == fits


def test_pictures(strict: Api) -> None:
    held = io.BytesIO()
    Image.fromarray(np.zeros((512, 512), np.uint8)).save(held, "PNG")
    png = base64.b64encode(held.getvalue()).decode()
    files = [{"png": png}] * 65
    tensor = {"name": "input", "shape": [65], "datatype": "BYTES", "data": [png] * 65}
    for path, body in (
        ("v1/models/faces/batches", {"inputs": files, "labels": ["a"] * 65}),
        ("v1/models/faces/predictions", {"inputs": files}),
        ("v2/models/faces/infer", {"inputs": [tensor]}),
    ):
        refused = strict("POST", f"/{path}", body)
        assert (refused.status_code, "Send at most 64." in refused.text) == (422, True), refused.text
    assert stored(strict, "faces") == 0
    assert strict("POST", "/v1/models/faces/predictions", {"inputs": files[:2]}).status_code == 200


def test_images_of_a_new_model(strict: Api) -> None:
    sides = {"kind": "image", "channels": 1, "height": 512, "width": 513}
    refused = strict("POST", "/v1/models", {"name": "wide", "input": sides})
    assert (refused.status_code, pointers(refused)) == (422, ["/input/width"])
    assert "width is at most 512" in refused.json()["detail"]
    assert strict("POST", "/v1/models", {"name": "wide", "input": {**sides, "width": 512}}).status_code == 201


def test_classes(strict: Api) -> None:
    four, vector = ["a", "b", "c", "d"], {"kind": "vector", "size": 3}
    elsewhere = save(
        {"head.0/weight": np.zeros((4, 3), np.float32), "head.0/bias": np.zeros(4, np.float32)},
        {"architecture": "{}", "classes": json.dumps(four), "scale": '{"range": [-1, 1]}'},
    )
    rows = {"inputs": ROWS[:2], "labels": ["c", "d"], "new_classes": "allow"}
    refused = [
        strict("POST", "/v1/models", {"name": "four", "input": vector, "classes": four}),
        strict("POST", "/v1/models/digits/classes", {"names": ["c", "d"]}),
        strict("POST", "/v1/models/digits/batches", rows),
        strict("POST", "/v1/models/digits/updates", rows),
        strict("POST", "/v1/models/digits/versions", content=elsewhere, headers={"Content-Type": RAW}),
    ]
    for answer in refused:
        assert (answer.status_code, "at most 3 classes" in answer.text) == (422, True), answer.text
    assert stored(strict, "digits") == 0
    assert strict("GET", "/v1/models/four").status_code == 404
    assert strict.ok("GET", "/v1/models/digits/classes")["classes"] == ["a", "b"]
    assert strict("POST", "/v1/models/digits/classes", {"names": ["c"]}).status_code == 201


def test_the_name_of_a_new_class(strict: Api) -> None:
    long, vector = "longer", {"kind": "vector", "size": 3}
    refused = [
        strict("POST", "/v1/models", {"name": "names", "input": vector, "classes": ["a", long]}),
        strict("POST", "/v1/models/digits/classes", {"names": [long]}),
        strict("POST", "/v1/models/digits/batches", {"inputs": ROWS[:1], "labels": [long], "new_classes": "allow"}),
    ]
    for answer in refused:
        assert (answer.status_code, "at most 5 characters" in answer.text) == (422, True), answer.text
    assert (stored(strict, "digits"), strict("GET", "/v1/models/names").status_code) == (0, 404)
    assert strict("POST", "/v1/models/digits/classes", {"names": ["short"]}).status_code == 201


def test_a_model_that_has_more_classes_already_learns_on(make_api: MakeApi) -> None:
    api = make_api()
    make_model(api.runtime, classes=["a", "b", "c"])
    now = api.runtime.settings
    later = make_api(data=now.data, database_url=now.database_url, store_url=now.store_url, max_classes=2)
    rows = {"inputs": ROWS[:2], "labels": ["a", "c"]}
    assert later("POST", "/v1/models/digits/batches", rows).status_code == 201
    rows = {"inputs": ROWS[:2], "labels": ["a", "d"], "new_classes": "allow"}
    assert "at most 2 classes" in later("POST", "/v1/models/digits/batches", rows).text


@pytest.mark.parametrize("limit", [256 * 1024, 0], ids=["here", "aside"])
def test_depth(strict: Api, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LARGE, limit)
    model, rest = "/v1/models/digits", '"inputs": [[1, 2, 3]], "labels": ["a"]'
    array = np.array(ROWS[:1], np.float32)
    for levels, status in ((10, 400), (9, 422)):  # an unknown member, once it is read
        deep = f'{{{rest}, "x": {nested(levels)}}}'
        inside = f'{{"labels": ["a"], "x": {nested(levels)}}}'
        for path, content, headers in (
            (f"{model}/rollback", f'{{"x": {nested(levels)}}}', JSON),
            (f"{model}/batches", deep, JSON),
            (f"{model}/predictions", f'{{"inputs": [[1, 2, 3]], "x": {nested(levels)}}}', JSON),
            (f"{model}/batches", save({"inputs": array}, {"body": inside}), {"Content-Type": SAFETENSORS}),
        ):
            answer = strict("POST", path, content=content, headers=headers)
            assert answer.status_code == status, (path, answer.text)
            assert ("10 lists and objects within one another" in answer.text) == (status == 400)
        tensor = '{"name": "input", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}'
        for path, rows in (  # what they do not know is ignored
            (f"{model}/invocations", '"instances": [[1, 2, 3]]'),
            ("/v2/models/digits/infer", f'"inputs": [{tensor}]'),
        ):
            answer = strict("POST", path, content=f'{{{rows}, "x": {nested(levels)}}}', headers=JSON)
            assert answer.status_code == (400 if status == 400 else 200), (path, answer.text)
    method = json.dumps({"name": "ridge", "x": json.loads(nested(10))})
    file = {"params": {"method": method}, "content": "x,y,z,label\n1,2,3,a\n", "headers": {"Content-Type": CSV}}
    refused = strict("POST", f"{model}/updates", **file)
    assert (refused.status_code, pointers(refused)) == (422, ["/method"])
    assert "method is nested too deeply: 10 lists" in refused.json()["detail"]
    assert stored(strict, "digits") == 0


def test_bodies_without_rows(strict: Api) -> None:
    instances = json.dumps({"instances": ROWS[:1]})
    for size, status in ((2049, 413), (2048, 409)):
        assert (
            strict("POST", "/v1/models/digits/rollback", content="{}".ljust(size), headers=JSON).status_code == status
        )
    for size, status in ((2049, 413), (2048, 200)):
        body = instances.ljust(size)
        assert strict("POST", "/v1/models/digits/invocations", content=body, headers=JSON).status_code == status
    model = json.dumps({"name": "new", "input": {"kind": "vector", "size": 3}})
    for size, status in ((4097, 413), (4096, 201)):
        assert strict("POST", "/v1/models", content=model.ljust(size), headers=JSON).status_code == status
    rows = json.dumps({"inputs": ROWS[:1]}).ljust(5000)
    assert strict("POST", "/v1/models/digits/predictions", content=rows, headers=JSON).status_code == 200


def test_what_is_lowered_is_told_and_nothing_may_be_raised(strict: Api) -> None:
    assert LOWERED.keys() == BodyLimits.model_fields.keys()
    told = {limit["setting"]: limit for limit in strict.ok("GET", "/v1/limits")["items"]}
    for name, value in LOWERED.items():
        limit = told[f"{PREFIX}{name.upper()}"]
        assert (limit["value"], limit["fixed"] is not None) == (value, True)
    schema = strict.ok("GET", "/openapi.json")["components"]["schemas"]["CreateBatch"]["properties"]["inputs"]
    assert schema["maxItems"] == MOST_ROWS
    for name, field in BodyLimits.model_fields.items():
        variable = f"{PREFIX}{name.upper()}"
        with pytest.raises(ImpossibleSettings, match=variable):
            Settings.from_environment({variable: str(field.default + 1)})
