"""Rows of tables: what is taken, and for each fault its pointer and its sentence."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import numpy as np
import pytest
from pydantic import ValidationError

from service.contract.body_limits import BodyLimits
from service.contract.inputs import INPUT_SPEC
from service.contract.tables import TableInput, value_code
from service.errors import InvalidContent
from service.intake.json_body import read_object
from service.intake.kinds import tables
from service.intake.kinds.rows import Named, read_named_rows, read_row
from service.intake.kinds.tables import TableReader, reader_of

COLUMNS = [
    {"name": "age", "kind": "number"},
    {"name": "city", "kind": "category"},
    {"name": "plan", "kind": "category", "values": ["basic", "plus"]},
    {"name": "booked", "kind": "date"},
    {"name": "member", "kind": "boolean"},
    {"name": "order id", "kind": "category", "many": True},
]
SPEC = INPUT_SPEC.as_stored({"kind": "table", "columns": COLUMNS})
assert isinstance(SPEC, TableInput)
LONG = "x" * 300
"""A member that is read apart, as rows of a body of some length are."""


def read(text: str, spec: Any = SPEC) -> Named:
    """The rows of a body, as the strict readers take them; the quick one must agree, or leave them to these."""
    body = f'{{"inputs": {text}}}'.encode()
    named = read_named_rows(read_object(body).rows, spec, "stays")
    if (quick := reader_of(spec).read_usual(body)) is not None:
        assert np.array_equal(quick[0], named.rows, equal_nan=True)
        assert quick[1] == named.names
    return named


def cells(row: Any) -> list[float]:
    cells: list[float] = read(json.dumps([row])).rows[0].tolist()
    return cells


def seconds(text: str) -> float:
    return cells({"booked": text})[3]


@pytest.mark.parametrize("ascii_only", [True, False])
def test_objects_and_lists_are_read_alike(ascii_only: bool) -> None:
    row = [31, "大阪", "plus", "2026-11-29T05:30", True, 'a"\\1']
    rows = [dict(zip(SPEC.places, row, strict=True)), row] * 30  # so many that they are cut out of the body
    named = read(json.dumps(rows, ensure_ascii=ascii_only))
    assert np.array_equal(named.rows[::2], named.rows[1::2])
    assert named.rows[0, :2].tolist() == [31.0, value_code("大阪")]
    assert named.rows[0, 2:5].tolist() == [value_code("plus"), 1795930200.0, 1.0]
    assert named.names == {1: {value_code("大阪"): "大阪"}}


def test_what_is_left_out_null_or_blank_is_missing() -> None:
    assert np.isnan(cells({})).all()
    assert np.isnan(cells(dict.fromkeys(SPEC.places))).all()
    assert np.isnan(cells([None] * 6)).all()
    assert np.isnan(cells({"city": "", "plan": "  ", "order id": ""})).all()
    assert read('[{"city": ""}]').names == {1: {}}


def test_a_word_for_a_gap_is_missing_in_a_column_of_any_kind() -> None:
    spec = INPUT_SPEC.as_stored({"kind": "table", "columns": COLUMNS, "gaps": ["k.A.", "なし"]})
    named = read(json.dumps([[" k.A. "] * 6, ["なし"] * 6, [3, "k.A", "plus", "2026-11-29", True, 1]]), spec)
    assert np.isnan(named.rows[:2]).all()
    assert not np.isnan(named.rows[2]).any()
    assert named.names == {1: {value_code("k.A"): "k.A"}}
    with pytest.raises(InvalidContent, match=r'"k\.A\." is not a number'):
        read('[{"age": "k.A."}]')
    with pytest.raises(ValidationError, match='"plus" stands in gaps and in values'):
        TableInput.model_validate({"kind": "table", "columns": COLUMNS, "gaps": ["plus"]})


def test_a_value_is_its_cleaned_text() -> None:
    for value, text in [
        (" Osaka ", "Osaka"),
        ("Cafe\u0301", "Café"),
        (7, "7"),
        ("7", "7"),
        (True, "true"),
        (-(10**100), str(-(10**100))),
        ("x" * 200, "x" * 200),
        ("\u3000z\u00a0", "z"),
    ]:
        named = read(json.dumps([{"city": value}]))
        assert named.names == {1: {named.rows[0, 1]: text}}, value
        assert named.rows[0, 1] == value_code(text), value


def test_a_date_is_the_clock_as_it_was_written() -> None:
    for text, same in [
        ("1970-01-01", 0.0),
        ("1970-01-02T03:04", 97440.0),
        ("1970-01-02 03:04:05", 97445.0),
        ("1970-01-02t03:04:05.5z", 97445.5),
        ("1970-01-02T03:04:05-23:59", 97445.0),
        ("1969-12-31T23:59:60", 0.0),
        ("0001-01-01", -62135596800.0),
    ]:
        assert seconds(text) == same, text


def test_minus_zero_is_zero_and_other_numbers_are_kept_to_the_last_bit() -> None:
    assert math.copysign(1, cells({"age": -0.0})[0]) == 1
    for number in (0.1, 1e150, -1e150, 5e-324, 2**53 + 1):
        assert cells({"age": number})[0] == float(number)


FAULTS: list[tuple[str, str, str]] = [
    (
        '[{"age": "31"}]',
        "/inputs/0/age",
        'Row 0 (counted from 0), age: "31" is text: a number is due, without quotes, or null',
    ),
    ('[{"age": "12,5"}]', "/inputs/0/age", '"12,5" is not a number here: write 12.5, a point'),
    ('[{"age": "1,234.5"}]', "/inputs/0/age", "write 1234.5, a point"),
    ('[{"age": true}]', "/inputs/0/age", "This is true or false: a number is due"),
    ('[{"age": [1]}]', "/inputs/0/age", "This is a list: a number is due"),
    ('[{"age": {"n": 1}}]', "/inputs/0/age", "This is an object: a number is due"),
    ('[{"age": 1e151}]', "/inputs/0/age", "beyond 1e+150 on either side of 0. Take a larger unit."),
    (f'[{{"age": {"9" * 400}}}]', "/inputs/0/age", "beyond 1e+150"),
    ('[{"age": 1e999}]', "/inputs/0/age", "beyond a double"),
    ('[{"age": NaN}]', "/inputs/0/age", "JSON has no NaN"),
    ('[{"age": 1, "age": 2}]', "/inputs/0/age", "there twice"),
    ('[{"city": 2.5}]', "/inputs/0/city", 'no fraction: "2.5" as text'),
    ('[{"city": ["Osaka"]}]', "/inputs/0/city", "This is a list: the value of a category is text or a whole number"),
    (f'[{{"city": "{"x" * 201}"}}]', "/inputs/0/city", "The value of a category has 1 to 200 characters"),
    (f'[{{"city": {"9" * 300}}}]', "/inputs/0/city", "The value of a category has 1 to 200 characters"),
    ('[{"city": "a\\u200bb"}]', "/inputs/0/city", "no control, format or invisible characters"),
    ('[{"city": "a\\u0000b"}]', "/inputs/0/city", "no control, format or invisible characters"),
    ('[{"city": "\\ud800"}]', "/inputs/0/city", "half of a surrogate pair"),
    ('[{"order id": "a\\nb"}]', "/inputs/0/order id", "no control, format"),
    ('[{"plan": "plsu"}]', "/inputs/0/plan", '"plsu" is none of the values that plan was declared with. Near: "plus".'),
    ('[{"plan": "gold"}]', "/inputs/0/plan", "GET the model for those it has."),
    ('[{"plan": 5}]', "/inputs/0/plan", '"5" is none of the values'),
    ('[{"member": 1}]', "/inputs/0/member", "This is a number: true or false is due, or null"),
    ('[{"member": "true"}]', "/inputs/0/member", "true or false is due, without quotes"),
    ('[{"booked": 0}]', "/inputs/0/booked", "a date is text such as 2026-11-29T05:30"),
    ('[{"booked": "29.11.2026"}]', "/inputs/0/booked", "This is no date: write 2026-11-29, 2026-11-29T05:30 or"),
    ('[{"booked": "2026-11-29T"}]', "/inputs/0/booked", "This is no date"),
    ('[{"booked": "2026-11-29Z"}]', "/inputs/0/booked", "This is no date"),
    ('[{"booked": ""}]', "/inputs/0/booked", "and null where it is missing"),
    ('[{"booked": "２０２６-11-29"}]', "/inputs/0/booked", "This is no date"),
    ('[{"booked": "2026-02-29"}]', "/inputs/0/booked", "There is no such day"),
    ('[{"booked": "0000-01-01"}]', "/inputs/0/booked", "There is no such day"),
    ('[{"booked": "2026-11-29T24:00"}]', "/inputs/0/booked", "There is no such time of the day"),
    ('[{"booked": "2026-11-29T05:30:60"}]', "/inputs/0/booked", "There is no such time of the day"),
    ('[{"booked": "2026-11-29T05:30+24:00"}]', "/inputs/0/booked", "There is no such offset"),
    ('[{}, {"ciyt": "Osaka"}]', "/inputs/1/ciyt", '"ciyt" is no column of stays. Near: "city".'),
    ('[{"~a/b": 1}]', "/inputs/0/~0a~1b", "Leave it out: its columns are age, city, plan, booked, member, order id."),
    ('[{"city": "a", " city": "b"}]', "/inputs/0/ city", "This column is there twice"),
    ("[5]", "/inputs/0", "Row 0 (counted from 0) is a number: an object is due"),
    (
        "[[], 5]",
        "/inputs/0",
        "Row 0 (counted from 0) has 0 cells; stays takes 6, in the order of its columns: age, city",
    ),
    ('[[1, "a", "plus", null, true]]', "/inputs/0", "Row 0 (counted from 0) has 5 cells"),
    ('[[1, "a", "plus", null, true, "id", 7]]', "/inputs/0", "Row 0 (counted from 0) has 7 cells"),
    ('[{}, "age"]', "/inputs/1", "Row 1 (counted from 0) is text: an object is due"),
    ("[{}, null]", "/inputs/1", "Row 1 (counted from 0) is null: an object is due"),
    ("[]", "/inputs", "inputs is empty"),
    ('{"age": 3}', "/inputs", "This is one bare row, and a list of rows is due"),
    ('"age"', "/inputs", "inputs is a list of rows"),
    ('[1, "Osaka", "plus", null, true, "id"]', "/inputs", "This is one bare row"),
]


def test_a_fault_is_named_with_its_place() -> None:
    for apart in [False, True]:
        for text, pointer, sentence in FAULTS:
            with pytest.raises(InvalidContent) as caught:
                read(text + " " * 300 if not apart else text.replace("]", " " * 300 + "]", 1))
            assert [at for at, _ in caught.value.errors] == [pointer], (apart, text)
            assert sentence in caught.value.detail, (apart, text)
            assert caught.value.detail.endswith("."), (apart, text)


def test_a_name_in_another_form_of_unicode_is_that_of_its_column() -> None:
    spec = TableInput.model_validate({"kind": "table", "columns": [{"name": " Cafe\u0301 ", "kind": "number"}]})
    assert spec.columns[0].name == "Café"
    for name in ("Café", "Cafe\u0301", " Café"):
        assert read(json.dumps([{name: 3}]), spec).rows.tolist() == [[3.0]]


def test_one_row_of_a_query_is_an_object_or_a_list() -> None:
    for text in ('{"age": 3}', '[3, "", null, null, null, null]'):
        assert read_row(text, SPEC, "stays").rows[0, 0] == 3
    for text, pointer in (('{"age": "3"}', "/input/age"), ('"age"', "/input"), ('[{"age": 3}]', "/input")):
        with pytest.raises(InvalidContent) as caught:
            read_row(text, SPEC, "stays")
        assert caught.value.errors[0][0] == pointer


def test_the_quick_reader_leaves_to_the_strict_one_what_it_cannot_see_through() -> None:
    reader = TableReader(SPEC)
    for body in (
        b'{"inputs": [{"age": 1, "age": 1}]}',
        b'{"inputs": [], "inputs": [{"age": 1}]}',
        b'{"inputs": [{"city": "a\\\\\\""}]}',
        b'{"inputs": [{"age": {"a": 1}}]}',
        b'{"inputs": [{"agee": 1}]}',
        b'{"inputs": [[1]]}',
        b'{"inputs": {"age": 1}}',
        b'{"inputs": ' + b"[" * 100_000,
        b'[{"age": 1}]',
        b'{"input": [{"age": 1}]}',
    ):
        assert reader.read_usual(body) is None, body
    quick = reader.read_usual(b'{"inputs": [{"city": "a\\"\\u00e9", "age": 1}], "source": "north", "top": 2}')
    assert quick[2] == {"source": "north", "top": 2}
    assert list(quick[1][1].values()) == ['a"é']


def test_rows_beyond_the_cells_of_a_body_are_refused_before_they_are_read() -> None:
    lowered = BodyLimits(max_cells=1000)
    assert len(read_named_rows([{}] * 166, SPEC, "stays", lowered).rows) == 166
    with pytest.raises(
        InvalidContent, match=r"at most 166 rows of 6 columns at once, and these are more\. Send them in parts"
    ):
        read_named_rows([*[{}] * 166, {"nobody": 1}], SPEC, "stays", lowered)
    lowered.check_rows(1, 2000)  # one row fits always
    with pytest.raises(InvalidContent, match=r"at most 5 rows at once"):
        BodyLimits(max_rows=5).check_rows(6, 3)


def test_rows_are_decoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of some size must not become Python objects all at once."""
    held: list[int] = []
    decode = tables.decoded

    def counted(raw: msgspec.Raw, k: int) -> Any:
        held.append(k)
        return decode(raw, k)

    monkeypatch.setattr(tables, "decoded", counted)
    rows = [{"age": k, "city": f"c{k % 7}"} for k in range(50)]
    assert read(json.dumps(rows)).rows[:, 0].tolist() == list(range(50))
    assert held == list(range(50))
