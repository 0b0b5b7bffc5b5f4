"""Images by every route: PNG, JPEG and nested lists are the same rows, in batches and in predictions."""

from __future__ import annotations

import base64
import io
import json
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from service.contract.inputs import ImageInput
from tests.api.conftest import Api, MakeApi, pointers
from tests.making import make_version

MODEL = "/v1/models/faces"
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
LISTS = PIXELS.transpose(2, 0, 1).tolist()
SPEC = ImageInput(kind="image", channels=3, height=4, width=5)


def picture(kind: str, pixels: Any = PIXELS) -> dict[str, str]:
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, kind)
    return {kind.lower(): base64.b64encode(held.getvalue()).decode()}


@pytest.fixture
def images(make_api: MakeApi) -> Api:
    api = make_api()
    api.ok("POST", "/v1/models", {"name": "faces", "input": SPEC.model_dump()})
    return api


def test_a_png_is_the_same_batch_as_its_numbers(images: Api) -> None:
    body = {"inputs": [LISTS, picture("PNG")], "labels": ["a", "b"]}
    first = images("POST", f"{MODEL}/batches", body, headers={"Idempotency-Key": "k"})
    other_way = {"inputs": [picture("PNG"), LISTS], "labels": ["a", "b"]}
    again = images("POST", f"{MODEL}/batches", other_way)
    replayed = images("POST", f"{MODEL}/batches", other_way, headers={"Idempotency-Key": "k"})
    assert [r.status_code for r in (first, again, replayed)] == [201, 200, 201]
    assert {r.json()["id"] for r in (first, again, replayed)} == {first.json()["id"]}
    assert first.json()["rows"] == 2


def test_every_door_of_predictions_takes_pictures(images: Api) -> None:
    make_version(images.runtime, "faces", spec=SPEC)
    png = picture("PNG")
    predictions = images.ok("POST", f"{MODEL}/predictions", {"inputs": [LISTS, png, LISTS], "top": 2})["predictions"]
    assert predictions[0] == predictions[1] == predictions[2]
    query = images.ok("GET", f"{MODEL}/predictions?top=2&input={quote(json.dumps(png))}")["predictions"]
    assert query == images.ok("POST", f"{MODEL}/predictions", {"inputs": [LISTS], "top": 2})["predictions"]
    assert images.ok("POST", f"{MODEL}/versions/1/predictions", {"inputs": [picture("JPEG")]})["version"] == 1
    for bad, pointer in [({"png": "aGk="}, "/inputs/0/png"), (picture("PNG", PIXELS[:3]), "/inputs/0/png")]:
        refused = images("POST", f"{MODEL}/predictions", {"inputs": [bad]})
        assert (refused.status_code, pointers(refused)) == (422, [pointer])
