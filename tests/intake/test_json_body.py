"""Strict JSON: every silent leniency of the usual decoders is refused with a pointer."""

from __future__ import annotations

import json
import time
import tracemalloc

import msgspec
import pytest

from service.contract.inputs import MOST_NUMBERS
from service.errors import BrokenJSON, InvalidContent
from service.intake.json_body import (
    LABELS,
    LEFT_RAW_BYTES,
    MODEL_VALUES,
    MOST_DEPTH,
    MOST_MEMBERS,
    MOST_VALUES,
    ROWS,
    hash_of,
    read_object,
    read_value,
)

LONG = "[" + "1," * LEFT_RAW_BYTES + "1]"


def test_silent_leniencies_are_refused_with_a_pointer() -> None:
    for body, pointer in [
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
    ]:
        with pytest.raises(InvalidContent) as caught:
            read_object(body.encode())
        assert [p for p, _ in caught.value.errors] == [pointer], body
        assert "NaN]" not in caught.value.detail, body


def test_what_is_not_json_is_called_broken() -> None:
    for body in [
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
    ]:
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


def test_white_space_and_the_order_of_members_do_not_matter() -> None:
    assert hash_of({"a": 1, "b": [1, {"c": 2, "d": 3}]}) == hash_of({"b": [1, {"d": 3, "c": 2}], "a": 1})


def test_anything_else_is_another_body() -> None:
    for other in [{"a": 2}, {"a": "1"}, {"a": [1]}, {"a": True}, {"a": None}, {}, {"b": 1}]:
        assert hash_of({"a": 1}) != hash_of(other), other


def test_a_body_with_half_a_character_has_a_hash() -> None:
    assert hash_of({"a": "\ud800"}) != hash_of({"a": "\ud801"})


def members(count: int, *more: str) -> bytes:
    """An object of so many members, and the named ones."""
    return b"{%b}" % ",".join([*(f'"{k:x}":0' for k in range(count)), *more]).encode()


def test_a_member_that_is_there_twice_is_found_in_one_pass() -> None:
    """Sixteen times as many members take sixteen times as long, about, and not 256 times; processor time, since others
    may be at work."""

    def seconds(count: int) -> float:
        body, took = members(count, f'"{count - 1:x}":1'), list[float]()
        for _ in range(3):
            began = time.thread_time()
            with pytest.raises(InvalidContent) as caught:
                read_value(body, "/x")
            took.append(time.thread_time() - began)
            assert [p for p, _ in caught.value.errors] == [f"/x/{count - 1:x}"]
        return min(took)

    assert seconds(32_000) < 120 * seconds(2_000)


def test_thousands_of_members_and_lists_are_refused() -> None:
    for body in [
        members(MOST_MEMBERS + 1),
        b'{"a": [' + b",".join([b"{}"] * (MOST_MEMBERS + 1)) + b"]}",
        b'{"a": [' + b",".join([b"[]"] * (MOST_MEMBERS + 1)) + b"]}",
        b'{"inputs": [' + b",".join([b"1"] * LEFT_RAW_BYTES) + b'], "a": [' + b"[],".join([b""] * 2000) + b"1]}",
    ]:
        with pytest.raises(InvalidContent, match=r"more than 1,000 members"):
            read_object(body)


@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"b":', "}")])
@pytest.mark.parametrize("rows", ["", f'"inputs": [{LONG}], '])
def test_what_lies_deeper_than_so_many_levels_is_refused(opens: str, closes: str, rows: str) -> None:
    """The object itself is one of them."""

    def read(levels: int) -> None:
        nested = opens * (levels - 1) + ("{}" if closes == "}" else "0") + closes * (levels - 1)
        read_object(f'{{{rows}"a": {nested}, "c": 1}}'.encode())

    read(MOST_DEPTH - (closes == "}"))
    for levels in (MOST_DEPTH + 1, 2 * MOST_DEPTH, 900, 100_000):
        with pytest.raises(BrokenJSON, match="nested too deeply"):
            read(levels)


@pytest.mark.parametrize("values", [MOST_VALUES, MODEL_VALUES])
def test_long_lists_are_refused_before_they_are_compared_with_what_is_due(values: int) -> None:
    def scale(*counts: int) -> bytes:
        lists = [f'"{k}": [{",".join(["1"] * count)}]' for k, count in enumerate(counts)]
        return f'{{"scale": {{{", ".join(lists)}}}, "note": "{"," * values}"}}'.encode()

    longest = min(values, MOST_NUMBERS)
    rest = (longest,) * (values // longest - 1) + (values % longest,)
    assert read_object(scale(longest, *rest), values=values).members["scale"]["0"] == [1] * longest
    for counts in ((longest, *rest, 1), (longest + 1,)):
        with pytest.raises(InvalidContent, match=f"more than {values:,} values"):
            read_object(scale(*counts), values=values)
    rows = b"[" + b",".join([b'"a"'] * (values + 1)) + b"]"
    assert read_object(b'{"inputs": %b, "labels": %b}' % (rows, rows), (ROWS, LABELS), values=values).members


def test_rows_may_be_many_lists_and_objects_and_texts_may_look_like_them() -> None:
    rows = [{"png": ""}, [[1]]] * MOST_MEMBERS
    read = read_object(json.dumps({"inputs": rows, "source": "[:" * 2 * MOST_MEMBERS}).encode())
    assert read_value(bytes(read.rows), "/inputs") == rows


def test_a_place_deep_inside_is_told_without_telling_all_others() -> None:
    """A pointer for each of 20,000 numbers behind 300 long names would come to gigabytes."""
    depth, name = 300, "n" * 100
    body = b'{"%b":' % name.encode() * depth + b"[" + b"1," * 20_000 + b"NaN]" + b"}" * depth
    tracemalloc.start()
    try:
        with pytest.raises(InvalidContent) as caught:
            read_object(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [p for p, _ in caught.value.errors] == [f"/{name}" * depth + "/20000"]
    assert peak < 50 * len(body)


def test_rows_and_labels_are_cut_out_wherever_they_stand() -> None:
    body = {"labels": ["a"] * 500, "source": "x", "inputs": [[0.5] * 500]}
    for order in (list(body), list(reversed(body))):
        read = read_object(json.dumps({name: body[name] for name in order}).encode(), (ROWS, LABELS))
        assert json.loads(bytes(read.rows)) == body["inputs"]
        assert json.loads(bytes(read.labels)) == body["labels"]
        assert read.members == {"labels": [], "source": "x", "inputs": []} == json.loads(read.text)
    of_another_kind = json.dumps({**body, "labels": "a" * 500}).encode()
    assert read_object(of_another_kind, (ROWS, LABELS)).members["labels"] == "a" * 500
