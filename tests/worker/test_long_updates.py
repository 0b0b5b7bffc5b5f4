"""A long update saves its trainings; another attempt goes on from there, and nothing of them is left at the end. A
device is told to what learns, and what was made on it says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import pytest
import torch

from service.contract.enums import UpdateKind
from service.errors import Cancelled, DeviceFull, DeviceMissing, DiskFull, ImpossibleSettings, LeaseLost
from service.learning import devices
from service.learning.ledger import feature_space
from service.learning.run import IN_SEQUENCE, Run, Tasks, Trainings
from service.registry import leases, models, updates
from service.registry.sql.tables import LedgerEntry, Update, Version
from service.runtime import Runtime
from service.settings import Settings
from service.storage.artifacts import model_area
from service.upkeep import gc
from service.worker.assignment import Assignment, Result
from service.worker.child import saves, train
from service.worker.child.data import model_store, row_blocks
from service.worker.child.train import Executor
from service.worker.parent import assign, erasure
from service.worker.parent.publish import finish_empty, publish
from service.worker.parent.saved_trainings import SavedTrainings
from tests.devices import Beside, beside
from tests.pickled_tasks import PickledTasks
from tests.registry.facts import model, retract
from tests.worker.sample_updates import claimed, store_batch

LONG = {"name": "fine_tune", "epochs": 30, "batch_size": 2}
EVERY = 40.0
"""Looks at the clock between two saves: a step has one or two."""


@pytest.fixture(autouse=True)
def _clock_of_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time goes on by one whenever somebody looks."""
    clock = count()
    monkeypatch.setattr(saves, "Trainings", partial(Trainings, clock=lambda: float(next(clock))))


class Attempt:
    """One attempt at the next update, in a process of its own that saves now and then."""

    def __init__(self, runtime: Runtime, tasks: Tasks = IN_SEQUENCE, every: float = EVERY) -> None:
        self.runtime, self.update, self.checks, self.tasks = runtime, claimed(runtime), 0, tasks
        self.saved = SavedTrainings(runtime, self.update)
        with runtime.database.reading() as session:
            whole = assign.assignment(runtime, session, self.update)
        self.assignment: Assignment = whole.model_copy(update={"save_seconds": every})

    def learn(self, stop: int | None = None) -> Result:
        steps = count()

        def check() -> None:
            self.checks += 1
            if next(steps) == stop:
                raise Cancelled("stop")

        return Executor(lambda: self.tasks).execute(self.assignment, Run(check=check), self.saved)

    def interrupted(self, stop: int) -> None:
        with pytest.raises(Cancelled):
            self.learn(stop)

    def end(self, result: Result) -> None:
        assert publish(self.runtime, self.update.id, self.update.fence, result) is not None
        self.saved.tidy()


@pytest.fixture
def first(runtime: Runtime) -> Attempt:
    with runtime.database.writing() as session:
        model(session)
    order(runtime)
    return Attempt(runtime)


def order(runtime: Runtime, seed: int = 0, **method: Any) -> str:
    with runtime.database.writing() as session:
        batch = store_batch(runtime, session, seed=seed)
        asked = updates.Order(UpdateKind.LEARN, [batch.id], LONG | method)
        return updates.enqueue(session, models.get(session, "digits"), asked, by="somebody").id


def rescue(runtime: Runtime, update: Update) -> None:
    with runtime.database.writing() as session:
        assert leases.rescue(session, 3, [update.id]) == [update.id]


def drain(runtime: Runtime, update: Update) -> None:
    with runtime.database.writing() as session:
        leases.hand_back(session, leases.owned(session, update.id, update.fence))


def named(runtime: Runtime, update: Update) -> str | None:
    with runtime.database.reading() as session:
        return session.get_one(Update, update.id).trainings


def stored(runtime: Runtime) -> set[str]:
    return {digest for area, digest, _ in runtime.store.names() if area == model_area(1)}


def shards(result: Result) -> list[str]:
    return [shard.digest for shard in result.shards]


@pytest.mark.parametrize(("stop", "leave"), [(50, rescue), (80, drain)], ids=["lost", "drained"])
def test_another_attempt_goes_on_and_makes_the_same_bits(
    runtime: Runtime, first: Attempt, stop: int, leave: Callable[[Runtime, Update], None]
) -> None:
    whole = first.learn()
    first.interrupted(stop)
    leave(runtime, first.update)
    second = Attempt(runtime)
    assert second.assignment.trainings == named(runtime, second.update) is not None
    result = second.learn()
    assert second.checks < first.checks - 2 * stop + EVERY, "what was saved was not done again"
    assert shards(result) == shards(whole)
    assert result.report.cost.multiply_adds == whole.report.cost.multiply_adds
    assert result.report.notes == whole.report.notes
    second.end(result)
    assert named(runtime, second.update) is None


@pytest.mark.parametrize("tasks", [IN_SEQUENCE, PickledTasks()], ids=["here", "in tasks"])
def test_features_of_an_import_go_on_where_a_killed_worker_left_them(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, tasks: Tasks
) -> None:
    """Of three batches of eight rows no more is computed twice than what came since the last save."""
    extracted, blocks = list[int](), feature_space.feature_blocks

    def counted(*asked: Any) -> Iterator[Any]:
        for places, h in blocks(*asked):
            extracted.extend(places)
            yield places, h

    monkeypatch.setattr(feature_space, "feature_blocks", counted)
    monkeypatch.setattr(feature_space, "BLOCK", 1)
    monkeypatch.setattr(row_blocks, "BLOCK_ROWS", 2)
    monkeypatch.setattr(model_store, "SPREAD_ROWS", 1)
    with runtime.database.writing() as session:
        digits = model(session)
        ids = [store_batch(runtime, session, seed=seed).id for seed in range(3)]
        order = updates.Order(UpdateKind.LEARN, ids, {"name": "ridge", "lift": "none"})
        updates.enqueue(session, digits, order, by="somebody")
    first = Attempt(runtime, tasks, every=4.0)
    whole = first.learn()
    computed = len(extracted)
    assert computed == 24
    first.interrupted(first.checks // 2)
    rescue(runtime, first.update)
    second = Attempt(runtime, tasks, every=4.0)
    result = second.learn()
    assert len(extracted) - computed <= 24 + 4, "rows were extracted twice"
    assert (shards(result), result.entries) == (shards(whole), whole.entries)
    second.end(result)
    assert named(runtime, second.update) is None


def test_one_save_is_kept_while_it_runs_and_none_once_it_has_ended(runtime: Runtime, first: Attempt) -> None:
    before = stored(runtime)
    first.interrupted(60)
    one = named(runtime, first.update)
    assert len(stored(runtime) - before) == 2, "the last save, and the features of the batch, which no row names"
    gc.sweep(runtime, [1])
    assert stored(runtime) - before == {one}, "a row names it"
    rescue(runtime, first.update)
    second = Attempt(runtime)
    second.end(second.learn())
    assert one not in stored(runtime)
    assert gc.collect(runtime, dry_run=True).deleted == []


def test_the_last_save_goes_with_an_update_that_ends_while_nobody_learns_it(runtime: Runtime, first: Attempt) -> None:
    first.interrupted(60)
    one = named(runtime, first.update)
    with runtime.database.writing() as session:
        session.get_one(Update, first.update.id).cancel_requested = True
        leases.rescue(session, 3, [first.update.id])
    assert one in stored(runtime)
    gc.discard_saves(runtime, session)
    assert one not in stored(runtime)


def test_a_worker_that_lost_its_lease_leaves_no_save_that_another_goes_on_from(
    runtime: Runtime, first: Attempt
) -> None:
    first.interrupted(60)
    rescue(runtime, first.update)
    second = Attempt(runtime)
    inherited = named(runtime, second.update)
    with pytest.raises(LeaseLost):
        first.learn()
    assert named(runtime, second.update) == inherited
    result = second.learn()
    with pytest.raises(LeaseLost):
        first.saved(shards(result)[0])
    second.end(result)


@pytest.mark.parametrize("damage", ["missing", "damaged", "another base"])
def test_what_cannot_be_gone_on_from_begins_anew(runtime: Runtime, first: Attempt, damage: str) -> None:
    whole = first.learn()
    first.interrupted(60)
    rescue(runtime, first.update)
    second = Attempt(runtime)
    digest = second.assignment.trainings
    assert digest is not None
    if damage == "missing":
        runtime.store.delete(model_area(1), digest)
    elif damage == "damaged":
        second.assignment = second.assignment.model_copy(
            update={"trainings": runtime.store.put(model_area(1), b"no trainings")}
        )
    else:
        second.assignment = second.assignment.model_copy(update={"sources": {"bat_1": "elsewhere"}})
    second.checks = 0
    assert shards(second.learn()) == shards(whole)
    assert second.checks > 80


def test_a_training_goes_on_where_there_is_no_room_for_a_save(
    runtime: Runtime, first: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(digest: str) -> None:
        raise DiskFull("no room")

    monkeypatch.setattr(first, "saved", full)
    assert first.learn().learned


def test_an_erasure_takes_what_waiting_updates_have_saved(runtime: Runtime, first: Attempt) -> None:
    first.end(first.learn())
    waiting = order(runtime, seed=1)
    second = Attempt(runtime)
    assert second.update.id == waiting
    second.interrupted(60)
    rescue(runtime, second.update)
    saved = named(runtime, second.update)
    assert saved in stored(runtime)
    with runtime.database.writing() as session:
        digits = models.get(session, "digits")
        digits.archived_at = 1.0
        retract(session, digits, first.update.batches, erase=True)
    update = claimed(runtime)
    assert update.kind == UpdateKind.RETRACT
    finish_empty(runtime, update.id, update.fence)
    assert named(runtime, second.update) is None
    erasure.finish(runtime, 1)
    assert saved not in stored(runtime)


def test_an_update_runs_on_the_device_that_it_names_and_what_it_makes_says_so(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    with runtime.database.writing() as session:
        digits = model(session)
        batch = store_batch(runtime, session)
        order = updates.Order(UpdateKind.LEARN, [batch.id], LONG | {"epochs": 1}, device="beside:0")
        updates.enqueue(session, digits, order, by="somebody")
    attempt = Attempt(runtime)
    assert attempt.assignment.device == "beside:0"
    with pytest.raises(DeviceMissing, match="no device beside:0"):
        attempt.learn()
    monkeypatch.setattr(devices, "devices", lambda: ["beside:0", "cpu"])
    with beside():
        Beside.asked.clear()
        result = attempt.learn()
        assert Beside.asked["aten._fused_sgd_.default"]
    attempt.end(result)
    with runtime.database.reading() as session:
        assert [version.trained_on for version in session.query(Version)] == ["beside:0"]
        assert {entry.device for entry in session.query(LedgerEntry)} == {"beside:0"}


def test_memory_that_is_full_beside_a_training_is_told_as_such(
    runtime: Runtime, first: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has 0 bytes.")

    monkeypatch.setattr(train, "learn", full)
    with pytest.raises(DeviceFull, match="memory of cpu is full: CUDA out of memory"):
        first.learn()


def test_devices_of_the_settings_must_be_here(runtime: Runtime) -> None:
    devices.require(runtime.settings.device, runtime.settings.update_devices)
    for setting in ("device", "update_devices"):
        asked = Settings(**{setting: "cuda:9"})
        with pytest.raises(ImpossibleSettings, match=f"TSUIKA_{setting.upper()} cannot be used: .*There is .*cpu"):
            devices.require(asked.device, asked.update_devices)
