"""How long is waited for what must be soon: small updates of several models by two workers, a prediction beside callers
who send a byte a second, the end of an update that is cancelled, and of processes that are told to stop under load.

    python -m tests.soak.waits [--scaled]

Without --scaled it is one service on SQLite, and two workers beside it; with it, two services and two workers on
PostgreSQL and a store in S3. It ends with a table, and with status 1 where something took longer than it may.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import func, select

from service.contract.enums import UpdateState
from service.registry.sql.engines import open_database
from service.registry.sql.tables import Update
from tests.acceptance.environments import Environment
from tests.acceptance.service import ENDLESS, Caller, blobs, gone, kinds, until
from tests.acceptance.test_power import Follower
from tests.soak.kills import opened
from tests.soak.load import Predicting

MODELS, EACH = 4, 100
SLOW, BODY_SECONDS = 200, 8.0
"""Callers who send a byte a second, and how long a body may take."""
CALLERS, RATE = 4, 25.0
"""Who predicts while all is told to stop, and how often a second each."""
SETTINGS: dict[str, Any] = {"workers": 2, "lease_seconds": 30.0, "body_timeout_seconds": BODY_SECONDS}
"""No stall of the machine ends a lease."""


@dataclass(frozen=True)
class Waited:
    """Seconds that something took, and how many it may take on two cores of its own."""

    what: str
    seconds: float
    most: float

    def __str__(self) -> str:
        late = "" if self.seconds <= self.most else "  TOO LATE"
        return f"{self.what:70} {self.seconds:6.2f} s (at most {self.most:g}){late}"


def run(environment: Environment) -> Iterator[Waited]:
    """One after another; the last one ends the environment. Asserts all that does not depend on the clock."""
    yield Waited(f"{MODELS * EACH} small updates by two workers, each once", _small_updates(environment), 60.0)
    with Caller(environment.services[0], "digits") as caller:
        caller.create().learn(0)
        yield Waited(f"p99 of a prediction beside {SLOW} slow callers", _beside_slow_callers(caller), 1.0)
        yield Waited("a running update is cancelled, and its process is gone", _cancelled(environment, caller), 2.0)
        yield Waited("services and workers end after SIGTERM under load", _stopped(environment, caller), 10.0)


def _small_updates(environment: Environment) -> float:
    names = [f"m{k}" for k in range(MODELS)]
    for name in names:
        with Caller(environment.services[0], name) as caller:
            caller.create()
    until(lambda: all(" begins" in worker.said() for worker in environment.workers), what="the workers")
    began = time.monotonic()

    def send(name: str) -> list[str]:
        """The updates of a model, ordered of all services in turn; -> their batches"""
        callers = [Caller(service, name) for service in environment.services]
        batches = []
        for k in range(EACH):
            inputs, labels = blobs(k, rows=8)
            body = {"inputs": inputs, "labels": labels, "new_classes": "allow"}
            caller = callers[k % len(callers)]
            batches += caller.ok("POST", f"{caller.path}/updates", body)["batches"]
        for caller in callers:
            caller.http.close()
        return batches

    with ThreadPoolExecutor(MODELS) as pool:
        sent = [batch for batches in pool.map(send, names) for batch in batches]
    with closing(open_database(environment.database_url)) as database:

        def states() -> Counter[str]:
            with database.looking() as reader:
                rows = reader.execute(select(Update.state, func.count()).group_by(Update.state))
                return Counter(dict(rows.all()))

        until(lambda: states()[UpdateState.SUCCEEDED] == MODELS * EACH, 600.0, "the end of all of them", pause=0.2)
        took = time.monotonic() - began
        with database.reading() as session:
            assert set(session.scalars(select(Update.attempts))) == {1}
            assert len(set(session.scalars(select(Update.worker)))) == 2, "one of the workers has learned nothing"
    for name in names:
        with Caller(environment.services[-1], name) as caller:
            assert caller.versions() == list(range(1, EACH + 1))
    environment.hold(sent)
    return took


def _beside_slow_callers(caller: Caller) -> float:
    """Seconds in which 99 of 100 predictions are answered; those who are slow are cut off."""
    head = b"POST /v1/models/digits/batches HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    inputs, _ = blobs(1, rows=3)
    caller.predict(inputs)
    with ExitStack() as stack:
        took, began, sent = list[float](), time.monotonic(), 0
        address = ("127.0.0.1", caller.server.port)
        slow = [stack.enter_context(socket.create_connection(address, 30.0)) for _ in range(SLOW)]
        for connection in slow:
            connection.sendall(head + b"content-length: 1000\r\n\r\n")
        while (age := time.monotonic() - began) < BODY_SECONDS - 1.0:
            if age >= sent:
                sent += 1
                for connection in slow:
                    connection.sendall(b" ")
            asked = time.monotonic()
            caller.predict(inputs)
            took.append(time.monotonic() - asked)
        assert [connection.recv(4096).split()[1] for connection in slow] == [b"408"] * SLOW
    return sorted(took)[int(0.99 * len(took))]


def _processes(environment: Environment) -> list[subprocess.Popen[bytes]]:
    """Of services and workers."""
    return [service.process for service in environment.services] + [worker.process for worker in environment.workers]


def _learning(environment: Environment) -> list[psutil.Process]:
    """The processes that learn."""
    children = [child for process in _processes(environment) for child in psutil.Process(process.pid).children()]
    return [child for child in children if "service.worker.child" in child.cmdline()]


def _endless(caller: Caller, seed: int) -> str:
    """An update in the middle of its epochs."""
    update: str = caller.order([caller.batch(seed)], method=ENDLESS)["id"]
    caller.training(update)
    return update


def _cancelled(environment: Environment, caller: Caller) -> float:
    live, update = caller.live(), _endless(caller, 1)
    before, since = _learning(environment), time.monotonic()
    caller.ok("POST", f"/v1/updates/{update}/cancel", {})
    assert caller.end(update)["state"] == "cancelled"
    until(lambda: len([child for child in before if child.is_running()]) < len(before), what="the end of the process")
    took = time.monotonic() - since
    assert caller.live() == live
    return took


def _stopped(environment: Environment, caller: Caller) -> float:
    """Requests in flight are answered, and the update is handed back, its attempt not counted."""
    update, stop = _endless(caller, 2), threading.Event()
    clients = [Predicting(environment, caller.name, stop, RATE) for _ in range(CALLERS)]
    stream = Follower(caller, "GET", f"/v1/updates/{update}/events")
    wait = Follower(caller, "POST", f"{caller.path}/updates?wait=60", {"batches": [caller.batch(3)]})
    for thread in (*clients, stream, wait):
        thread.start()
    until(lambda: all(len(c.took) > 5 for c in clients) and "claimed" in stream.text, what="load")
    until(lambda: len(caller.ok("GET", f"{caller.path}/updates?state=queued")["items"]) == 1, what="the waiting call")
    children, processes = _learning(environment), _processes(environment)
    since = time.monotonic()
    for process in processes:
        process.terminate()
    assert [process.wait(50.0) for process in processes] == [0] * len(processes), "before the minute of the call"
    took = time.monotonic() - since
    stop.set()
    for thread in (*clients, stream, wait):
        thread.join()
    assert gone(children)
    assert [(c.anywhere.broken, c.strange) for c in clients] == [(0, [])] * CALLERS
    assert (stream.status, wait.status) == (200, 202)
    assert kinds(environment.services[0], update)[-1] == "handed back"
    with closing(open_database(environment.database_url)) as database, database.reading() as session:
        row = session.get_one(Update, update)
        assert (row.state, row.attempts) == ("queued", 0)
    environment.hold()
    return took


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.waits", description=__doc__)
    parser.add_argument("--scaled", action="store_true")
    chosen, late = parser.parse_args(), 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for waited in run(opened(stack, folder, chosen.scaled, **SETTINGS)):
            print(waited, flush=True)
            late += waited.seconds > waited.most
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
