"""Rows: good ones become one array, faulty ones are named with place and remedy."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest

from service.contract.inputs import ImageInput, InputSpec, VectorInput
from service.errors import InvalidContent
from service.intake.json_body import LEFT_RAW_BYTES, read_object
from service.intake.kinds.rows import read_row, read_rows
from tests.intake.faults import refused

VECTOR = VectorInput(kind="vector", size=3)
IMAGE = ImageInput(kind="image", channels=1, height=2, width=2)


def rows_of(inputs: Any, spec: InputSpec = VECTOR, long: bool = False) -> np.ndarray:
    text = json.dumps(inputs)
    if long:
        text = text[:1] + " " * LEFT_RAW_BYTES + text[1:] if len(text) > 1 else text
    return read_rows(read_object(f'{{"inputs": {text}}}'.encode()).rows, spec, "digits")


def test_faults_are_named() -> None:
    for long in [False, True]:
        for inputs, spec, pointer, sentence in [
            ([[1, 2]], VECTOR, "/inputs/0", "Row 0 (counted from 0) has 2 numbers; digits takes 3."),
            ([[1, 2, 3], [1, 2, 3, 4]], VECTOR, "/inputs/1", "Row 1 (counted from 0) has 4 numbers; digits takes 3."),
            ([[1, 2, 3], []], VECTOR, "/inputs/1", "Row 1 (counted from 0) has 0 numbers"),
            ([], VECTOR, "/inputs", "inputs is empty"),
            ([[]], VECTOR, "/inputs/0", "Row 0 (counted from 0) has 0 numbers"),
            ([{"png": "a"}], VECTOR, "/inputs/0", "Row 0 (counted from 0) has an object"),
            ([1, 2, 3], VECTOR, "/inputs", "one bare row"),
            ([[1, 2, "3"]], VECTOR, "/inputs/0/2", "Row 0 (counted from 0) has text where a number is due"),
            ([[1, None, 3]], VECTOR, "/inputs/0/1", "null"),
            ([[1, True, 3]], VECTOR, "/inputs/0/1", "true or false"),
            ([[1, [2], 3]], VECTOR, "/inputs/0/1", "a list"),
            ([[1, 2, 3], {"a": 1}], VECTOR, "/inputs/1", "an object"),
            ({"a": 1}, VECTOR, "/inputs", "inputs is a list of rows of numbers"),
            (["1,2,3"], VECTOR, "/inputs/0", "text"),
            ([[1, 2, 1e39]], VECTOR, "/inputs/0/2", "float32"),
            ([[1, 2, -(10**400)]], VECTOR, "/inputs/0/2", "float32"),
            ([[[1, 2], [3, 4]]], IMAGE, "/inputs", "one bare row"),
            ([[[[1, 2], [3]]]], IMAGE, "/inputs/0/0/1", "Row 0 (counted from 0) has 1 numbers; digits takes 2."),
            ([[[[1, 2]]]], IMAGE, "/inputs/0/0", "Row 0 (counted from 0) has 1 lines"),
            ([[1, 2, 3, 4]], IMAGE, "/inputs/0", "4 channels; digits takes 1 (in all [1][2][2])"),
        ]:
            with refused(pointer, sentence):
                rows_of(inputs, spec, long)


@pytest.mark.parametrize("long", [False, True])
def test_vectors_become_float32(long: bool) -> None:
    rows = rows_of([[0, 1.5, -2], [3, 4, 1e-50]], long=long)
    assert rows.dtype == np.float32
    assert rows.tolist() == [[0, 1.5, -2], [3, 4, 0]]


def test_images_of_whole_numbers_become_bytes_and_others_float32() -> None:
    assert rows_of([[[[0, 255], [3, 4.0]]]], IMAGE).dtype == np.uint8
    assert rows_of([[[[0, 256], [3, 4]]]], IMAGE).dtype == np.float32
    assert rows_of([[[[0, 0.5], [3, 4]]]], IMAGE).dtype == np.float32


def test_one_bare_row_of_a_query() -> None:
    assert read_row("[1, 2, 3]", VECTOR, "digits").rows.tolist() == [[1, 2, 3]]
    assert read_row("[[[1, 2], [3, 4]]]", IMAGE, "digits").rows.shape == (1, 1, 2, 2)
    for text, sentence in [
        ("[[1,2,3]]", "one bare row"),
        ("5", "a list of numbers"),
        ("[1,2", "not JSON: .* With curl, say -g"),
        ("[1,2]", "has 2 numbers"),
        ("[1,2,NaN]", "finite"),
    ]:
        with pytest.raises(InvalidContent, match=sentence) as caught:
            read_row(text, VECTOR, "digits")
        assert caught.value.errors[0][0].startswith("/input")
        assert not caught.value.errors[0][0].startswith("/inputs")


def test_a_thousand_images_worth_of_numbers_are_read_fast() -> None:
    rows = np.random.default_rng(0).random((1000, 784)).round(4)
    body = json.dumps({"inputs": rows.tolist()}).encode()
    began = time.process_time()
    read = read_rows(read_object(body).rows, VectorInput(kind="vector", size=784), "digits")
    assert time.process_time() - began < 0.5
    assert np.array_equal(read, rows.astype(np.float32))
