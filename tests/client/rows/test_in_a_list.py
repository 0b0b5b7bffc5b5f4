"""Rows that are no list: what can be read once becomes one, and one row alone is refused."""

from __future__ import annotations

import sqlite3
from collections import deque
from itertools import repeat
from typing import Any

import numpy as np
import pandas
import pytest

from service.client import Client
from service.client.rows.values import in_a_list
from tests.client.test_client import Door, client, ok, problem

VECTORS = [[1.0, 2.0], [3.0, 4.0]]
ANSWER = {"model": "digits", "version": 1, "predictions": [{"class": "a", "score": 1.0, "top": []}] * 2}


def cursor() -> sqlite3.Cursor:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    connection.execute("create table fruits (weight real, colour text)")
    connection.execute("insert into fruits values (1.5, 'red'), (2.5, 'green')")
    return connection.execute("select * from fruits")


def test_what_is_read_once_becomes_a_list() -> None:
    for rows in (deque(VECTORS), (row for row in VECTORS), iter(VECTORS), {0: VECTORS[0], 1: VECTORS[1]}.values()):
        assert in_a_list(rows) == VECTORS
    assert [dict(row) for row in in_a_list(cursor())] == [
        {"weight": 1.5, "colour": "red"},
        {"weight": 2.5, "colour": "green"},
    ]


def test_what_has_a_way_of_its_own_stays_as_it_is() -> None:
    frame = pandas.DataFrame({"weight": [1.5]})
    for rows in (VECTORS, tuple(VECTORS), np.array(VECTORS), frame, frame["weight"], "rows.csv", b"a,b", None):
        assert in_a_list(rows) is rows


@pytest.mark.parametrize("row", [{"weight": 1.5}, cursor().fetchone()])
def test_one_row_alone_is_refused_with_what_to_send(row: Any) -> None:
    with pytest.raises(ValueError, match=r"This is one row \(\w+\), not a list of rows. Send it in a list: \[row\]"):
        Client("http://service").model("fruits").predict(row)
    with pytest.raises(ValueError, match="This is one row"):
        Client("http://service").model("fruits").push(row, ["apple"])


def test_a_text_in_the_place_of_labels_is_refused_with_the_option_that_names_a_column() -> None:
    model, frame = (
        Client("http://service").model("fruits"),
        pandas.DataFrame({"weight": [1.5, 2.5], "kind": ["a", "b"]}),
    )
    for rows in (frame, VECTORS, "fruits.csv"):
        with pytest.raises(
            ValueError, match=r'Labels are a list, one a row: \["kind"\]. If "kind" names a column: target'
        ):
            model.push(rows, "kind")
        with pytest.raises(ValueError, match="Labels are a list"):
            model.add_batch(rows, "kind")


def test_a_set_has_no_order_and_a_generator_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="A set has no order"):
        in_a_list({"a", "b"})
    monkeypatch.setattr("service.client.rows.values.MOST_READ", 100)
    with pytest.raises(ValueError, match="More than 100 rows come from this repeat"):
        in_a_list(repeat([1.0, 2.0]))


def test_a_deque_and_a_generator_are_sent_as_rows() -> None:
    for rows in (deque(VECTORS), (row for row in VECTORS)):
        door = Door(ok(ANSWER))
        client(door).model("digits").predict(rows)
        assert door.body(-1)["inputs"] == VECTORS


def test_rows_that_cannot_be_a_model_say_what_to_send_before_one_is_made() -> None:
    none_there = problem(404, "not-found")
    for rows in ([(1.5, "red"), (2.5, "green")], np.array([[1.5, "red"]]), np.array([[1.5, "red"]], object)):
        with pytest.raises(ValueError, match=r'Row 0 .* holds text, "(red|1.5)": .* Send dicts or a frame;'):
            client(Door(none_there)).model("fruits").push(rows, ["apple", "pear"])
    read = cursor()
    read.fetchall()
    with pytest.raises(ValueError, match=r"There are no rows. What is read once, such as a cursor, has none"):
        client(Door(none_there)).model("fruits").push(read)
    with pytest.raises(ValueError, match="target names a column, and these rows name none: send dicts"):
        client(Door(none_there)).model("fruits").push(VECTORS, target="colour")
    for unnamed in (VECTORS, ["where is my order", "where is my refund"]):
        with pytest.raises(ValueError, match=r"Which labels or numbers belong to these .*: push\(rows, labels\)"):
            client(Door(none_there)).model("fruits").push(unnamed)
