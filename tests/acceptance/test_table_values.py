"""Values of categories through the whole service: told when they are new, unknown again and nowhere once erased."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.acceptance.conftest import NewModel
from tests.acceptance.service import RIDGE, Caller, until

COLUMNS = [{"name": "size", "kind": "number"}, {"name": "city", "kind": "category"}]


def rows(seed: int, cities: list[str], n: int = 80) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of a size and a city, which both decide who buys."""
    random = np.random.default_rng(seed)
    sizes, places = random.normal(size=n).round(3).tolist(), random.integers(0, len(cities), n).tolist()
    labels = ["buys" if size + 2 * (place == 0) > 1 else "leaves" for size, place in zip(sizes, places, strict=True)]
    return [{"size": s, "city": cities[p]} for s, p in zip(sizes, places, strict=True)], labels


def learned(caller: Caller, seed: int, cities: list[str]) -> dict[str, Any]:
    inputs, labels = rows(seed, cities)
    done = caller.sent(inputs=inputs, labels=labels, source="north")
    if done["verdict"] != "promoted":
        caller.ok("POST", f"{caller.path}/deployments", {"version": done["version"], "reason": "a test"})
    return done


def answer(caller: Caller, city: str | None) -> Any:
    asked = {"inputs": [{"size": 0.2, "city": city}]}
    prediction = caller.ok("POST", f"{caller.path}/predictions", asked)["predictions"][0]
    return {name: value for name, value in prediction.items() if name != "notes"}


@pytest.mark.long
def test_new_values_are_told_learned_taken_back_and_erased(new_model: NewModel) -> None:
    """Where no rows are kept: their values are known by name alone."""
    table = {"kind": "table", "columns": COLUMNS, "indicators": 64}
    caller = new_model(input=table, method=RIDGE, retention="none")
    slip, late = "Osakka", "Nairobi"
    learned(caller, 0, ["Oslo", "Osaka"])
    second = learned(caller, 1, [late, "Oslo", slip])
    told = {new["value"]: new for new in second["report"]["batch"]["new_values"]["city"]}
    assert told.keys() == {slip, late}
    assert told[slip]["near"][0] == "Osaka"
    assert sum(new["rows"] for new in told.values()) > 40
    assert answer(caller, late) != answer(caller, None)
    taken = caller.retract(second["batches"], erase=True)
    status = {fact["part"]: fact["status"] for fact in taken["report"]["certificate"]["shards"]}
    assert (taken["verdict"], status["values"]) == ("promoted", "recomputed")
    assert answer(caller, late) == answer(caller, slip) == answer(caller, None) != answer(caller, "Oslo")
    until(lambda: caller.state(second["batches"][0]) == "erased", what="erasure")
    update = caller.ok("GET", f"/v1/updates/{second['id']}")
    shown = [update, *(caller.ok("GET", f"{caller.path}/{what}") for what in ("versions", "batches", "deployments"))]
    stored = b"".join(path.read_bytes() for path in caller.server.data.rglob("*") if path.is_file())
    for name in (slip, late):
        assert name not in json.dumps(shown)
        assert name.encode() not in stored


def test_rows_with_values_of_categories_are_taken_out_as_if_they_had_never_come(new_model: NewModel) -> None:
    typed, right = (new_model(input={"kind": "table", "columns": COLUMNS, "indicators": 64}) for _ in range(2))
    for caller in (typed, right):
        caller.sent(inputs=rows(1, ["Oslo"])[0], labels=rows(1, ["Oslo"])[1], new_classes="allow")
    inputs, labels = rows(0, ["Oslo", "Osaka"])
    slips = [{"size": 0.1, "city": "Osakka"}, {"size": 0.3, "city": "Oslo"}]
    batch = typed.sent(inputs=[*slips, *inputs], labels=["buys", "leaves", *labels])["batches"][0]
    assert typed.state(batch) == "learned"
    order = {"rows": {"0": None, "1": None}, "reason": "typed by hand"}
    done = typed.end(typed.ok("POST", f"{typed.path}/batches/{batch}/corrections", order)["id"])
    assert (done["verdict"], done["corrected"]["taken_out"]) == ("promoted", 2)
    right.sent(inputs=inputs, labels=labels)
    assert digest_of(done) == digest_of(taken_again(right))
    assert answer(typed, "Osakka") == answer(typed, None) != answer(typed, "Osaka"), (
        "the value was learned of no row that is left"
    )


def taken_again(caller: Caller) -> dict[str, Any]:
    """One more batch comes and is taken back: the certificate tells what the live version learned."""
    inputs, labels = rows(3, ["Oslo"])
    batches = caller.sent(inputs=inputs, labels=labels)["batches"]
    return caller.end(caller.retract(batches)["id"])


def digest_of(update: dict[str, Any]) -> str:
    digest: str = update["report"]["certificate"]["ledger_digest"]
    return digest
