"""Many callers at once, on one model and on two: whatever they ask, in whatever order, of whichever service.

A longer run, by hand: CONTENTION_ACTIONS=1500 pytest --long --timeout 0 -n 0 tests/acceptance/test_contention.py
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.environments import BOTH, Environment, opened
from tests.acceptance.service import FINAL, Caller, blobs, until
from tests.running import Server

pytestmark = pytest.mark.long

THREADS = 4
ACTIONS = int(os.environ.get("CONTENTION_ACTIONS", "60"))
"""Requests of each thread."""
SEED = int(os.environ.get("CONTENTION_SEED", "0"))
MODELS = ("one", "two")
PENDING = {"batches": "pending"}


@pytest.fixture(params=BOTH)
def several(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Environment]:
    """Services that threads of callers share: one, or two with two workers."""
    environment = opened(request, tmp_path)
    yield environment
    environment.stop()


class Somebody(threading.Thread):
    """Asks for one thing after another, each drawn by chance; keeps what must not be."""

    def __init__(self, server: Server, number: int) -> None:
        super().__init__(daemon=True)
        self.chance = random.Random(1000 * SEED + number)
        self.callers = [Caller(server, name) for name in MODELS]
        self.faults: list[str] = []
        self.sent: list[str] = []

    def run(self) -> None:
        acts = (self.send, self.learn, self.promote, self.roll_back, self.correct, self.take_back, self.cancel)
        acts += (self.retry, self.change, self.archive, self.promote, self.correct, *[self.send_and_learn] * 3)
        try:
            for _ in range(ACTIONS):
                self.chance.choice(acts)(self.chance.choice(self.callers))
        except Exception as error:
            self.faults.append(repr(error))
        for caller in self.callers:
            caller.http.close()

    def ask(self, caller: Caller, method: str, path: str, body: Any = None) -> httpx.Response:
        """The answer, which is none that only a fault gives."""
        answer = caller.http.request(method, path, json=body)
        busy = answer.status_code == 503 and "retry-after" in answer.headers
        if answer.status_code >= 500 and not busy:
            self.faults.append(f"{method} {path} {body}: {answer.status_code} {answer.text}")
        if answer.status_code == 404 and answer.json().get("archived"):
            caller.http.post(f"{caller.path}/restore")
        return answer

    def one_of(self, caller: Caller, what: str, **wanted: Any) -> Mapping[str, Any] | None:
        """One of the latest of a list of the model."""
        answer = self.ask(caller, "GET", f"{caller.path}/{what}?limit=12")
        items = answer.json()["items"] if answer.is_success else []
        items = [item for item in items if all(item[name] in among for name, among in wanted.items())]
        return self.chance.choice(items) if items else None

    def if_live(self, caller: Caller) -> dict[str, Any]:
        """What a caller says who looked first; {} of one who did not."""
        if self.chance.random() < 0.5:
            return {}
        answer = self.ask(caller, "GET", caller.path)
        live = answer.json()["live_version"] if answer.is_success else None
        return {} if live is None else {"if_live": live}

    def rows(self) -> dict[str, Any]:
        """Rows of which some have come before."""
        inputs, labels = blobs(self.chance.randrange(30), rows=16, classes="ab")
        return {"inputs": inputs, "labels": labels, "new_classes": "allow"}

    def send(self, caller: Caller) -> None:
        answer = self.ask(caller, "POST", f"{caller.path}/batches", self.rows())
        if answer.is_success:
            self.sent.append(answer.json()["id"])

    def send_and_learn(self, caller: Caller) -> None:
        answer = self.ask(caller, "POST", f"{caller.path}/updates?wait={self.chance.choice((0, 0, 2))}", self.rows())
        if answer.is_success:
            self.sent += answer.json()["batches"]

    def learn(self, caller: Caller) -> None:
        batch = self.one_of(caller, "batches")
        body = PENDING if batch is None or self.chance.random() < 0.5 else {"batches": [batch["id"]]}
        self.ask(caller, "POST", f"{caller.path}/updates?wait={self.chance.choice((0, 2))}", body)

    def promote(self, caller: Caller) -> None:
        if version := self.one_of(caller, "versions"):
            body = {"version": version["number"], "rebase": self.chance.random() < 0.2, **self.if_live(caller)}
            self.ask(caller, "POST", f"{caller.path}/deployments", body)

    def roll_back(self, caller: Caller) -> None:
        self.ask(caller, "POST", f"{caller.path}/rollback", {"reason": "bad", **self.if_live(caller)})

    def correct(self, caller: Caller) -> None:
        if batch := self.one_of(caller, "batches", state=("learned", "pending", "rejected")):
            row, label = str(self.chance.randrange(16)), self.chance.choice(("a", "b", None))
            body = {"rows": {row: label}, "reason": "looked again"}
            self.ask(caller, "POST", f"{caller.path}/batches/{batch['id']}/corrections", body)

    def take_back(self, caller: Caller) -> None:
        if batch := self.one_of(caller, "batches"):
            body = {"batches": [batch["id"]], "reason": "wrong", "erase": self.chance.random() < 0.1}
            self.ask(caller, "POST", f"{caller.path}/retractions", body)

    def cancel(self, caller: Caller) -> None:
        if update := self.one_of(caller, "updates", state=("queued", "running")):
            self.ask(caller, "POST", f"/v1/updates/{update['id']}/cancel")

    def retry(self, caller: Caller) -> None:
        if update := self.one_of(caller, "updates", state=("failed", "cancelled")):
            self.ask(caller, "POST", f"/v1/updates/{update['id']}/retry")

    def change(self, caller: Caller) -> None:
        changes = (
            {"promotion": "auto"},
            {"promotion": "manual"},
            {"gate": {"trusted": "recent"}},
            {"keep_versions": 9},
        )
        self.ask(caller, "PATCH", caller.path, self.chance.choice((*changes, {"gate": {"trusted": "all"}})))

    def archive(self, caller: Caller) -> None:
        if self.chance.random() < 0.2:
            self.ask(caller, "DELETE", caller.path)
            self.ask(caller, "POST", f"{caller.path}/restore")


def test_whatever_many_ask_at_once_no_row_counts_twice_and_no_answer_is_a_fault(several: Environment) -> None:
    first = several.services[0]
    for name in MODELS:
        with Caller(first, name) as caller:
            caller.create()
    people = [Somebody(several.services[k % len(several.services)], k) for k in range(THREADS)]
    for each in people:
        each.start()
    for each in people:
        each.join()
    assert [fault for each in people for fault in each.faults] == []
    for name in MODELS:
        with Caller(first, name) as caller:
            settled(caller)
            takes_out_what_was_taken_back(caller)
            counts_rows_once(caller)
    several.hold(batch for each in people for batch in each.sent)


def settled(caller: Caller) -> None:
    """Waits until nothing of a model is on its way, and it is there."""
    until(lambda: caller.http.post(f"{caller.path}/restore").is_success, what="its return from the archive")
    until(lambda: all(update["state"] in FINAL for update in of_all(caller, "updates")), what="the end of its updates")


def of_all(caller: Caller, what: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = caller.ok("GET", f"{caller.path}/{what}?limit=1000")["items"]
    return items


def takes_out_what_was_taken_back(caller: Caller) -> None:
    """Of all that is live and was taken back an order that has not succeeded takes it out when it is tried again."""
    live = caller.live()
    gone = {batch["id"] for batch in of_all(caller, "batches") if batch["state"] == "retracted"}
    left = gone & set(caller.version(live)["batches"]) if live is not None else set()
    for batch in left:
        orders = [u for u in of_all(caller, "updates") if u["kind"] == "retract" and batch in u["batches"]]
        assert any(update["state"] in ("failed", "cancelled") for update in orders), f"nothing takes {batch} out"
        caller.ok("POST", f"/v1/updates/{next(u['id'] for u in orders if u['state'] != 'succeeded')}/retry")
    settled(caller)
    now = caller.live()
    assert now is None or not gone & set(caller.version(now)["batches"])


def counts_rows_once(caller: Caller) -> None:
    """No version has a batch and what corrects it."""
    corrects = {batch["id"]: batch["corrects"] for batch in of_all(caller, "batches")}

    def first(batch: str) -> str:
        while (before := corrects[batch]) is not None:
            batch = before
        return batch

    for number in caller.versions():
        learned = caller.version(number)["batches"]
        assert len({first(batch) for batch in learned}) == len(learned), f"rows count twice in version {number}"
