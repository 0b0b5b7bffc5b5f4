"""Texts: strings in one spelling, or the place of the first fault with its remedy."""

from __future__ import annotations

import json
import sys
import time
import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.contract.inputs import TextInput
from service.errors import BrokenJSON, InvalidContent
from service.intake.json_body import LEFT_RAW_BYTES, read_object
from service.intake.kinds.rows import read_row, read_rows
from service.intake.kinds.texts import BEYOND_MARKS, MOST_MARKS
from service.learning.data.row_hash import canonical_rows, content_digest, row_hashes
from service.learning.data.serialization import pack_rows, unpack_rows
from tests.intake.faults import refused
from tests.updating import make_rows

TEXT = TextInput(kind="text", length=20)
SECRET = b"secret"


def texts_of(inputs: Any, long: bool = False) -> Any:
    text = json.dumps(inputs)
    if long and text[0] in "[{":
        text = text[:1] + " " * LEFT_RAW_BYTES + text[1:]
    return read_rows(read_object(f'{{"inputs": {text}}}'.encode()).rows, TEXT, "intents")


@pytest.mark.parametrize("long", [False, True])
def test_texts_become_one_spelling(long: bool) -> None:
    read = texts_of(["cafe\u0301", "caf\u00e9", "\U0001f600 \u8ffd\u52a0", " kept as it is\n"], long)
    assert read.dtype == object
    assert read.tolist() == ["caf\u00e9", "caf\u00e9", "\U0001f600 \u8ffd\u52a0", " kept as it is\n"]


def test_faults_are_named() -> None:
    for long in [False, True]:
        for inputs, pointer, sentence in [
            ([], "/inputs", "inputs is empty"),
            ("a text", "/inputs", "one bare text"),
            ({"a": 1}, "/inputs", "a list of texts"),
            (None, "/inputs", "a list of texts"),
            (["a", ""], "/inputs/1", "Text 1 (counted from 0) is empty"),
            (["a", " \n\t"], "/inputs/1", "Text 1 (counted from 0) is empty"),
            (["a", "b" * 21], "/inputs/1", "Text 1 (counted from 0) has 21 characters; intents takes at most 20"),
            (["a", 5], "/inputs/1", "Row 1 (counted from 0) has a number where a text is due"),
            (["a", None], "/inputs/1", "null"),
            (["a", ["b"]], "/inputs/1", "a list"),
            (["a", {"png": ""}], "/inputs/1", "an object"),
            (["a\u0301" + "\u0301" * MOST_MARKS], "/inputs/0", "combining marks"),
            (["fine", "\ud800"], "/inputs/1", "surrogate"),
            (["\udc00\ud800"], "/inputs/0", "surrogate"),
        ]:
            with refused(pointer, sentence):
                texts_of(inputs, long)


def test_a_text_of_a_query_is_taken_as_it_is() -> None:
    assert read_row('"5" [a]', TEXT, "intents").rows.tolist() == ['"5" [a]']
    with pytest.raises(InvalidContent) as caught:
        read_row("", TEXT, "intents")
    assert caught.value.errors[0][0] == "/input"


def test_marks_that_take_long_to_order_are_refused_at_once() -> None:
    text = json.dumps({"inputs": ["a" + "\u0301\u0327" * 10_000] * 20}).encode()
    began = time.process_time()
    with pytest.raises(InvalidContent, match="combining"):
        read_rows(read_object(text).rows, TextInput(kind="text", length=20_000), "intents")
    assert time.process_time() - began < 1.0


def test_texts_are_hashed_by_their_bytes_and_told_apart() -> None:
    texts = texts_of(["caf\u00e9", "b"])
    assert canonical_rows(texts) == ["caf\u00e9".encode(), b"b"]
    assert row_hashes(texts, SECRET)[0] == row_hashes(texts_of(["cafe\u0301"]), SECRET)[0]
    assert content_digest(texts_of(["ab", "c"]), "xy") != content_digest(texts_of(["a", "bc"]), "xy")
    assert content_digest(texts_of(["ab", "c"]), "xy") == content_digest(texts_of(["ab", "c"]), "xy")


def test_stored_texts_come_back() -> None:
    texts = texts_of(["one", "\U0001f600", "zero\x00inside"])
    rows = unpack_rows(pack_rows(make_rows("bat_1", texts, ["a", "b", "a"], SECRET)))
    assert rows.inputs.tolist() == texts.tolist()
    assert rows.label_names() == ["a", "b", "a"]
    nothing = unpack_rows(pack_rows(rows.take(np.zeros(3, bool))))
    assert (nothing.inputs.dtype, len(nothing)) == (object, 0)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.long
@given(ANYTHING)
def test_whatever_comes_is_read_or_refused(inputs: Any) -> None:
    try:
        read = texts_of(inputs)
    except (InvalidContent, BrokenJSON):
        return
    for text in read:
        assert 1 <= len(text) <= TEXT.length
        assert unicodedata.is_normalized("NFC", text)
    assert unpack_rows(pack_rows(make_rows("b", read, ["x"] * len(read), SECRET))).inputs.tolist() == read.tolist()


def test_no_mark_lies_beyond_where_marks_are_looked_for() -> None:
    assert not any(unicodedata.combining(chr(c)) for c in range(BEYOND_MARKS, sys.maxunicode + 1))
