"""Rows of tables in a program become objects of JSON, whatever holds them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas
import pytest

from service.client import Client, table_columns
from service.client.rows.guess import guess
from service.client.rows.table_rows import name_cells, named_rows, names_of, split_columns, table_rows, with_numbers
from tests.client.test_client import a_model


class NaTType:
    """What pandas has for a missing date."""

    def isoformat(self) -> str:
        return "NaT"


class Frame:
    """What of a frame of pandas or polars is used."""

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self._cells = columns
        self.columns = [*columns]

    def to_dict(self) -> dict[str, list[Any]]:
        return self._cells

    def to_numpy(self) -> Any:
        return np.array([*zip(*self._cells.values(), strict=True)])

    def __getitem__(self, name: str) -> Iterator[Any]:
        return iter(self._cells[name])


FRAME = Frame(
    {
        "age": [31.5, np.float64(40), float("nan")],
        "zip": [10115.0, float("nan"), 80331.0],
        "city": ["Osaka", None, np.str_("Kyoto")],
        "booked": [datetime(2026, 11, 29, 5, 30, tzinfo=UTC), NaTType(), datetime(2026, 1, 2)],
        "born": [date(1990, 1, 2), date(2000, 1, 2), None],
        "member": [True, np.bool_(False), None],
        "fee": [Decimal("1.25"), Decimal("NaN"), None],
    }
)
ROWS = [
    {
        "age": 31.5,
        "zip": 10115,
        "city": "Osaka",
        "booked": "2026-11-29T05:30:00+00:00",
        "born": "1990-01-02",
        "member": True,
        "fee": 1.25,
    },
    {"age": 40, "born": "2000-01-02", "member": False},
    {"zip": 80331, "city": "Kyoto", "booked": "2026-01-02T00:00:00"},
]


def test_a_frame_becomes_objects_without_what_is_missing() -> None:
    rows = table_rows(FRAME)
    assert rows == ROWS
    assert [type(row["zip"]) for row in (rows[0], rows[2])] == [int, int]
    json.dumps(rows, allow_nan=False)


def test_dicts_stay_what_they_are_but_for_what_json_has_not() -> None:
    sent = [{"age": np.float32(0.5), "city": "Osaka", "note": None, "fee": float("nan"), "booked": date(2026, 1, 2)}]
    assert table_rows(sent) == [{"age": 0.5, "city": "Osaka", "booked": "2026-01-02"}]
    with pytest.raises(
        ValueError,
        match=r"^Row 1 \(counted from 0\) names no cells, and others do: send dicts alone, or lists alone\.$",
    ):
        table_rows([sent[0], [0.5, "Osaka"]])


def test_columns_are_proposed_by_what_is_there() -> None:
    proposed = {column.pop("name"): column for column in table_columns(FRAME)}
    assert proposed == {
        "age": {"kind": "number"},
        "zip": {"kind": "number"},
        "city": {"kind": "category"},
        "booked": {"kind": "date"},
        "born": {"kind": "date", "parts": ["weekday", "year"]},
        "member": {"kind": "boolean"},
        "fee": {"kind": "number"},
    }
    rows = [{"order": f"o{k}", "shop": f"s{k % 90}", "empty": None} for k in range(300)]
    assert table_columns(rows) == [
        {"name": "order", "kind": "category", "many": True},
        {"name": "shop", "kind": "category"},
        {"name": "empty", "kind": "category"},
    ]


def test_columns_are_not_proposed_from_a_path() -> None:
    for rows in ["rents.csv", Path("rents.csv"), b"city,rooms\n", {"city": "Osaka"}, [["Osaka", 2]], None]:
        with pytest.raises(ValueError, match=r"Columns are proposed from a frame or a list of dicts"):
            table_columns(rows)


def test_a_column_of_what_is_no_cell_is_refused_before_a_model_is_made_of_it() -> None:
    for cell in [[1], {"a": 1}, 1j, b"x", object()]:
        with pytest.raises(ValueError, match=f'Column "rooms" holds {type(cell).__name__}'):
            table_columns([{"city": "Osaka", "rooms": cell}])


def test_a_column_of_a_frame_that_says_it_is_of_categories_is_one_whatever_its_cells_are() -> None:
    sizes = pandas.cut(pandas.Series([1, 2, 3]), 2)
    of = {
        "zip": ["0123", None, "2"],
        "size": [1, 2, None],
        "share": [0.5, 2, 0.5],
        "range": sizes,
        "day": ["2026-12-01"] * 3,
    }
    frame = pandas.DataFrame(of).astype("category")
    assert {column["kind"] for column in table_columns(frame)} == {"category"}
    assert table_rows(frame)[1] == {"size": 2, "share": 2, "range": "(0.998, 2.0]", "day": "2026-12-01"}
    guessed = guess(frame.assign(age=[1, 2, 3]), columns=["size"])
    assert (guessed.target, guessed.doubts, [column["kind"] for column in guessed.input["columns"]]) == (
        None,
        (),
        [*["category"] * 4, "number"],
    )


def test_dates_of_a_frame_are_such_however_they_are_written() -> None:
    frame = pandas.DataFrame({"day": ["31.12.2026", None, "1.2.2027"], "at": ["2/28/2026", "3/4/2026", "3/5/2026"]})
    assert {column["kind"] for column in table_columns(frame)} == {"date"}
    assert table_rows(frame, ["day", "at"])[0] == {"day": "2026-12-31", "at": "2026-02-28"}
    assert table_rows(frame)[0]["day"] == "31.12.2026", "a value of a category"
    assert guess(frame.assign(y=[1.5, 2.5, 3.5]), columns=["y"]).doubts == ()
    unclear = frame[1:]
    with pytest.raises(ValueError, match='3/4/2026 in "at" is 2026-04-03 if the day stands first'):
        table_columns(unclear)
    assert table_columns(unclear, "day-first") == table_columns(frame)
    assert table_rows(unclear, ["at"], "day-first")[0] == {"at": "2026-04-03"}


def test_two_columns_of_one_name_are_refused_and_names_need_not_be_text() -> None:
    twice = pandas.DataFrame([[1, 2], [3, 4]], columns=["a", "a"])
    for call in (table_rows, table_columns, guess, lambda frame: split_columns(frame, None, None, "a", None)):
        with pytest.raises(ValueError, match='Columns 1 and 2 of this frame are both called "a"'):
            call(twice)
    numbered = pandas.DataFrame([[1.5, "x", "p"], [2.5, "y", "q"]])
    rest, labels, groups = split_columns(numbered, None, None, "1", "2")
    assert (table_rows(rest), labels, groups) == ([{"0": 1.5}, {"0": 2.5}], ["x", "y"], ["p", "q"])


def test_names_are_those_of_a_model_whatever_is_around_them() -> None:
    """A model has names in NFC without blanks at the ends, and so are those of rows that it is made of."""
    frame = pandas.DataFrame({" p0": [1.5, 2.5], "cafe\u0301": [3, 4], "kind ": ["a", "b"]})
    assert [*names_of(frame)] == ["p0", "caf\u00e9", "kind"]
    assert guess(frame, columns=["kind"]).input == guess(frame.to_dict("records"), columns=["kind"]).input
    rest, labels, _ = split_columns(frame, None, None, " kind", None, ["caf\u00e9"])
    assert (table_rows(rest), labels) == ([{"p0": 1.5}, {"p0": 2.5}], ["a", "b"])
    for twice in (pandas.DataFrame({" a": [1], "b": [2], "a": [3]}), [{" a": 1, "b": 2, "a": 3}]):
        with pytest.raises(
            ValueError, match=r'Columns 1 and 3 of (this frame|row 0 \(counted from 0\)) are both called "a"'
        ):
            guess(twice, ["x"])


def test_rows_that_name_their_cells_are_dicts() -> None:
    frame = pandas.DataFrame({"at": np.array(["2026-01-02", "NaT"], "M8[ns]"), "n": [1.5, 2.5]})
    rows = [{"at": "2026-01-02T00:00:00", "n": 1.5}, {"n": 2.5}]
    records = frame.to_records(index=False)
    of_frame = [row for _, row in frame.iterrows()]
    for named in (records, [*records], of_frame, [*frame.itertuples(index=False)], frame.to_dict("records")):
        assert name_cells(named)
        assert table_rows(named_rows(named)) == rows
    for plain in (frame, np.ones((2, 2)), [np.ones(2)], [(1, 2)], ["ab"], [], frame["n"], [frame["n"].to_numpy()]):
        assert not name_cells(plain)
    with pytest.raises(ValueError, match=r'Columns 1 and 2 of row 0 \(counted from 0\) are both called "n"'):
        named_rows([pandas.Series([1, 2], index=["n", "n"])])
    with pytest.raises(ValueError, match=r"Row 1 \(counted from 0\) names no cells"):
        named_rows([{"n": 1}, [2]])


def test_a_frame_is_sent_as_the_model_takes_it() -> None:
    sent: list[tuple[str, Any]] = []
    kinds = {"t": {"kind": "table", "columns": [{"name": "age", "kind": "number"}]}, "v": {"kind": "vector", "size": 2}}

    def answer(request: httpx.Request) -> httpx.Response:
        name = request.url.path.split("/")[3]
        if request.method == "GET":
            return httpx.Response(200, json=a_model(name=name, input=kinds[name], live_version=1, serving_version=1))
        sent.append((name, json.loads(request.content)["inputs"]))
        return httpx.Response(200, json={"model": name, "version": 1, "predictions": []})

    frame = Frame({"age": [1.0, 2.0], "fee": [3.5, 4.5]})
    with Client(transport=httpx.MockTransport(answer)) as client:
        for name in kinds:
            client.model(name).predict(frame)
        client.model("t").predict([{"age": np.int64(3)}])
    assert sent == [
        ("t", [{"age": 1}, {"age": 2}]),  # the model has no fee
        ("v", [[1.0, 3.5], [2.0, 4.5]]),
        ("t", [{"age": 3}]),
    ]


def test_texts_of_numbers_are_numbers_but_for_words_for_gaps_and_in_columns_of_numbers_alone() -> None:
    rows = [{"size": " 12.50 ", "city": "12"}, {"size": "-999"}, {"size": "k.A."}, {"size": "１２"}, {"size": 7.5}, {}]
    due = [{"size": 12.5, "city": "12"}, {"size": "-999"}, {"size": "k.A."}, {"size": 12}, {"size": 7.5}, {}]
    assert with_numbers(rows, ["size"], {"-999", "k.A."}) == due
