"""The fast reader of numbers: what it takes, the strict readers take with the same numbers."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.contract.inputs import ImageInput, VectorInput
from service.errors import TsuikaError
from service.intake.formats.fast_json import read_usual
from service.intake.json_body import read_object
from service.intake.kinds.rows import read_rows

SIZE = 3
SPEC = VectorInput(kind="vector", size=SIZE)
IMAGE = ImageInput(kind="image", channels=2, height=1, width=2)

NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(allow_nan=True), st.booleans(), st.none(), st.just("1"), st.just([1])
)
ROWS = st.lists(st.one_of(st.lists(NUMBERS, max_size=4), st.lists(st.floats(-1e39, 1e39), min_size=3, max_size=3)))
BODIES = st.one_of(
    st.fixed_dictionaries({"inputs": ROWS}, optional={"top": NUMBERS, "level": NUMBERS}),
    st.dictionaries(st.sampled_from(["inputs", "top", "level", "source", "topp"]), ROWS, max_size=3),
    ROWS,
)


@given(BODIES)
def test_it_takes_nothing_that_the_strict_readers_do_not_take(body: object) -> None:
    data = json.dumps(body).encode()
    quick = read_usual(data, (SIZE,))
    if quick is None:
        return
    rows, top, level = quick
    assert isinstance(body, dict)
    assert (top, level) == (body.get("top"), body.get("level"))
    if not np.isfinite(rows).all():  # told on the stacked batch
        with pytest.raises(TsuikaError):
            read_rows(read_object(data).rows, SPEC, "m")
        return
    assert np.array_equal(rows, read_rows(read_object(data).rows, SPEC, "m"))


@given(st.lists(st.lists(st.floats(-(2.0**127), 2.0**127, width=32), min_size=SIZE, max_size=SIZE), min_size=1))
def test_plain_rows_are_taken(rows: list[list[float]]) -> None:
    parsed = read_usual(json.dumps({"inputs": rows, "top": 2}).encode(), (SIZE,))
    assert np.array_equal(parsed[0], np.array(rows, np.float32))
    assert (parsed[0].dtype, parsed[1]) == (np.float32, 2)


def test_lists_within_a_row_are_not_flattened() -> None:
    for row in ["[[], [1, 2], 3]", "[[1], 2, 3]", "[1, 2, [3]]", "[[1, 2, 3]]", "[1, 2]", "[]", "{}", "1"]:
        assert read_usual(b'{"inputs": [%b]}' % row.encode(), (SIZE,)) is None, row
        assert read_usual(b'{"inputs": [[1, 2, 3], %b]}' % row.encode(), (SIZE,)) is None, row


@given(st.recursive(NUMBERS, lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=20))
def test_images_are_taken_as_the_strict_readers_take_them(rows: object) -> None:
    data = json.dumps({"inputs": rows}).encode()
    quick = read_usual(data, IMAGE.shape)
    if quick is not None and np.isfinite(quick[0]).all():
        strict = read_rows(read_object(data).rows, IMAGE, "m")
        assert np.array_equal(quick[0], strict)
        assert quick[0].dtype == strict.dtype


@pytest.mark.parametrize(("values", "dtype"), [([0, 255.0], np.uint8), ([0, 256], np.float32), ([0.5, 1], np.float32)])
def test_plain_images_are_taken(values: list[float], dtype: type) -> None:
    picture = [[values], [values[::-1]]]
    body = json.dumps({"inputs": [picture, picture]}, indent=1).encode()
    parsed = read_usual(body, IMAGE.shape)
    assert (parsed[0].dtype, parsed[0].tolist()) == (dtype, [picture, picture])
    assert read_usual(body, (2, 2, 1)) is None
    assert read_usual(body, (4,)) is None


def test_anything_unusual_is_left_to_the_strict_readers() -> None:
    for body in [
        b"",
        b"{",
        b"[]",
        b'\xef\xbb\xbf{"inputs":[[1,2,3]]}',
        b'{"inputs":[[1,2,3]]} x',
        b'{"inputs":[[1,2,3]],"inputs":[[1,2,3]]}',
        b'{"top":1,"top":2}',
        b'{"inputs":[[1,2,[3]]]}',
        b'{"inputs":[[],[1,2,3,1,2,3]]}',
        b'{"inputs":[1,2,3]}',
        b'{"inputs":[[1,2,NaN]]}',
        b'{"inputs":[[1,2,1e999]]}',
        b'{"inputs":[[1,2,123456789012345678901234567890]]}',
        b'{"inputs":[[1,2,true]]}',
        b'{"inputs":[[1,2,3]],"top":true}',
        b'{"inputs":[[1,2,3]],"source":"north"}',
    ]:
        assert read_usual(body, (SIZE,)) is None, body
        assert read_usual(b'{"inputs":[[1,2,3]]}', (SIZE,)) is not None, body  # and the parser is as good as new


def test_many_short_rows_where_long_ones_are_due_take_no_memory() -> None:
    """A text of the rows that are due would be 20,000 x 200 kB."""
    body, shape = b'{"inputs":[' + b"[]," * 20_000 + b"[]]}", (100_000,)
    read_usual(b'{"inputs":[[],[]]}', shape)  # what is remembered of the shape
    tracemalloc.start()
    try:
        assert read_usual(body, shape) is None
        assert tracemalloc.get_traced_memory()[1] < 50 * len(body)
    finally:
        tracemalloc.stop()
