"""Strict JSON: every silent leniency of the usual decoders is refused with a pointer."""

from __future__ import annotations

import json

import msgspec
import pytest

from service.errors import BrokenJSON, InvalidContent
from service.intake.json_body import LEFT_RAW_BYTES, read_object

LONG = "[" + "1," * LEFT_RAW_BYTES + "1]"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ('{"inputs": [[1, NaN]]}', "/inputs/0/1"),
        ('{"inputs": [[1], [-Infinity]]}', "/inputs/1/0"),
        ('{"inputs": [[1e999]]}', "/inputs/0/0"),
        ('{"a": {"b": [0, 1e999]}}', "/a/b/1"),
        (f'{{"inputs": [{LONG}, [NaN]]}}', "/inputs/1/0"),
        (f'{{"inputs": [{LONG}], "x": -1e999}}', "/x"),
        ('{"a": 1, "a": 2}', "/a"),
        ('{"a": {"b~/": 1, "b~/": 2}}', "/a/b~0~1"),
        (f'{{"inputs": [{LONG}], "inputs": [{LONG}]}}', "/inputs"),
        ('{"a": ["x", "\\ud800"]}', "/a/1"),
        (f'{{"inputs": [{LONG}], "labels": ["\\uDC00"]}}', "/labels/0"),
        ('{"a": {"\\ud800": 1}}', "/a"),
        ("[1, 2]", ""),
        ('"text"', ""),
    ],
)
def test_silent_leniencies_are_refused_with_a_pointer(body: str, pointer: str) -> None:
    with pytest.raises(InvalidContent) as caught:
        read_object(body.encode())
    assert [p for p, _ in caught.value.errors] == [pointer]
    assert "NaN]" not in caught.value.detail


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a": 1} x',
        b"{'a': 1}",
        b'{"a": "\xff"}',
        b'{"\xff": 1}',
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a": ' + b'{"a":' * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": 01}',
        b'{"a": "\x01"}',
    ],
)
def test_what_is_not_json_is_called_broken(body: bytes) -> None:
    with pytest.raises(BrokenJSON):
        read_object(body)


def test_pairs_of_surrogates_are_one_character() -> None:
    assert read_object(b'{"a": "\\ud83d\\ude00"}').members == {"a": "\N{GRINNING FACE}"}


def test_long_rows_are_left_raw_and_the_rest_is_read() -> None:
    body = {"labels": ["4", "é"], "inputs": [[0.5] * 500, [1] * 500], "source": "shop"}
    read = read_object(json.dumps(body, indent=1).encode())
    assert isinstance(read.rows, msgspec.Raw)
    assert json.loads(bytes(read.rows)) == body["inputs"]
    assert read.members == {**body, "inputs": []} == json.loads(read.text)


def test_short_rows_are_read_with_the_rest() -> None:
    read = read_object(b'{"inputs": [[1, 2]], "top": 3}')
    assert read.rows == [[1, 2]]
    assert read.members == {"inputs": [[1, 2]], "top": 3}
