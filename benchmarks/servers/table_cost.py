"""What an answer to a row of a table costs our server, beside one to a vector of as many numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.servers.contenders import CONTENDERS, JSON, Asked
from benchmarks.servers.ours import client, expect, until_ready
from benchmarks.servers.running import Place, Running, started

NUMBERS, CATEGORIES = 12, 8
SIZE = NUMBERS + CATEGORIES
ROWS = 500
CITIES = ("Kyoto", "Nara", "Osaka", "Sakai", "Kobe")
VECTOR, TABLE = "vector", "table"
OBJECT, LIST = "a row as an object", "a row as a list"


@dataclass(frozen=True)
class TableCost:
    """core_ms: core-milliseconds a request by what is asked: VECTOR, OBJECT and LIST."""

    connections: int
    core_ms: dict[str, float]


def table_costs(
    place: Place, settings: dict[str, str], connections: Sequence[int], seconds: int
) -> Iterator[TableCost]:
    """One round: both models learn the same rows by one method, then each form is asked, one row a request. Raises
    NotStarted, RuntimeError."""
    with started(CONTENDERS["ours"], place, **settings, TSUIKA_WORKER="true") as server:
        until_ready(server)
        asked = dict(learned(server))
        for form in asked.values():
            server.load(8, 1, form)
        for n in connections:
            yield TableCost(n, {name: server.load(n, seconds, form)["core_ms"] for name, form in asked.items()})


def learned(server: Running) -> Iterator[tuple[str, Asked]]:
    """Makes the models, unless they are there. -> what is asked, by its name."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(ROWS, SIZE)).round(3)
    labels = np.where(vectors.sum(1) > 0, "more", "less").tolist()
    names = [f"column_{k}" for k in range(SIZE)]
    tables = [[*row[:NUMBERS], *(CITIES[int(abs(x) * 10) % 5] for x in row[NUMBERS:])] for row in vectors.tolist()]
    kinds = ["number"] * NUMBERS + ["category"] * CATEGORIES
    columns = [{"name": name, "kind": kind} for name, kind in zip(names, kinds, strict=True)]
    inputs = {VECTOR: {"kind": "vector", "size": SIZE}, TABLE: {"kind": "table", "columns": columns}}
    with client(server) as http:
        for model, rows in ((VECTOR, vectors.tolist()), (TABLE, tables)):
            if http.get(f"/v1/models/{model}").is_success:
                continue
            expect(http.post("/v1/models", json={"name": model, "input": inputs[model]}))
            body = {
                "inputs": rows,
                "labels": labels,
                "new_classes": "allow",
                "method": {"name": "ridge", "lift": "relu"},
            }
            update = expect(http.post(f"/v1/models/{model}/updates?wait=60", json=body)).json()
            if update["verdict"] != "promoted":
                raise RuntimeError(f"{model}: {update}")
    headers = {"Content-Type": JSON, **server.contender.headers}
    for name, model, row in (
        (VECTOR, VECTOR, vectors[0].tolist()),
        (OBJECT, TABLE, dict(zip(names, tables[0], strict=True))),
        (LIST, TABLE, tables[0]),
    ):
        yield name, Asked(f"/v1/models/{model}/predictions", json.dumps({"inputs": [row]}).encode(), headers)
