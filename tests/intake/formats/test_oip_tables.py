"""Tensors of columns as rows of a table: JSON or bytes, what is missing, and what is refused in which words."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from service.contract.tables import TableInput, value_code
from service.errors import InvalidContent
from service.intake.formats.oip_request import Inference, read_inference
from service.intake.formats.oip_tables import is_heavy
from service.intake.formats.oip_tensors import LENGTH_BYTES
from tests.tables import table_of

TABLE = table_of({"age": "number", "city": "category", "booked": "date", "member": "boolean"})
OSAKA, KYOTO, DAY = value_code("Osaka"), value_code("Kyoto"), 20_786 * 86_400.0


def column(name: str, datatype: str, data: Any, **other: Any) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)], "datatype": datatype, "data": data, **other}


AGE, CITY = column("age", "FP64", [31, None]), column("city", "BYTES", ["Osaka", ""])


def read(*tensors: dict[str, Any], behind: bytes = b"", spec: TableInput = TABLE) -> Inference:
    head = json.dumps({"inputs": list(tensors)}).encode()
    return read_inference(head + behind, str(len(head)) if behind else None, spec, "stays", ["class"])


def elements(*texts: bytes) -> bytes:
    return b"".join(len(text).to_bytes(LENGTH_BYTES, "little") + text for text in texts)


def test_each_column_is_a_tensor_and_what_is_left_out_is_missing() -> None:
    member = {"name": "member", "shape": [2, 1], "datatype": "BOOL", "data": [[True], [None]]}
    got = read(CITY, AGE, column("booked", "BYTES", ["2026-11-29", ""]), member)
    assert np.array_equal(got.rows, [[31, OSAKA, DAY, 1], [np.nan] * 4], equal_nan=True)
    assert got.names == {1: {OSAKA: "Osaka"}}
    assert np.array_equal(read(AGE).rows, [[31, *[np.nan] * 3], [np.nan] * 4], equal_nan=True)
    assert read(column("age", "FP32", [1.5])).rows[0, 0] == 1.5  # by the quick reader
    assert read(column("city", "INT64", [7])).names == {1: {value_code("7"): "7"}}


def test_a_word_for_a_gap_is_missing() -> None:
    spec = TableInput.model_validate({**TABLE.model_dump(), "gaps": ["k.A."]})
    cities = {"name": "city", "shape": [2], "datatype": "BYTES"}
    for got in (
        read(cities | {"data": ["k.A.", "Osaka"]}, spec=spec),
        read(cities | {"parameters": {"binary_data_size": 17}}, behind=elements(b"k.A.", b"Osaka"), spec=spec),
    ):
        assert np.array_equal(got.rows[:, 1], [np.nan, OSAKA], equal_nan=True)


def test_bytes_of_several_tensors_follow_in_their_order() -> None:
    ages, cities, members = np.array([31, np.nan]).tobytes(), elements(b"Kyoto", b""), b"\x01\x00"
    tensors = [
        {"name": name, "shape": [2], "datatype": datatype, "parameters": {"binary_data_size": len(data)}}
        for name, datatype, data in [("city", "BYTES", cities), ("age", "FP64", ages), ("member", "BOOL", members)]
    ]
    dates = column("booked", "BYTES", ["2026-11-29", "2026-11-29"])
    got = read(tensors[0], dates, *tensors[1:], behind=cities + ages + members)
    assert np.array_equal(got.rows, [[31, KYOTO, DAY, 1], [np.nan, np.nan, DAY, 0]], equal_nan=True)


def test_what_is_wrong_is_refused_by_column_and_row() -> None:
    for tensors, words in [
        ([column("aeg", "FP64", [1])], '"aeg" is no column of stays, which takes a tensor for each. Near: "age"'),
        ([column("input", "FP64", [1])], "GET /v2/models/stays"),
        ([AGE, AGE], "age is there more than once"),
        ([], "inputs is empty; stays takes a tensor for each column"),
        ([AGE, column("city", "BYTES", ["Osaka"])], "age has 2 rows, and city 1"),
        ([column("age", "FP64", [1], shape=[1, 2])], r"shape \[1, 2\]. A column has \[n\]"),
        ([column("age", "FP64", [], shape=[0])], "one row at least"),
        ([column("age", "FP64", [1, 2], shape=[3])], "2 elements; shape"),
        ([column("age", "FP128", [1])], "FP128"),
        ([column("age", "FP64", {"a": 1})], "where a list of its elements is due"),
        (
            [column("age", "FP64", [1, "two"])],
            r'Row 1 \(counted from 0\) of age: "two" is not a number: write one such as 12.5',
        ),
        ([column("age", "BYTES", ["31"])], r'Row 0 \(counted from 0\) of age: "31" is text: a number is due'),
        ([column("member", "BYTES", ["yes"])], r"Row 0 \(counted from 0\) of member: .* true or false"),
        ([column("booked", "BYTES", ["29/11/2026"])], r"Row 0 \(counted from 0\) of booked: This is no date"),
        ([{"name": "age", "shape": [1], "datatype": "FP64"}], "neither data nor"),
        ([column("age", "FP64", [1], parameters={"shared_memory_region": "x"})], "no shared memory"),
    ]:
        with pytest.raises(InvalidContent, match=words):
            read(*tensors)


def test_bytes_that_are_none_of_the_datatype_are_refused() -> None:
    for datatype, data, words in [
        ("FP64", b"1234567", "age has 7 bytes; FP64 of shape"),
        ("BOOL", b"\x02", "other than 0 and 1"),
        ("BYTES", b"\x09\x00\x00\x00a", r"Row 0 \(counted from 0\) of age is cut short"),
        ("BYTES", elements(b"\xff"), r"age, row 0 \(counted from 0\) is not UTF-8"),
    ]:
        tensor = {"name": "age", "shape": [1], "datatype": datatype, "parameters": {"binary_data_size": len(data)}}
        with pytest.raises(InvalidContent, match=words):
            read(tensor, behind=data)
        with pytest.raises(InvalidContent, match="binary_data_size says"):
            read(tensor, behind=data + b"x")


def test_a_table_of_a_thousand_columns_has_as_many_tensors() -> None:
    columns = [{"name": f"c{k}", "kind": "number"} for k in range(1000)]
    spec = TableInput.model_validate({"kind": "table", "columns": columns})
    got = read(*(column(f"c{k}", "FP64", [k]) for k in range(1000)), spec=spec)
    assert got.rows.tolist() == [list(range(1000))]
    assert not is_heavy(b'{"shape": [1]}', spec)
    assert is_heavy(b'{"shape" : [ 2000]}', spec)
    assert is_heavy(rb'{"\u0073hape": [1]}', spec)
