"""Rows of tables over HTTP: batches with the values that they bring, refusals, models and the columns they name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from service.contract.inputs import INPUT_SPEC
from service.contract.tables import LACKED, TableInput, value_code
from service.intake.kinds import brought_values, tables
from service.learning.data.serialization import unpack_rows
from service.learning.data.target_grid import NumberGrid
from service.registry import batches, models
from service.registry.sql.tables import Batch
from service.storage.artifacts import model_area
from tests.api.conftest import Api, pointers
from tests.making import keep_version, table_checkpoint

pytestmark = pytest.mark.usefixtures("lasting")

COLUMNS: list[dict[str, Any]] = [
    {"name": "age", "kind": "number"},
    {"name": "city", "kind": "category"},
    {"name": "plan", "kind": "category", "values": ["basic", "plus"]},
    {"name": "shop", "kind": "category", "new_values": "refuse"},
]
BATCHES = "/v1/models/stays/batches"
ROWS = [
    {"age": 31, "city": "Osaka", "plan": "plus", "shop": "n1"},
    {"age": 40.5, "city": "Kyoto"},
    {"city": "Nara", "plan": None},
    [52, "Osaka", "basic", "n1"],
]


def made(api: Api, name: str, columns: list[dict[str, Any]] = COLUMNS, **fields: Any) -> Any:
    return api("POST", "/v1/models", {"name": name, "input": {"kind": "table", "columns": columns}, **fields})


@pytest.fixture(params=["in this process", "in the reading process"])
def stays(request: pytest.FixtureRequest, api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """An application with a model "stays" of tables."""
    assert made(api, "stays").status_code == 201
    if request.param != "in this process":
        monkeypatch.setattr("service.api.bodies.request_body.LARGE_BYTES", 0)
    return api


def record(api: Api, batch_id: str) -> Batch:
    with api.runtime.database.reading() as session:
        return batches.get(session, models.get(session, "stays"), batch_id)


def test_a_batch_is_stored_as_numbers_and_knows_the_values_of_its_labelled_rows(stays: Api) -> None:
    batch = stays.ok("POST", BATCHES, {"inputs": ROWS, "labels": ["stays", "leaves", None, "stays"]})
    assert (batch["rows"], batch["unlabelled"]) == (4, 1)
    row = record(stays, batch["id"])
    assert row.values == {
        "city": {"Kyoto": 1, "Osaka": 2},
        "shop": {"n1": 2},
        LACKED: {"plan": 1, "shop": 1, LACKED: 0},
    }
    rows = unpack_rows(stays.runtime.store.get(model_area(row.model_id), row.stored_digest or ""))
    osaka, n1 = value_code("Osaka"), value_code("n1")
    due = [[31, osaka, value_code("plus"), n1], [40.5, value_code("Kyoto"), np.nan, np.nan]]
    assert np.array_equal(rows.inputs, [*due, [52, osaka, value_code("basic"), n1]], equal_nan=True)
    assert rows.inputs.dtype == np.float64


def test_rows_are_the_same_batch_however_they_were_written(stays: Api) -> None:
    body = {"inputs": ROWS, "labels": ["a", "b", "a", "b"]}
    headers = {"Idempotency-Key": "k"}
    first = stays.ok("POST", BATCHES, body, headers=headers)
    as_lists = [[31.0, " Osaka", "plus", "n1"], [40.5, "Kyoto", None, ""], [None, "Nara", None, None], ROWS[3]]
    again = stays("POST", BATCHES, {**body, "inputs": as_lists}, headers=headers)
    assert (again.status_code, again.json()["id"]) == (201, first["id"])
    assert stays("POST", BATCHES, {**body, "inputs": as_lists}).status_code == 200
    other = stays("POST", BATCHES, {**body, "inputs": [ROWS[1], *ROWS[1:]]}, headers=headers)
    assert other.status_code == 409
    assert len(stays.ok("GET", BATCHES)["items"]) == 1


def test_new_values_are_taken_or_refused_as_column_and_request_say(stays: Api) -> None:
    def send(row: dict[str, Any], label: str | None = "a", **fields: Any) -> Any:
        return stays("POST", BATCHES, {"inputs": [row], "labels": [label], "new_classes": "allow", **fields})

    assert send({"city": "Osaka", "shop": "north"}).status_code == 201  # the first ones of the column
    refused = send({"city": "Kobe", "shop": "nort"})
    assert pointers(refused) == ["/inputs/0/shop"]
    assert refused.json()["type"].endswith("unknown-values")
    assert refused.json()["unknown"] == {"shop": ["nort"]}
    assert refused.json()["detail"] == (
        '"nort" is a new value of shop in stays. Near: "north". To take new values, send "new_values": "take".'
    )
    assert send({"city": "Kobe", "shop": "south"}, new_values="take").status_code == 201
    assert send({"city": "Kobe", "shop": "south", "age": 3}).status_code == 201
    assert pointers(send({"city": "Koby"}, new_values="refuse")) == ["/inputs/0/city"]
    assert pointers(send({"city": "Koby"}, label=None, new_values="refuse")) == ["/inputs/0/city"]
    assert send({"city": "Kobe"}, new_values="refuse").status_code == 201
    assert send({"city": "Koby"}).status_code == 201
    many = stays("POST", BATCHES, {"inputs": [{"shop": f"s{k}"} for k in range(12)], "labels": ["a"] * 12})
    assert len(many.json()["errors"]) == 10
    assert many.json()["detail"].endswith("(2 more are not listed.)")


def test_more_values_than_a_model_may_have_are_refused(stays: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brought_values, "MOST_VALUES", 5)
    first = {"inputs": [{"city": f"c{k}"} for k in range(4)], "labels": ["a"] * 4}
    assert stays("POST", BATCHES, first).status_code == 201
    two_more = {"inputs": [{"city": "c4", "shop": "n"}, {"city": "c1"}], "labels": ["a", "a"]}
    refused = stays("POST", BATCHES, two_more)
    assert (refused.status_code, refused.json()["column"]) == (422, "city")
    assert refused.json()["type"].endswith("too-many-values")
    assert '"many": true, or leave it out' in refused.json()["detail"]
    assert stays("POST", BATCHES, {**two_more, "labels": [None, "a"]}).status_code == 201  # none of it is learned


def test_a_large_body_of_too_many_values_is_refused_where_it_is_read(stays: Api) -> None:
    rows = [{"city": f"c{k}"} for k in range(2001)]
    refused = stays("POST", BATCHES, {"inputs": rows, "labels": ["a"] * 2001})
    assert (refused.status_code, refused.json()["column"]) == (422, "city")
    assert refused.json()["title"] == "Too many values"
    assert "have at most 2,000 values, and city would have 2,001 of them" in refused.json()["detail"]
    assert stays("POST", BATCHES, {"inputs": rows[1:], "labels": ["a"] * 2000}).status_code == 201


def test_values_are_looked_for_in_the_newest_batches_first(api: Api) -> None:
    class Asked(frozenset[str]):
        def __contains__(self, batch_id: object) -> bool:
            read.append(batch_id)
            return super().__contains__(batch_id)

    made(api, "stays")
    read: list[object] = []
    pairs = [[{"city": f"c{k % 3}", "age": k}, {"city": f"d{k}"}] for k in range(8)]
    ids = [api.ok("POST", BATCHES, {"inputs": pair, "labels": ["a", "a"]})["id"] for pair in pairs]
    with api.runtime.database.reading() as session:
        model = models.get(session, "stays")
        some = batches.known_values(session, model, {"city": ["c0", "c1", "c2", "d7"]})["city"]
        every = batches.known_values(session, model, {"city": ["c0", "new"]})["city"]
        second = batches.known_values(session, model, of=Asked(ids[1:2]))["city"]
    assert (second, read) == ({"c1", "d1"}, ids[1:2])
    assert {"c0", "c1", "c2", "d7"} <= some < every
    assert len(every) == 11


MODELS: list[tuple[list[Any], dict[str, Any], str, str]] = [
    ([{"name": "note", "kind": "text"}], {}, "/input/columns/0/kind", "Columns of text come later"),
    ([{"name": "a", "kind": "numbr"}], {}, "/input/columns/0/kind", "is one of 'number', 'category', 'date'"),
    ([{"kind": "number"}], {}, "/input/columns/0/name", "is missing"),
    ([{"name": "a", "type": "number"}], {}, "/input/columns/0/kind", "type is not known here: is kind meant?"),
    (["city"], {}, "/input/columns/0", 'Send {"name": "city", "kind": "category"}.'),
    (COLUMNS, {"target": "number"}, "/target", 'target should be an object. Send {"kind": "number"}.'),
    ([{"name": " ", "kind": "number"}], {}, "/input/columns/0/name", "is not blank"),
    ([{"name": "a\u0000", "kind": "number"}], {}, "/input/columns/0/name", "no control"),
    ([], {}, "/input/columns", "at least 1 item"),
    (
        [{"name": "e\u0301", "kind": "number"}, {"name": "é", "kind": "date"}],
        {},
        "/input",
        'columns 1 and 2 are both called "é"',
    ),
    ([{"name": "a", "kind": "category", "values": ["x", " x"]}], {}, "/input/columns/0", "lists each value once"),
    ([{"name": "a", "kind": "category", "values": ["x"], "many": True}], {}, "/input/columns/0", "not both"),
    ([{"name": "a", "kind": "category", "values": []}], {}, "/input/columns/0/values", "at least 1 item"),
    ([{"name": "a", "kind": "category", "new_values": "no"}], {}, "/input/columns/0/new_values", "'take' or 'refuse'"),
    ([{"name": "a", "kind": "number", "scale": {"range": [1, 1]}}], {}, "/input/columns/0/scale", "lo < hi"),
    ([{"name": "a", "kind": "number", "scale": {"range": [0, 5e-324]}}], {}, "/input/columns/0/scale", "rounding"),
    ([{"name": "a", "kind": "number", "scale": {"range": [1, 1 + 1e-15]}}], {}, "/input/columns/0/scale", "rounding"),
    ([{"name": f"c{k}", "kind": "number"} for k in range(1001)], {}, "/input/columns", "at most 1000"),
    (
        [{"name": f"c{k}", "kind": "category", "many": True} for k in range(20)],
        {},
        "/input/columns",
        "a column of many values",
    ),
    (COLUMNS, {"architecture": {"backbone": {"name": "cnn"}}}, "/architecture/backbone/name", "identity and mlp"),
    (COLUMNS, {"architecture": {"backbone": {"name": "minilm"}}}, "/architecture/backbone/name", "takes texts"),
    (COLUMNS, {"target": {"kind": "number", "from": 4}}, "/target/from", "places are 0 to 3"),
    (COLUMNS, {"target": {"kind": "number", "names": [" age"]}}, "/target/names/0", '"age" is a column of the inputs'),
    (
        COLUMNS,
        {"target": {"kind": "number", "size": 2, "names": ["x", "city"]}},
        "/target/names/1",
        "leave it out of `input.columns`",
    ),
    (COLUMNS, {"target": {"kind": "number", "from": "aeg"}}, "/target/from", "Did you mean age?"),
    (COLUMNS, {"target": {"kind": "number", "from": "city"}}, "/target/from", "city is a column of kind category"),
    (
        COLUMNS,
        {"target": {"kind": "number", "yardstick": {"column": "price"}}},
        "/target/yardstick/column",
        "no column of this table",
    ),
]


def test_what_a_table_cannot_be_is_refused_with_its_place(api: Api) -> None:
    for columns, fields, pointer, sentence in MODELS:
        refused = made(api, "no", columns, **fields)
        assert refused.status_code == 422, refused.text
        assert pointers(refused) == [pointer], columns
        assert sentence in refused.json()["detail"], columns


def test_a_target_names_columns_by_name_or_place(api: Api) -> None:
    columns = [*COLUMNS, {"name": "last week", "kind": "number"}]
    target = {"kind": "number", "from": "last week", "yardstick": {"column": "age"}, "range": [0, 5]}
    model = made(api, "sales", columns, target=target).json()
    assert [model["target"][member] for member in ("from", "yardstick", "range")] == [4, {"column": 0}, [0, 5]]
    body = {"target": {"yardstick": {"column": "last week"}}}
    assert api.ok("PATCH", "/v1/models/sales", body)["target"]["yardstick"] == {"column": 4}
    refused = api("PATCH", "/v1/models/sales", {"target": {"yardstick": {"column": "city"}}})
    assert pointers(refused) == ["/target/yardstick/column"]
    rows = [{"last week": 3, "age": 1}, {"age": 2}]
    path = "/v1/models/sales/batches"
    assert pointers(api("POST", path, {"inputs": rows, "targets": [1, 2]})) == ["/inputs/1/last week"]
    assert api("POST", path, {"inputs": rows, "targets": [1, None]}).status_code == 201


PREDICTIONS = "/v1/models/asked/predictions"


def asked(api: Api, target: dict[str, Any] | None = None) -> None:
    """A model "asked" with a version that has learned a city; of numbers it adds back the age."""
    assert made(api, "asked", **({"target": target} if target else {"classes": ["a", "b"]})).status_code == 201
    spec = INPUT_SPEC.as_stored({"kind": "table", "columns": COLUMNS})
    assert isinstance(spec, TableInput)
    grid = NumberGrid(names=["value"], offset=[0.0], step=[2.0**-16], from_=0) if target else None
    keep_version(api.runtime, "asked", table_checkpoint(spec, {"city": ["Osaka"]}, grid=grid))


def test_a_row_is_predicted_alike_however_it_is_sent(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(api)
    row = {"age": 3, "city": "Osaka", "plan": "plus"}
    answer = api.ok("POST", PREDICTIONS, {"inputs": [row]})
    assert api.ok("POST", PREDICTIONS, {"inputs": [[3, "Osaka", "plus", None]]}) == answer
    for text in ('{"age": 3, "city": " Osaka", "plan": "plus"}', '[3, "Osaka", "plus", ""]'):
        assert api.ok("GET", PREDICTIONS, params={"input": text}) == answer
    assert pointers(api("GET", PREDICTIONS, params={"input": '{"aeg": 3}'})) == ["/input/aeg"]
    monkeypatch.setattr("service.api.bodies.request_body.LARGE_BYTES", 0)
    assert api.ok("POST", PREDICTIONS, {"inputs": [row]}) == answer
    unknown = api.ok("POST", PREDICTIONS, {"inputs": [{**row, "city": "Kyoto"}], "top": 2})
    assert "Kyoto" in unknown["notes"][0]  # by name, from the process that read it
    assert pointers(api("POST", PREDICTIONS, {"inputs": [row, {"plan": "gold"}]})) == ["/inputs/1/plan"]


def test_the_number_that_is_added_back_is_never_missing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(api, {"kind": "number", "from": "age"})
    rows = [{"age": 3, "city": "Osaka"}, {"city": "Osaka"}]
    for body in (rows, [[3, None, None, None], [None] * 4]):
        refused = api("POST", PREDICTIONS, {"inputs": body, "level": 0.8})
        assert pointers(refused) == ["/inputs/1/age"]
        assert "Row 1 (counted from 0) has no age, to which asked adds what it predicts" in refused.json()["detail"]
    assert pointers(api("GET", PREDICTIONS, params={"input": '{"city": "Osaka"}'})) == ["/input/age"]
    bare = api("GET", PREDICTIONS, params={"input": '[{"age": 3}]'})
    assert (pointers(bare), "leave out the outer brackets" in bare.text) == (["/input"], True)
    text = f"{','.join(column['name'] for column in COLUMNS)}\n3,,,\n\n,,,\n"
    file = {"content": text.encode(), "headers": {"Content-Type": "text/csv"}}
    sentence = 'Line 4, column "age": It is empty, and asked adds what it predicts to it (from). Fill it in.'
    assert api("POST", PREDICTIONS, **file).json()["detail"] == sentence
    monkeypatch.setattr("service.api.bodies.request_body.LARGE_BYTES", 0)
    assert api("POST", PREDICTIONS, **file).json()["detail"] == sentence
    assert pointers(api("POST", PREDICTIONS, {"inputs": rows})) == ["/inputs/1/age"]
    assert len(api.ok("POST", PREDICTIONS, {"inputs": rows[:1]})["predictions"]) == 1


def test_short_rows_of_many_cells_are_read_aside(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of a thousand columns may be two characters long."""
    asked(api)
    monkeypatch.setattr(tables, "HERE_CELLS", 40)
    spooled: list[Any] = []
    spool = api.door.context.reader.spool
    monkeypatch.setattr(api.door.context.reader, "spool", lambda: spooled.append(1) or spool())
    for rows, aside in ((8, 0), (9, 1)):
        assert len(api.ok("POST", PREDICTIONS, {"inputs": [{}] * rows})["predictions"]) == rows
        assert len(spooled) == aside
    body = {"inputs": [{"age": k} for k in range(9)], "labels": ["a"] * 9}
    assert api("POST", "/v1/models/asked/batches", body).status_code == 201
    assert len(spooled) == 2
