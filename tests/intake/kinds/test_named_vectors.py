"""Rows of numbers as objects: by the names of the columns, whatever their order, strictly."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from service.contract.inputs import VectorInput
from service.errors import InvalidContent
from service.intake.kinds.rows import read_row, read_rows

NAMED = VectorInput(kind="vector", size=2, names=["a", "é"])
PLAIN = VectorInput(kind="vector", size=2)


@pytest.mark.parametrize(
    "rows",
    [[{"é": 2, "a": 1.5}, {"a": 3, "é": 4}], [[1.5, 2], {"e\u0301": 4, " a ": 3}], [[1.5, 2], [3, 4]]],
    ids=["objects", "lists beside objects, names that are cleaned", "lists"],
)
def test_objects_are_read_by_name_and_lists_by_position(rows: list[Any]) -> None:
    for form in (rows, msgspec.Raw(json.dumps(rows).encode())):
        assert read_rows(form, NAMED, "m").tolist() == [[1.5, 2.0], [3.0, 4.0]]
    assert read_row('{"é": 2, "a": 1}', NAMED, "m").rows.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("rows", "pointer", "sentence"),
    [
        (
            [{"a": 1, "é": 2}, {"a": 1}],
            "/inputs/1",
            "Row 1 (counted from 0): é is missing. Add what is missing, or leave the row out.",
        ),
        ([{}], "/inputs/0", "Row 0 (counted from 0): a, é are missing."),
        (
            [[1, 2], {"a": 1, "b": 2}],
            "/inputs/1/b",
            'Row 1 (counted from 0): "b" is no column of m. Leave it out: its columns are a, é.',
        ),
        ([{"a": 1, "é": 2, "id": 7}], "/inputs/0/id", 'Row 0 (counted from 0): "id" is no column of m.'),
        ([{"a": 1, " a": 1, "é": 2}], "/inputs/0/ a", "This column is there twice."),
        (
            [{"a": 1, "é": None}],
            "/inputs/0/é",
            "Row 0 (counted from 0), é: This is null: a number is due. Fill it in, or leave",
        ),
        ([{"a": "3,14", "é": 1}], "/inputs/0/a", "Row 0 (counted from 0), a: This is text: a number is due."),
        ([{"a": True, "é": 1}], "/inputs/0/a", "Row 0 (counted from 0), a: This is true or false: a number is due."),
        ([{"a": 1e39, "é": 1}], "/inputs/0/a", "beyond what a float32 can hold"),
        ([{"a": 1, "é": 2}, [1]], "/inputs/1", "Row 1 (counted from 0) has 1 numbers; m takes 2."),
        ({"a": 1, "é": 2}, "/inputs", "inputs is a list of rows of numbers"),
    ],
)
def test_what_is_wrong_is_refused_with_row_and_column(rows: Any, pointer: str, sentence: str) -> None:
    for form in (rows, msgspec.Raw(json.dumps(rows).encode())):
        with pytest.raises(InvalidContent) as refused:
            read_rows(form, NAMED, "m")
        assert refused.value.errors[0][0] == pointer
        assert sentence in refused.value.errors[0][1]


def test_a_member_that_stands_twice_is_refused() -> None:
    with pytest.raises(InvalidContent, match="This member is there twice"):
        read_rows(msgspec.Raw(b'[{"a": 1, "a": 2, "\xc3\xa9": 3}]'), NAMED, "m")


def test_a_model_without_names_takes_no_objects() -> None:
    with pytest.raises(
        InvalidContent, match=r"Row 0 \(counted from 0\) has an object where a list of 2 numbers is due"
    ):
        read_rows([{"a": 1, "é": 2}], PLAIN, "m")
