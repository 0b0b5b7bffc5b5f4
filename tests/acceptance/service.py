"""Callers of a real service, workers beside it, and rows that can be told apart."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import psutil
from sqlalchemy import select

from service.registry import models, versions
from service.registry.sql.engines import open_database
from service.registry.sql.tables import UpdateEvent, Version
from service.worker.parent.child_process import CHILD
from tests.running import ROOT, Server, environment

SIZE = 8
SPEC = {"kind": "vector", "size": SIZE, "scale": {"range": [-8, 8]}}
SECONDS = 120.0
"""How long anything may take on a machine that has other things to do."""

QUICK: dict[str, Any] = {
    "lease_seconds": 2.0,
    "beat_seconds": 0.2,
    "poll_seconds": 0.1,
    "retry_delay_seconds": 0.2,
    "stop_seconds": 10.0,
}
"""Settings under which faults show soon."""

RIDGE = {"name": "ridge", "lift": "none"}
FINAL = ("succeeded", "failed", "cancelled")


def slow(epochs: int) -> dict[str, Any]:
    """A method that takes its time: some milliseconds an epoch."""
    return {"name": "fine_tune", "epochs": epochs, "batch_size": 4, "lr": 0.001}


TRAINING = slow(1000)
"""One that is seen in the middle of its epochs, and ends: it takes some four seconds, on a fast machine one or two."""
ENDLESS = {**slow(1000), "batch_size": 1}
"""One that somebody ends before it does: it takes some ten seconds."""


def blobs(seed: int, rows: int = 60, classes: str = "abcd") -> tuple[list[list[float]], list[str]]:
    """`rows` rows in [-8, 8] around a centre a class; -> inputs, labels."""
    random = np.random.default_rng(1000 + seed)
    labels = [classes[k % len(classes)] for k in range(rows)]
    centres = {name: np.random.default_rng(ord(name)).uniform(-4, 4, SIZE) for name in set(classes)}
    inputs = [np.clip(random.normal(centres[name], 0.6), -8, 8).round(3).tolist() for name in labels]
    return inputs, labels


def until(condition: Callable[[], Any], seconds: float = SECONDS, what: str = "it", pause: float = 0.05) -> Any:
    """The first true answer of `condition`, asked again after `pause`; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < end, f"{what} did not happen within {seconds:g} s"
        time.sleep(pause)
    return answer


class Caller:
    """Somebody who calls a service."""

    def __init__(self, server: Server, model: str = "") -> None:
        self.server, self.name = server, model
        self.http = server.client(timeout=90.0)

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *raised: object) -> None:
        self.http.close()

    @property
    def path(self) -> str:
        return f"/v1/models/{self.name}"

    def ok(self, method: str, path: str, json: Any = None, **options: Any) -> Any:
        """The body of an answer that must be a good one."""
        if json is not None:
            options["json"] = json
        response = self.http.request(method, path, **options)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json()

    def create(self, **fields: Any) -> Caller:
        """The model, with a declared scale."""
        self.ok("POST", "/v1/models", {"name": self.name, "input": SPEC, "method": RIDGE, **fields})
        return self

    def batch(self, seed: int, **options: Any) -> str:
        """A stored batch; -> its id."""
        inputs, labels = blobs(seed, **options)
        body = {"inputs": inputs, "labels": labels, "new_classes": "allow"}
        batch_id: str = self.ok("POST", f"{self.path}/batches", body)["id"]
        return batch_id

    def order(self, batches: list[str] | str, wait: float = 0, **fields: Any) -> dict[str, Any]:
        """An update of stored batches, as it was answered."""
        answer: dict[str, Any] = self.ok("POST", f"{self.path}/updates?wait={wait}", {"batches": batches, **fields})
        return answer

    def learn(self, seed: int, method: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """An update of fresh rows that has succeeded."""
        more = {"method": method} if method else {}
        done = self.end(self.order([self.batch(seed, **options)], wait=60, **more)["id"])
        assert done["state"] == "succeeded", done
        return done

    def sent(self, **body: Any) -> dict[str, Any]:
        """An update of the rows of a body that has succeeded."""
        done = self.end(self.ok("POST", f"{self.path}/updates?wait=60", body)["id"])
        assert done["state"] == "succeeded", done
        return done

    def retract(self, batches: list[str], wait: float = 60, **fields: Any) -> dict[str, Any]:
        """A retraction, as it was answered."""
        body = {"batches": batches, "reason": "wrong", **fields}
        answer: dict[str, Any] = self.ok("POST", f"{self.path}/retractions?wait={wait}", body)
        return answer

    def update(self, update_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.ok("GET", f"/v1/updates/{update_id}")
        return answer

    def end(self, update_id: str, seconds: float = SECONDS) -> dict[str, Any]:
        """The update once it is final."""
        until(lambda: self.update(update_id)["state"] in FINAL, seconds, f"the end of {update_id}")
        return self.update(update_id)

    def training(self, update_id: str) -> dict[str, Any]:
        """The update once it is in the middle of its epochs."""

        def inside() -> bool:
            update = self.update(update_id)
            assert update["state"] not in FINAL, f"it ended before it was seen training: give it more epochs: {update}"
            progress = update["progress"]
            return bool(progress and progress["phase"] == "training" and progress["done"] > 0)

        until(inside, what="training")
        return self.update(update_id)

    def live(self) -> int | None:
        number: int | None = self.ok("GET", self.path)["live_version"]
        return number

    def version(self, number: int) -> dict[str, Any]:
        answer: dict[str, Any] = self.ok("GET", f"{self.path}/versions/{number}")
        return answer

    def versions(self) -> list[int]:
        return [v["number"] for v in self.ok("GET", f"{self.path}/versions?limit=1000")["items"]][::-1]

    def state(self, batch_id: str) -> str:
        answer: str = self.ok("GET", f"{self.path}/batches/{batch_id}")["state"]
        return answer

    def roll_back(self, **fields: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.ok("POST", f"{self.path}/rollback", {"reason": "bad", **fields})
        return answer

    def predict(self, inputs: list[list[float]], number: int | None = None) -> dict[str, Any]:
        at = f"/versions/{number}" if number is not None else ""
        body = {"inputs": inputs, "top": 10}
        answer: dict[str, Any] = self.ok("POST", f"{self.path}{at}/predictions", body)
        return answer


CLOCK_AHEAD = "import time; right = time.time; time.time = lambda: right() + {}; from service.cli import main; main()"
"""A program that is `tsuika` on a machine whose clock is so many seconds ahead."""


class WorkProcess:
    """A real `tsuika work` beside a service; what it says goes to a file. `ahead`: seconds by which its clock is fast ·
    `settings`: those that are its own."""

    def __init__(self, server: Server, name: str, ahead: float = 0.0, **settings: Any) -> None:
        program = ["-c", CLOCK_AHEAD.format(ahead)] if ahead else ["-m", "service.cli"]
        self.server, self.log = server, server.folder / f"{name}.log"
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, *program, "work"],
                cwd=ROOT,
                env=environment(**{**server.settings, **settings}),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def owns(self, update_id: str) -> bool:
        """Whether it made the latest claim of an update: claims name the worker, and it says its name at the start."""
        claims = [e for e in history(self.server, update_id) if e.kind == "claimed"]
        return bool(claims) and claims[-1].detail["worker"] in self.said()

    def children(self) -> list[psutil.Process]:
        return children_of(self.process.pid)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        """However it stands."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()


@dataclass(frozen=True)
class Event:
    """Something that happened to an update. `at`: seconds since the epoch."""

    kind: str
    at: float
    detail: dict[str, Any]


def stored_version(server: Server, caller: Caller, number: int) -> Version:
    """A version as the database has it."""
    with closing(open_database(server.database_url)) as database, database.reading() as session:
        return versions.get(session, models.get(session, caller.name), number)


def history(server: Server, update_id: str) -> list[Event]:
    """What happened to an update, oldest first, as the database has it."""
    query = select(UpdateEvent.kind, UpdateEvent.at, UpdateEvent.detail).where(UpdateEvent.update_id == update_id)
    with closing(open_database(server.database_url)) as database, database.looking() as reader:
        return [Event(kind, at, detail) for kind, at, detail in reader.execute(query.order_by(UpdateEvent.id))]


def kinds(server: Server, update_id: str) -> list[str]:
    return [event.kind for event in history(server, update_id)]


def gone(processes: Iterable[psutil.Process], seconds: float = SECONDS) -> bool:
    """Whether all of them have ended within `seconds`."""
    left = [p for p in processes if p.is_running()]
    with suppress(psutil.NoSuchProcess):
        _, alive = psutil.wait_procs(left, timeout=seconds)
        return not [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    return True


def children_of(pid: int) -> list[psutil.Process]:
    """What a process has started."""
    children: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
    return children


@contextmanager
def held(workers: Iterable[int]) -> Iterator[None]:
    """A time in which the processes that learn for these workers stand still: what is claimed meanwhile runs until it
    is over, however little there is to learn. They are not to be replaced in it."""

    def learning(worker: int) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            return [child for child in children_of(worker) if CHILD in child.cmdline()]
        return []

    children = [until(partial(learning, worker), what="a process that learns")[0] for worker in workers]
    for child in children:
        child.suspend()
    try:
        yield
    finally:
        for child in children:
            child.resume()
