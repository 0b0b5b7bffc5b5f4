"""The life of one service: the power is cut in an epoch and while rows are erased, and at last it is told to stop. The
life of another: the power is cut at each named point, and while rows are deleted.

A longer run of erasures: ERASURE_EXAMPLES=100 pytest --long -n 0 --timeout 0 tests/acceptance/test_power.py
"""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from service.contract.requests import CreateModel
from service.registry import models, updates
from service.registry.sql.engines import open_database
from tests import traces
from tests.acceptance import invariants
from tests.acceptance.service import (
    ENDLESS,
    QUICK,
    RIDGE,
    SPEC,
    TRAINING,
    Caller,
    blobs,
    children_of,
    gone,
    history,
    kinds,
    until,
)
from tests.acceptance.test_keeping import let_go
from tests.acceptance.test_keeping import traces as sent_rows
from tests.running import Server

POINTS = ["after_claim", "after_blob_temp", "after_blob_rename", "before_commit", "after_commit"]
DELETING = ["before_rows_go", "after_rows_go", "after_rows_deleted"]
ROUNDS = int(os.environ.get("ERASURE_EXAMPLES", "2"))
AT_ONCE = 8
KEY = {"Idempotency-Key": "once"}
LEASE = 3600.0
"""Seconds. Nobody waits for its end: a service that starts knows that the one before it is dead."""


def born(folder: Path, migrated: Path, **settings: Any) -> Server:
    """It has the model "digits"."""
    (folder / "data").mkdir()
    file = folder / "data" / "tsuika.db"
    shutil.copy(migrated, file)
    with closing(open_database(f"sqlite:///{file}")) as database, database.writing() as session:
        models.create(session, CreateModel.model_validate({"name": "digits", "input": SPEC, "method": RIDGE}))
    return Server(folder, **QUICK | {"lease_seconds": LEASE, "max_attempts": 20}, **settings)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Server]:
    server = born(tmp_path_factory.mktemp("power"), migrated)
    yield server
    server.kill()


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Server]:
    """It dies before it answers its first POST."""
    server = born(tmp_path_factory.mktemp("points"), migrated, worker=False, crash_point="before_answer")
    yield server
    server.kill()


@pytest.fixture
def caller(server: Server) -> Iterator[Caller]:
    with Caller(server, "digits") as caller:
        yield caller


def until_it_dies(server: Server) -> None:
    """The process kills itself at its point; nothing of it lives on."""
    seen: dict[int, psutil.Process] = {}

    def dead() -> bool:
        try:
            seen.update({p.pid: p for p in children_of(server.pid)})
        except psutil.NoSuchProcess:
            return True
        return server.process.poll() is not None

    until(dead, what=f"a crash at {server.settings['crash_point']}", pause=0.2)
    assert server.process.wait() == -9, server.said()
    assert gone(seen.values()), "an orphan trains on"


def post_once(caller: Caller) -> httpx.Response:
    inputs, labels = blobs(1)
    body = {"inputs": inputs, "labels": labels, "new_classes": "allow"}
    return caller.http.post(f"{caller.path}/updates", json=body, headers=KEY)


def waiting(server: Server) -> dict[str, int]:
    """What the model of a service that is not there has not learned."""
    with closing(open_database(server.database_url)) as database, database.reading() as session:
        pending = models.resources_of(session, [models.get(session, "digits")], lambda _: None)[0].pending
    return pending.model_dump()


@pytest.mark.long
def test_an_update_that_was_cut_off_in_an_epoch_is_finished_after_the_restart(server: Server, caller: Caller) -> None:
    [first] = caller.learn(1)["batches"]
    batch = caller.batch(2)
    update_id = caller.order([batch], method=TRAINING)["id"]
    caller.training(update_id)
    children = children_of(server.pid)
    assert children
    server.kill()
    assert gone(children), "an orphan trains on"
    invariants.hold(server.data, [first, batch])
    server.restart()
    back = time.time()
    done = caller.end(update_id)
    assert (done["state"], done["attempts"], done["version"]) == ("succeeded", 2, 2)
    claims = [e.at for e in history(server, update_id) if e.kind == "claimed"]
    assert claims[-1] - back < LEASE / 10, "nobody waits for the end of the lease"
    assert caller.versions() == [1, 2]
    invariants.hold(server.data, [first, batch])


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


@pytest.mark.long
@pytest.mark.sqlite
def test_erased_rows_are_nowhere_after_real_kills(server: Server) -> None:
    """Of rows that no other model here has."""
    kills: list[Callable[[Server], None]] = [kill_child, kill_server]
    chance = random.Random(ROUNDS)
    with Caller(server, "erasing").create() as caller:
        [kept] = caller.learn(0)["batches"]
        learned = traces.Learned()
        for k in range(ROUNDS):
            batch = send(caller, 50 + k)
            learning = caller.order([batch], method=ENDLESS)["id"]
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


class Client(threading.Thread):
    """Predicts on one connection until the service is gone. `broken`: requests that got no answer."""

    def __init__(self, caller: Caller) -> None:
        super().__init__(daemon=True)
        self.caller, self.statuses, self.broken = Caller(caller.server, caller.name), list[int](), list[str]()

    def run(self) -> None:
        inputs, _ = blobs(3, rows=1)
        with self.caller as caller:
            while True:
                try:
                    answer = caller.http.post(f"{caller.path}/predictions", json={"inputs": inputs})
                except httpx.ConnectError:
                    return  # nobody listens any more: nothing was lost
                except httpx.TransportError as error:
                    self.broken.append(repr(error))
                    return
                self.statuses.append(answer.status_code)


class Follower(threading.Thread):
    """Keeps one request open: an event stream, or an update with `?wait`."""

    def __init__(self, caller: Caller, method: str, path: str, json: Any = None) -> None:
        super().__init__(daemon=True)
        self.caller = Caller(caller.server, caller.name)
        self.method, self.path, self.json = method, path, json
        self.status, self.text = 0, ""

    def run(self) -> None:
        with self.caller as caller, caller.http.stream(self.method, self.path, json=self.json) as answer:
            self.status = answer.status_code
            for text in answer.iter_text():
                self.text += text


@pytest.mark.long
def test_told_to_stop_under_load_it_answers_everybody_and_hands_back(server: Server, caller: Caller) -> None:
    caller.learn(3)
    update_id = caller.order([caller.batch(4)], method=ENDLESS)["id"]
    caller.training(update_id)
    queued = caller.batch(5)
    clients = [Client(caller) for _ in range(3)]
    stream = Follower(caller, "GET", f"/v1/updates/{update_id}/events")
    wait = Follower(caller, "POST", f"{caller.path}/updates?wait=60", {"batches": [queued]})
    for thread in (*clients, stream, wait):
        thread.start()
    until(lambda: all(len(c.statuses) > 5 for c in clients) and "claimed" in stream.text, what="load")
    until(lambda: len(caller.ok("GET", f"{caller.path}/updates?state=queued")["items"]) == 1, what="the waiting call")
    children = children_of(server.pid)

    assert server.stop(50.0) == 0, "before the sixty seconds that one call waits"
    for thread in (*clients, stream, wait):
        thread.join(30.0)
        assert not thread.is_alive()
    assert [c.broken for c in clients] == [[], [], []]
    assert {status for c in clients for status in c.statuses} == {200}
    assert (stream.status, wait.status) == (200, 202)
    assert gone(children)
    events = kinds(server, update_id)
    assert events[-1] == "handed back"
    with closing(open_database(server.database_url)) as database, database.reading() as session:
        row = updates.find(session, update_id)
        assert (row.state, row.attempts) == ("queued", 0)
    invariants.hold(server.data, [queued])


@pytest.mark.long
@pytest.mark.sqlite
def test_after_a_cut_at_any_point_nothing_is_lost_doubled_or_stuck(mortal: Server) -> None:
    with Caller(mortal, "digits") as caller:
        with pytest.raises(httpx.TransportError):
            post_once(caller)
        until_it_dies(mortal)
        invariants.hold(mortal.data)
        assert waiting(mortal) == {"batches": 1, "rows": 60, "stopped": 0, "refuted": 0}
        for point in POINTS:
            mortal.restart(wait=False, worker=True, crash_point=point)
            until_it_dies(mortal)
            invariants.hold(mortal.data)

        mortal.restart(crash_point=DELETING[0])  # which is reached once rows are not kept
        again = post_once(caller)
        assert (again.status_code, again.headers["Idempotency-Replayed"]) == (202, "true")
        done = caller.end(again.json()["id"])
        assert (done["state"], done["verdict"], done["version"]) == ("succeeded", "promoted", 1)
        events = kinds(mortal, done["id"])
        assert (events[0], events[-1]) == ("queued", "succeeded")
        assert events.count("claimed") == done["attempts"] == len(POINTS)
        assert (caller.live(), caller.versions()) == (1, [1])
        for what in ("updates", "batches"):
            assert len(caller.ok("GET", f"{caller.path}/{what}")["items"]) == 1
        assert caller.state(done["batches"][0]) == "learned"
        invariants.hold(mortal.data, done["batches"])


@pytest.mark.long
@pytest.mark.sqlite
def test_after_a_cut_while_rows_are_deleted_the_deletion_is_made_up_for(mortal: Server) -> None:
    with Caller(mortal, "none") as none, Caller(mortal, "some") as some:
        batches = {none: none.create(retention="none").batch(1)}
        batches[some] = some.create(retention="exemplars", memory_rows=8).batch(2)
        for caller, batch_id in batches.items():
            caller.order([batch_id])
        until_it_dies(mortal)
        invariants.hold(mortal.data, batches.values())
        for point in DELETING[1:]:
            mortal.restart(wait=False, crash_point=point)
            until_it_dies(mortal)
            invariants.hold(mortal.data, batches.values())
        del mortal.settings["crash_point"]
        mortal.restart()
        for caller, rows in ((none, 0), (some, 40)):
            let_go(caller, batches[caller], rows)
        assert sent_rows(mortal, none, 1) == (0, 0)
        for caller in (none, some):
            learned = caller.learn(3)
            assert (learned["verdict"], caller.versions()) == ("promoted", [1, 2])
            let_go(caller, learned["batches"][0], 40)
            assert caller.state(batches[caller]) == "learned"
        invariants.hold(mortal.data)
