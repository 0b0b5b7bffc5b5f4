"""Models whose rows are tables, through the whole service: JSON and CSV, values that come late, taken back, erased."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from service.client import Client, InvalidContent
from service.contract.inputs import INPUT_SPEC
from service.intake.kinds.rows import read_rows
from service.runtime import Runtime
from service.settings import Settings
from tests import traces
from tests.acceptance.service import Caller
from tests.alike import alike
from tests.answering import predict
from tests.running import Server

COLUMNS: list[dict[str, Any]] = [
    {"name": "size", "kind": "number"},
    {"name": "city", "kind": "category"},
    {"name": "day", "kind": "date", "parts": ["weekday"]},
    {"name": "member", "kind": "boolean"},
]
RENTS = {"Osaka": 300.0, "Kyoto": 500.0, "Nara": 100.0}
LATE, HIGH = "Wakkanai-am-Meer", 1500.0
METHOD = {"name": "ridge", "lift": "none", "decay": 1}


def table(seed: int, n: int = 120, late: int = 0) -> tuple[list[dict[str, Any]], list[float]]:
    """Rows of three cities, the last `late` of them of one that comes late; -> rows, rents"""
    random = np.random.default_rng(seed)
    cities = [*random.choice(list(RENTS), n - late).tolist(), *[LATE] * late]
    rows = [
        {
            "size": round(float(random.uniform(20, 90)), 1),
            "city": city,
            "day": f"2026-11-{random.integers(1, 29):02d}",
            "member": bool(random.random() < 0.5),
        }
        for city in cities
    ]
    noise = random.normal(0, 5, n)
    rents = [
        round(RENTS.get(row["city"], HIGH) + 8 * row["size"] - 30 * row["member"] + e, 2)
        for row, e in zip(rows, noise, strict=True)
    ]
    return rows, rents


def as_csv(rows: list[dict[str, Any]], **columns: list[Any]) -> bytes:
    """Columns in another order than the model has them."""
    out = io.StringIO()
    writer = csv.writer(out)
    names = ["member", "city", "size", "day"]
    writer.writerow([*columns, *names])
    for k, row in enumerate(rows):
        cells = [*(column[k] for column in columns.values()), *(row[name] for name in names)]
        writer.writerow(["" if cell is None else str(cell) for cell in cells])
    return out.getvalue().encode()


def post(caller: Caller, path: str, data: bytes) -> Any:
    return caller.ok("POST", f"{caller.path}/{path}", content=data, headers={"Content-Type": "text/csv"})


def learn(caller: Caller, data: bytes, query: str = "target=rent") -> dict[str, Any]:
    """An update by CSV, ended."""
    done = caller.end(post(caller, f"updates?wait=60&{query}", data)["id"])
    assert done["state"] == "succeeded", done
    return done


def asked(caller: Caller, rows: list[Any]) -> dict[str, Any]:
    answer: dict[str, Any] = caller.ok("POST", f"{caller.path}/predictions", {"inputs": rows})
    return answer


def numbers_of(answer: dict[str, Any]) -> list[float]:
    """Value and interval of each row, NaN where there is no interval."""
    return [n for p in answer["predictions"] for n in (p["value"], *(p["interval"] or (np.nan, np.nan)))]


def error(caller: Caller, late: int = 0, seed: int = 99) -> float:
    """Mean error on rows that were never sent; with `late`, on rows of the late city alone."""
    rows, rents = table(seed, late or 120, late)
    values = [p["value"] for p in asked(caller, rows)["predictions"]]
    return float(np.abs(np.array(values) - rents).mean())


def made(server: Server, name: str, **fields: Any) -> Caller:
    caller = Caller(server, name)
    caller.ok("POST", "/v1/models", {"name": name, "input": {"kind": "table", "columns": COLUMNS}, **fields})
    return caller


@pytest.fixture(scope="module")
def rents(shared: Server) -> Iterator[Caller]:
    """A model that has learned two batches of three cities, one as JSON and one as CSV."""
    with made(shared, "tables.rents", target={"kind": "number"}, method=METHOD) as caller:
        rows, targets = table(0)
        sent = caller.ok("POST", f"{caller.path}/updates?wait=60", {"inputs": rows, "targets": targets})
        assert caller.end(sent["id"])["verdict"] == "promoted"
        rows, targets = table(1)
        unknown: list[Any] = [None if k % 10 == 0 else target for k, target in enumerate(targets)]
        done = learn(caller, as_csv(rows, rent=unknown))
        assert done["verdict"] == "promoted", done["report"]["gate"]
        assert caller.ok("GET", f"{caller.path}/batches/{done['batches'][0]}")["unlabelled"] == 12
        yield caller


@pytest.mark.long
def test_rows_are_predicted_alike_in_both_forms(rents: Caller) -> None:
    rows, _ = table(5)
    assert error(rents) < 25
    answer = asked(rents, [*rows, {"city": "Nara"}, {}])
    again = post(
        rents, "predictions", as_csv([*rows, {**dict.fromkeys(rows[0]), "city": "Nara"}, dict.fromkeys(rows[0])])
    )
    # rows of one question may be in several passes, whose matrices add up in another order
    assert numbers_of(again) == pytest.approx(numbers_of(answer), rel=1e-6, nan_ok=True)
    assert again["notes"] == answer["notes"]
    as_lists = [[row["size"], row["city"], row["day"], row["member"]] for row in rows]
    assert numbers_of(asked(rents, as_lists)) == pytest.approx(numbers_of(answer)[:-6], rel=1e-6, nan_ok=True)


def test_a_city_that_comes_late_is_told_learned_and_taken_back(shared: Server, rents: Caller) -> None:
    before, plain = error(rents, late=50), error(rents)
    answer = asked(rents, table(3, 5, 5)[0])
    named, guessed = answer["notes"]
    assert LATE in named
    assert "fewer than 20 rows without city: such answers are guesses, and it gives no interval" in guessed
    assert [p["interval"] for p in answer["predictions"]] == [None] * 5
    rows, targets = table(2, late=40)
    done = learn(rents, as_csv(rows, rent=targets), "target=rent&source=agency")
    ((city,),) = [done["report"]["batch"]["new_values"]["city"]]
    assert (city["value"], city["rows"]) == (LATE, 40)
    if done["verdict"] != "promoted":
        rents.ok("POST", f"{rents.path}/deployments", {"version": done["version"], "reason": "it is a new city"})
    late = done["version"]
    assert error(rents, late=50) < before / 5
    assert "notes" not in asked(rents, table(3, 5, 5)[0])
    back = rents.roll_back()
    assert (back["live_version"], error(rents, late=50)) == (2, pytest.approx(before, rel=1e-6))
    rents.ok("POST", f"{rents.path}/deployments", {"version": late})
    rents.ok("PATCH", rents.path, {"promotion": "auto"})
    taken = rents.end(rents.retract(done["batches"])["id"])
    assert (taken["verdict"], taken["report"]["exact"]) == ("promoted", True)
    assert error(rents, late=50) == pytest.approx(before, rel=1e-6)
    assert error(rents) == pytest.approx(plain, rel=1e-6)
    assert LATE in asked(rents, table(3, 5, 5)[0])["notes"][0]
    erased = rents.end(rents.retract(done["batches"], erase=True)["id"])
    assert erased["state"] == "succeeded", erased
    assert not traces.left(shared.data, {LATE.encode()})


def test_a_version_of_a_table_is_read_from_disk_as_it_was(shared: Server, rents: Caller) -> None:
    """As a process does that starts on the same folder."""
    rows, _ = table(6, 20)
    values = [p["value"] for p in asked(rents, rows)["predictions"]]
    runtime = Runtime(Settings.from_environment({"TSUIKA_DATA": str(shared.data)}))
    try:
        loaded = runtime.live.get(rents.name)
        read = read_rows(rows, INPUT_SPEC.as_stored({"kind": "table", "columns": COLUMNS}), rents.name)
        assert [p["value"] for p in json.loads(predict(loaded, read).json())["predictions"]] == values
    finally:
        runtime.close()


@pytest.mark.long
def test_rows_without_what_every_learned_row_had_have_no_interval_until_such_rows_are_learned(rents: Caller) -> None:
    rows, targets = table(8, 40)
    without = [{name: cell for name, cell in row.items() if name != "size"} for row in rows]

    def have_intervals() -> list[bool]:
        answer = asked(rents, [*rows[:2], *without[:2]])
        guesses = "fewer than 20 rows without size: such answers are guesses, and it gives no interval"
        assert all(guesses in note for note in answer.get("notes", []))
        return [p["interval"] is not None for p in answer["predictions"]]

    assert have_intervals() == [True, True, False, False]
    taught = list[str]()
    for half in (slice(12), slice(12, 40)):  # 12 are too few, and count with those that follow
        assert have_intervals() == [True, True, False, False]
        done = learn(rents, as_csv([{"size": None, **row} for row in without[half]], rent=list(targets[half])))
        if done["verdict"] != "promoted":
            rents.ok(
                "POST", f"{rents.path}/deployments", {"version": done["version"], "reason": "nobody measured them"}
            )
        rents.ok("PATCH", rents.path, {"promotion": "auto"})
        taught += done["batches"]
    assert have_intervals() == [True] * 4
    assert rents.end(rents.retract(taught[1:])["id"])["state"] == "succeeded"
    assert have_intervals() == [True, True, False, False]
    assert rents.end(rents.retract(taught[:1])["id"])["state"] == "succeeded"
    assert have_intervals() == [True, True, False, False]
    [note] = asked(rents, [{**rows[0], "size": 1e30}])["notes"]
    assert note.startswith("size: version ")


def test_classes_are_learned_from_a_file_by_the_client(shared: Server) -> None:
    rows, rents = table(7, 160)
    labels = ["dear" if rent > 700 else "cheap" for rent in rents]
    with Client(shared.url) as client:
        model = client.create_model("tables.classes", {"kind": "table", "columns": COLUMNS})
        update = model.update(as_csv(rows, label=labels))
        assert update.verdict == "promoted", update.why
        answer = model.predict(as_csv(rows), top=2)
        right = np.mean([p.class_ == label for p, label in zip(answer.predictions, labels, strict=True)])
        assert right > 0.9
        assert alike(answer.model_dump(mode="json"), model.predict(rows, top=2).model_dump(mode="json"))
        with pytest.raises(InvalidContent) as refused:
            model.update(as_csv(rows, label=labels).replace(b",Nara,", b",Nara,x", 1))
        assert re.search(r'column "size": "x[0-9.]+" is not a number: write', str(refused.value))
        with pytest.raises(InvalidContent, match='"chaep" is not a class'):
            model.update(as_csv(rows[:3], label=["chaep", "dear", None]))
