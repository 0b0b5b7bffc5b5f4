"""Erased values of a table are nowhere, in a real service; rows that are erased amid kills: test_power.py."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from service.contract.tables import value_code
from tests import traces
from tests.acceptance.service import Caller, blobs, until
from tests.running import Server


def test_rows_are_read_whole_until_they_are_erased_and_then_they_are_gone(shared: Server) -> None:
    with Caller(shared, "erasing.read").create() as caller, ThreadPoolExecutor(4) as threads:
        caller.learn(0)
        [batch] = caller.learn(1)["batches"]
        address, over = f"{caller.path}/batches/{batch}/rows?limit=1000", threading.Event()
        inputs, _ = blobs(1)

        def read(seen: Counter[int]) -> None:
            """Notes what was answered, over and over."""
            with shared.client() as client:
                while not over.is_set() or seen[410] == 0:
                    answer = client.get(address)
                    seen[answer.status_code] += 1
                    if answer.is_success:
                        assert np.allclose([row["input"] for row in answer.json()["items"]], inputs)

        seen = [Counter[int]() for _ in range(4)]
        reading = [threads.submit(read, each) for each in seen]
        until(lambda: all(each[200] for each in seen), what="the first rows")
        done = caller.end(caller.retract([batch], erase=True)["id"])
        until(lambda: caller.state(batch) == "erased", what="the erasure")
        over.set()
        for each in reading:
            each.result()
    assert done["state"] == "succeeded"
    assert [each.keys() for each in seen] == [{200, 410}] * 4, seen


@pytest.mark.long
def test_values_of_an_erased_batch_of_a_table_are_nowhere(shared: Server) -> None:
    """Batches and reports have them by name, versions by their code."""
    columns = [{"name": "age", "kind": "number"}, {"name": "city", "kind": "category"}]
    table = {"name": "erasing.values", "input": {"kind": "table", "columns": columns}}
    with Caller(shared, "erasing.values") as caller:
        caller.ok("POST", "/v1/models", table)
        sent = []
        for value in ("Osaka", "Zyzzyvaville", "Zyzzyvavillo"):  # the last two are near to one another
            rows = [{"age": k % 7, "city": value if k % 3 else "Osaka"} for k in range(60)]
            body = {"inputs": rows, "labels": ["a" if k % 7 > 3 else "b" for k in range(60)]}
            update = caller.end(caller.ok("POST", f"{caller.path}/updates?wait=60", body)["id"])
            sent += update["batches"]
        assert [new["near"] for new in update["report"]["batch"]["new_values"]["city"]] == [["Zyzzyvaville"]]
        code = value_code("Zyzzyvaville")
        marks = [b"Zyzzyvaville", np.float64(code).tobytes(), str(int(code)).encode()]
        assert traces.left(shared.data, marks)
        assert caller.end(caller.retract([sent[1]], erase=True)["id"])["state"] == "succeeded"
        until(lambda: caller.state(sent[1]) == "erased", what="the erasure")
        assert not traces.left(shared.data, marks)
        refused = {"inputs": [{"city": "Zyzzyvaville"}], "labels": ["a"], "new_values": "refuse"}
        assert "Zyzzyvavillo" in caller.http.post(f"{caller.path}/batches", json=refused).json()["detail"]
