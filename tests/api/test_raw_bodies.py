"""Rows without JSON around them; and every way to send rows beside the others: the same numbers, the same verdicts."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from service.contract.enums import JPEG, NPY, PNG, RAW, ROWS
from service.contract.inputs import ImageInput, TextInput, VectorInput
from service.errors import InvalidContent, UnsupportedMedia
from service.intake.formats.raw import READERS, read_npy, read_raw
from tests.api.conftest import Api, MakeApi, pointers
from tests.making import make_version

PATH = "/v1/models/digits/predictions"
ROW = [1.0, -2.5, 3.25]
SPEC = ImageInput(kind="image", channels=3, height=4, width=5)
VECTOR = VectorInput(kind="vector", size=3)
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)

Rows = list[list[Any]]
NamesAndScores = tuple[list[str], list[float]]
"""Class of each row, and the scores of all classes, row after row."""


@pytest.fixture
def images(make_api: MakeApi) -> Api:
    api = make_api()
    api.ok("POST", "/v1/models", {"name": "faces", "input": SPEC.model_dump()})
    make_version(api.runtime, "faces", spec=SPEC)
    return api


def saved(array: np.ndarray[Any, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def picture(kind: str, pixels: Any = PIXELS) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def bare(api: Api, media: str, body: bytes, path: str = PATH) -> httpx.Response:
    return api("POST", path, content=body, headers={"Content-Type": media})


def infer(api: Api, request: dict[str, Any], behind: bytes | None = None) -> httpx.Response:
    head = json.dumps(request).encode()
    headers = {} if behind is None else {"Inference-Header-Content-Length": str(len(head))}
    return api("POST", "/v2/models/digits/infer", content=head + (behind or b""), headers=headers)


def tensor(rows: Rows) -> dict[str, Any]:
    return {"name": "input", "shape": [len(rows), len(rows[0])], "datatype": "FP32"}


def over_json(api: Api, rows: Rows) -> httpx.Response:
    return api(
        "POST", PATH, content=json.dumps({"inputs": rows, "top": 3}), headers={"Content-Type": "application/json"}
    )


def over_get(api: Api, rows: Rows) -> httpx.Response:
    return api("GET", f"{PATH}?top=3&input={json.dumps(rows[0] if len(rows) == 1 else rows)}")


def over_raw(api: Api, rows: Rows) -> httpx.Response:
    return bare(api, RAW, np.array(rows, "<f4").tobytes(), f"{PATH}?top=3")


def over_npy(api: Api, rows: Rows) -> httpx.Response:
    return bare(api, NPY, saved(np.array(rows, np.float64)), f"{PATH}?top=3")


def over_inference(api: Api, rows: Rows) -> httpx.Response:
    return infer(api, {"inputs": [{**tensor(rows), "data": [x for row in rows for x in row]}]})


def over_inference_bytes(api: Api, rows: Rows) -> httpx.Response:
    data = np.array(rows, "<f4").tobytes()
    return infer(api, {"inputs": [{**tensor(rows), "parameters": {"binary_data_size": len(data)}}]}, data)


DOORS: list[Callable[[Api, Rows], httpx.Response]] = [
    over_json,
    over_get,
    over_raw,
    over_npy,
    over_inference,
    over_inference_bytes,
]


def prediction_of(response: httpx.Response) -> NamesAndScores:
    """The classes and scores of a response."""
    assert response.status_code == 200, response.text
    assert response.headers["tsuika-version"] == "1"
    body = response.json()
    if "outputs" in body:
        best, scores = body["outputs"]
        assert scores["parameters"]["classes"] == ["a", "b", "c"]
        return best["data"], scores["data"]
    shares = [{share["class"]: share["score"] for share in row["top"]} for row in body["predictions"]]
    return [row["class"] for row in body["predictions"]], [row[name] for row in shares for name in "abc"]


def test_every_door_says_the_same(answering: Api) -> None:
    alone = [prediction_of(door(answering, [ROW])) for door in DOORS]
    assert alone == [alone[0]] * len(DOORS)
    rows = [ROW, [0.0, 0.5, 7.0]]
    many = [prediction_of(door(answering, rows)) for door in DOORS if door is not over_get]
    assert many == [many[0]] * len(many)
    assert len(many[0][0]) == 2


NAN, INFINITE, HUGE = float("nan"), float("inf"), 1e39
FAULTS: list[tuple[Rows, set[Any]]] = [
    ([[1.0, 2.0]], set()),
    ([[1.0, 2.0, 3.0, 4.0]], set()),
    ([[1.0, NAN, 3.0]], set()),
    ([[1.0, INFINITE, 3.0]], set()),
    ([ROW, [1.0, 2.0, -INFINITE]], set()),
    ([[1.0, HUGE, 3.0]], {over_raw, over_inference_bytes}),
    ([[1.0, None, 3.0]], {over_raw, over_npy, over_inference_bytes}),
    ([[1.0, "2", 3.0]], {over_raw, over_npy, over_inference_bytes}),
    ([[1.0, True, 3.0]], {over_raw, over_npy, over_inference_bytes}),
    ([ROW, [1.0]], {over_raw, over_npy, over_inference_bytes}),
]
"""Wrong rows, and the ways that cannot send them at all."""


def test_every_door_refuses_bad_rows_in_its_own_form(answering: Api) -> None:
    for rows, door in [(rows, door) for rows, mute in FAULTS for door in DOORS if door not in mute]:
        refused = door(answering, rows)
        assert refused.status_code in (400, 422), (door.__name__, rows, refused.text)
        body = refused.json()
        if door in (over_inference, over_inference_bytes):
            assert refused.headers["content-type"] == "application/json"
            assert body.keys() == {"error"}
            assert body["error"].endswith((".", ")"))
        else:
            assert refused.headers["content-type"] == "application/problem+json"
            assert body["errors"]
            assert body["detail"]


def test_no_door_stumbles_over_half_a_body(answering: Api) -> None:
    for body in (b"{", b"", b"[1", b"\xff\xfe", b'{"inputs": [[1,'):
        for media in ("application/json", *ROWS):
            refused = bare(answering, media, body)
            assert refused.status_code in (400, 415, 422), (media, refused.text)
            assert refused.headers["content-type"] == "application/problem+json"
        refused = bare(answering, "application/json", body, "/v2/models/digits/infer")
        assert refused.status_code in (400, 422)
        assert refused.json().keys() == {"error"}


def test_top_and_source_stand_in_the_query(answering: Api) -> None:
    data = np.array([ROW], "<f4").tobytes()
    two = bare(answering, RAW, data, f"{PATH}?top=2&source=north").json()["predictions"][0]
    assert len(two["top"]) == 2
    at = bare(answering, RAW, data, "/v1/models/digits/versions/1/predictions?top=2")
    assert at.json()["predictions"][0] == two
    for query, pointer in [
        ("top=0", "/top"),
        ("topp=1", ""),
        ("input=[1,2,3]", ""),
        (f"source={'n' * 201}", "/source"),
    ]:
        assert pointers(bare(answering, RAW, data, f"{PATH}?{query}")) == [pointer]


def test_a_row_that_is_not_finite_is_named(answering: Api) -> None:
    rows = np.zeros((20, 3), "<f4")
    rows[17, 2] = np.inf
    refused = bare(answering, RAW, rows.tobytes())
    assert pointers(refused) == ["/inputs/17/2"]
    assert "Row 17 (counted from 0)" in refused.json()["detail"]


def test_types_that_a_model_does_not_take_are_refused_by_name(answering: Api) -> None:
    for media in ("text/plain", "image/png", "image/jpeg", "image/webp", "application/x-npz", ""):
        refused = bare(answering, media, b"abc")
        assert refused.status_code == 415, refused.text
        assert "application/json" in refused.json()["detail"]


def test_bare_rows_are_for_predictions_alone(answering: Api) -> None:
    for path in ("/v1/models/digits/batches", "/v1/models/digits/updates", "/v1/models"):
        assert bare(answering, RAW, b"abcd", path).status_code == 415
    packed = answering("POST", PATH, content=b"abcd", headers={"Content-Type": RAW, "Content-Encoding": "gzip"})
    assert packed.status_code == 415


def test_arrays_are_taken_as_numpy_saves_them() -> None:
    kinds: list[dict[str, Any]] = [{}, {"order": "F"}, {"dtype": np.float64}, {"dtype": ">f4"}, {"dtype": np.uint8}]
    for options in kinds:
        array = np.array([[1, 2, 3], [4, 5, 6]], **{"dtype": np.float32, **options})
        read = read_npy(saved(array), VECTOR, "digits")
        assert read.dtype == np.float32, options
        assert read.tolist() == array.tolist(), options
        assert read.flags.writeable, options


def test_what_is_no_such_array_is_refused() -> None:
    for body, says in [
        (saved(np.zeros((1, 3), np.int32)), "<i4"),
        (saved(np.zeros((1, 3), "U2")), "<U2"),
        (saved(np.zeros((1, 3), [("a", "f4")])), "float32, float64 or uint8"),
        (saved(np.array([[None]]), allow_pickle=True), "|O"),
        (saved(np.zeros(3, np.float32)), "row[None]"),
        (saved(np.zeros((0, 3), np.float32)), "takes (rows, 3)"),
        (saved(np.zeros((1, 1, 3), np.float32)), "takes (rows, 3)"),
        (saved(np.zeros((1, 3), np.float32))[:-1], "12 bytes, and 11"),
        (saved(np.zeros((1, 3), np.float32)) + b"x", "12 bytes, and 13"),
        (saved(np.zeros((1, 3), np.float32)).replace(b"(1, 3)", b"(9, 3)"), "108 bytes"),
        (saved(np.zeros((1, 3), np.float32)).replace(b"(1, 3), }   ", b"(10**9, 3), }"), "no numpy file"),
        (b"\x93NUMPY\x01\x00\xe0\x04" + b"(" * 1248, "no numpy file"),
        (b"\x93NUMPY\x01\x00\x60\x03" + b"(" * 864, "no numpy file"),
        (saved(np.zeros((1, 3), np.float32)).replace(b"False", b"5    "), "no numpy file"),
        (saved(np.zeros((1, 3), np.float32)).replace(b"False", b"None "), "no numpy file"),
        (b"\x93NUMPY\x03\x00", "no numpy file"),
        (b"", "no numpy file"),
    ]:
        with pytest.raises(InvalidContent) as refused:
            read_npy(body, VECTOR, "digits")
        assert says in refused.value.detail


def test_texts_have_no_bare_form() -> None:
    for media in ROWS:
        with pytest.raises(UnsupportedMedia, match="takes texts"):
            READERS[media](b"abcd", TextInput(kind="text"), "intents")
    assert READERS.keys() == set(ROWS)


def test_raw_rows_are_counted_by_their_bytes() -> None:
    for body in (b"", b"\0" * 11, b"\0" * 13):
        with pytest.raises(InvalidContent, match="12 bytes each"):
            read_raw(body, VECTOR, "digits")
    assert read_raw(b"\0" * 24, VECTOR, "digits").shape == (2, 3)


def test_images_come_as_files_and_as_arrays(images: Api) -> None:
    path = "/v1/models/faces/predictions"
    lists = PIXELS.transpose(2, 0, 1)
    due = images.ok("POST", path, {"inputs": [lists.tolist()]})["predictions"]
    for media, body in [
        (PNG, picture("PNG")),
        (RAW, lists.astype("<f4").tobytes()),
        (NPY, saved(lists[None])),
        (NPY, saved(lists[None].astype(np.float64))),
    ]:
        answer = bare(images, media, body, path)
        assert (answer.status_code, answer.json()["predictions"]) == (200, due), media
    assert bare(images, JPEG, picture("JPEG"), path).status_code == 200
    for media, body, says in [
        (PNG, picture("JPEG"), "is a JPEG, and was sent as PNG"),
        (JPEG, b"nothing", "is no image"),
        (PNG, picture("PNG", PIXELS[:3]), "takes 5 x 4"),
        (PNG, picture("PNG")[:60], "cut short"),
    ]:
        refused = bare(images, media, body, path)
        assert (refused.status_code, pointers(refused)) == (422, [""]), media
        assert says in refused.json()["detail"]
