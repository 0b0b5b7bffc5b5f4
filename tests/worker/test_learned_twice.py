"""An update whose first attempt was not published is learned again by the same warm process, and lacks nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from service.contract.enums import UpdateKind
from service.errors import Busy, Cancelled, DiskFull
from service.learning.data.serialization import pack_rows
from service.learning.run import Run, no_check
from service.registry import batches, leases, models, updates
from service.registry.sql.tables import Update
from service.registry.updates import Order
from service.runtime import Runtime
from service.storage.artifacts import exam_area, model_area
from service.upkeep.verify import verify
from service.worker.assignment import BatchFacts, Result
from service.worker.child.train import Executor
from service.worker.parent import assign
from service.worker.parent.publish import finish_lost, publish
from tests.registry.facts import model, retract
from tests.updating import make_rows
from tests.worker.sample_updates import claimed

RIDGE, AUTO = {"name": "ridge", "lift": "none"}, {"name": "auto"}
METHODS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "ridge": (RIDGE, RIDGE),
    "auto": (AUTO, AUTO),
    "where older rows count less": (RIDGE, RIDGE | {"decay": 0.5}),
    "in another feature space": (RIDGE | {"lift": "relu", "width": 32}, RIDGE),
    "after a trained network": ({"name": "retrain", "epochs": 1, "backbone": {"name": "mlp", "hidden": [4]}}, RIDGE),
}
"""The method of the version that there is, and that of the update that is learned twice."""


class Process:
    """A worker with its warm child, in the process of the test."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime, self.executor = runtime, Executor()
        with runtime.database.writing() as session:
            model(session)
        self.first = self.send(0)

    def send(self, seed: int, rows: int = 40) -> str:
        """A stored batch of two classes."""
        random = np.random.default_rng(seed)
        labels = ["ab"[k % 2] for k in range(rows)]
        inputs = np.array([random.normal(-1 if name == "a" else 1, 0.5, 2) for name in labels], np.float32)
        batch_id = batches.new_batch_id()
        made = make_rows(batch_id, inputs, labels, b"secret")
        with self.runtime.database.writing() as session:
            digits = models.get(session, "digits")
            digest = self.runtime.store.put(model_area(digits.id), pack_rows(made))
            folds = {name: [0, 0, 0, 0] for name in "ab"}
            facts = batches.Arrival(batch_id, f"{seed:064x}", digest, rows, made.counts(), folds, [], None, True)
            return batches.accept(session, digits, facts)[0].id

    def order(self, batch_ids: list[str], method: dict[str, Any]) -> str:
        with self.runtime.database.writing() as session:
            order = Order(UpdateKind.LEARN, batch_ids, method)
            return updates.enqueue(session, models.get(session, "digits"), order, by="somebody").id

    def execute(self, update: Update, check: Callable[[], None] = no_check) -> Result:
        """What the child makes of a claimed update; it has written to the cache what it does before the next one."""
        with self.runtime.database.reading() as session:
            assignment = assign.assignment(self.runtime, session, update, brief=True)
        assert assignment is not None
        self.asked = 0

        def history() -> BatchFacts:
            self.asked += 1
            return assign.history(self.runtime, assignment)

        result = self.executor.execute(assignment, Run(check=check), history=history)
        self.executor.tidy()
        return result

    def learn(self) -> None:
        """The next update goes live."""
        update = claimed(self.runtime)
        assert publish(self.runtime, update.id, update.fence, self.execute(update)) == "promoted"

    def hand_back(self, update: Update) -> None:
        with self.runtime.database.writing() as session:
            leases.hand_back(session, leases.owned(session, update.id, update.fence))

    def verified(self) -> None:
        """The sums of the live version can be recomputed from what is stored."""
        with self.runtime.database.reading() as session:
            live = models.live(session, models.get(session, "digits"))
        assert verify(self.runtime, "digits", live.number).holds


@pytest.fixture
def process(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Process:
    """Whose assignments name one batch of the base: what it needs of others, it asks for."""
    monkeypatch.setattr(assign, "LATEST", 1)
    return Process(runtime)


@contextmanager
def held(process: Process, update: Update) -> Iterator[None]:
    """Somebody holds the database for longer than a write waits."""
    with process.runtime.database.writing() as session:
        session.execute(text("PRAGMA busy_timeout=20"))
    with closing(sqlite3.connect(process.runtime.settings.database_file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Busy):
            yield
        other.execute("ROLLBACK")
    process.hand_back(update)


@contextmanager
def full(process: Process, update: Update) -> Iterator[None]:
    """The database has no room for another page."""

    def limit(pages: int) -> None:
        with process.runtime.database.writing() as session:
            session.execute(text(f"PRAGMA max_page_count={pages}"))

    with closing(sqlite3.connect(process.runtime.settings.database_file)) as other:
        other.execute("VACUUM")  # tables that a migration made anew have left free pages
    limit(1)  # no fewer than there are
    with pytest.raises(DiskFull):
        yield
    limit(2**30)
    process.hand_back(update)


@contextmanager
def retracted(process: Process, update: Update) -> Iterator[None]:
    """A batch of the base is retracted while another is learned on it."""
    with process.runtime.database.writing() as session:
        retract(session, models.get(session, "digits"), [process.first])
    yield
    process.learn()  # the retraction goes first


Fault = Callable[[Process, Update], AbstractContextManager[None]]


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        *(pytest.param(method, held, marks=pytest.mark.sqlite) for method in METHODS),
        *(pytest.param(method, full, marks=pytest.mark.sqlite) for method in ("ridge", "auto")),
        *((method, retracted) for method in ("ridge", "auto")),
    ],
)
def test_what_was_not_published_is_whole_the_second_time(process: Process, method: str, fault: Fault) -> None:
    before, method_of_update = METHODS[method]
    process.order([process.first, process.send(1)], before)
    process.learn()
    process.order([process.send(2)], method_of_update)
    update = claimed(process.runtime)
    result = process.execute(update)
    with fault(process, update):
        assert publish(process.runtime, update.id, update.fence, result) is None
    process.learn()
    process.verified()
    process.executor = Executor()
    process.order([process.send(3)], method_of_update)
    process.learn()
    process.verified()


def test_an_update_that_makes_room_before_its_end_is_whole_the_second_time(process: Process) -> None:
    process.order([process.send(1)], RIDGE)
    update = claimed(process.runtime)

    def stop() -> None:
        if process.executor._memory._held:
            raise Cancelled("An update waits.")

    with pytest.raises(Cancelled):
        process.execute(update, stop)
    process.hand_back(update)
    process.learn()
    process.verified()


def test_sums_of_a_challenger_that_lost_do_not_stand_in_for_those_of_a_later_update(process: Process) -> None:
    process.order([process.send(1)], RIDGE | {"lift": "relu", "width": 32})
    process.learn()
    process.order([process.send(2)], RIDGE)
    challenger = claimed(process.runtime)
    process.execute(challenger)
    finish_lost(process.runtime, challenger.id, challenger.fence, "It did not win.")
    process.order(challenger.batches, RIDGE)
    process.learn()
    process.verified()


def test_facts_of_older_batches_are_asked_for_where_their_sums_are_not_at_hand(process: Process) -> None:
    process.order([process.first, process.send(1), process.send(2)], RIDGE)
    process.learn()
    for fresh in (False, True, False):
        if fresh:  # nothing is in memory, and the cache was emptied
            process.executor = Executor()
            process.runtime.cache.forget(model_area(1))
            process.runtime.cache.forget(exam_area(model_area(1)))
        process.order([process.send(3 + fresh, rows=18)], RIDGE)  # too few to compare their columns with known rows
        process.learn()
        assert process.asked == fresh
        process.verified()
