"""Erased is erased, with a real service and real kills: no byte of the rows is left in the data folder.

A longer run, with kills at random: ERASURE_EXAMPLES=100 pytest -n 0 --timeout 0 tests/acceptance/test_erasing.py
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil

from service.contract.tables import value_code
from tests import traces
from tests.acceptance import invariants
from tests.acceptance.service import QUICK, Caller, blobs, children_of, slow, until
from tests.running import Server

ROUNDS = int(os.environ.get("ERASURE_EXAMPLES", "2"))
AT_ONCE = 8


def send(caller: Caller, seed: int) -> str:
    """The same rows, many times at once; -> their batch."""
    inputs, labels = blobs(seed)
    body = {"inputs": inputs, "labels": labels, "new_classes": "allow"}
    with ThreadPoolExecutor(AT_ONCE) as threads:
        sent = [threads.submit(caller.ok, "POST", f"{caller.path}/batches", body) for _ in range(AT_ONCE)]
    [batch] = {answer.result()["id"] for answer in sent}
    return str(batch)


def kill_child(server: Server) -> None:
    """The process that learns."""
    for process in children_of(server.pid):
        if "service.worker.child" in process.cmdline():
            process.kill()


def kill_server(server: Server) -> None:
    """It and all that it started, and it is started again."""
    processes = children_of(server.pid)
    server.kill()
    psutil.wait_procs(processes, timeout=10)
    server.restart()


def test_erased_rows_are_nowhere_after_real_kills(tmp_path: Path, migrated: Path) -> None:
    kills: list[Callable[[Server], None]] = [kill_child, kill_server]
    chance = random.Random(ROUNDS)
    with Server(tmp_path, migrated=migrated, **QUICK) as server, Caller(server, "erasing").create() as caller:
        [kept] = caller.learn(0)["batches"]
        learned = traces.Learned()
        for k in range(ROUNDS):
            batch = send(caller, 50 + k)
            learning = caller.order([batch], method=slow(1000))["id"]
            caller.training(learning)
            learned.look(server.data / "store")
            (kills[k] if k < len(kills) else chance.choice(kills))(server)
            send(caller, 50 + k)
            order = caller.retract([batch], wait=0, erase=True)["id"]
            if k >= len(kills) and chance.random() < 0.5:
                time.sleep(chance.random())
                chance.choice(kills)(server)
            caller.http.post(f"/v1/updates/{learning}/cancel")
            assert caller.end(order)["state"] == "succeeded"
            learned.look(server.data / "store")
            until(lambda: caller.state(batch) == "erased", what="the erasure")  # noqa: B023
            assert not traces.left(server.data, traces.of_rows(*blobs(50 + k)) | learned.of[batch])
            assert (caller.state(kept), caller.live()) == ("learned", 1)
        invariants.hold(server.data, [kept])


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
