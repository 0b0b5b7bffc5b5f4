"""The parent thread with a stand-in for its child: claims, delays, cancels, stops, and goes on after errors."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.contract.enums import UpdateKind, UpdateState
from service.errors import Busy, DiskFull, StoreAway
from service.registry import batches, leases, models, states, updates
from service.registry.sql.database import now
from service.registry.sql.engines import open_database
from service.registry.sql.tables import Batch, Update, Version
from service.registry.updates import Order
from service.runtime import Runtime
from service.settings import Settings
from service.storage.artifacts import SHARDS, model_area
from service.worker.assignment import Entry, Result
from service.worker.parent import child_process, erasure, loop
from service.worker.parent.loop import SERVES, Worker
from tests.registry.facts import learn, model, retract
from tests.worker.parent.test_child_process import alive
from tests.worker.sample_updates import result, store_batch

WaitFor = Callable[[Callable[[], bool]], None]


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "CHILD", "tests.worker.stand_in")


@pytest.fixture
def worker(runtime: Runtime) -> Iterator[Worker]:
    with runtime.database.writing() as session:
        model(session)
    worker = Worker(runtime)
    worker.start()
    yield worker
    worker.stop(5.0)


def order(runtime: Runtime, name: str, seed: int = 0, **params: str) -> str:
    """An update of a fresh batch, by a method of the stand-in."""
    with runtime.database.writing() as session:
        batch = store_batch(runtime, session, seed=seed)
        digits = models.get(session, "digits")
        order = Order(UpdateKind.LEARN, [batch.id], {"name": name, **params})
        update_id = updates.enqueue(session, digits, order, by="somebody").id
    runtime.work.set()
    return update_id


def answered(runtime: Runtime, tmp_path: Path, seed: int = 0, entries: list[Entry] | None = None, **params: str) -> str:
    """An update that succeeds; its result is written after the batch, which has no id before."""
    path = tmp_path / f"result-{seed}.json"
    with runtime.database.writing() as session:
        batch = store_batch(runtime, session, seed=seed)
        digits = models.get(session, "digits")
        path.write_text(result(runtime, [batch.id], seed=seed, entries=entries).model_dump_json())
        method = {"name": "answer", "result": str(path), **params}
        order = Order(UpdateKind.LEARN, [batch.id], method)
        update_id = updates.enqueue(session, digits, order, by="somebody").id
    runtime.work.set()
    return update_id


def test_what_a_child_that_was_killed_has_half_written_goes_at_the_next_look(runtime: Runtime) -> None:
    assert runtime.settings.store_folder is not None
    folder = runtime.settings.store_folder / "tmp"
    for name, seconds in (("model-1.old", 100.0), ("model-1.new", 0.0)):
        (folder / name).write_bytes(b"half a save")
        os.utime(folder / name, (now() - seconds, now() - seconds))
    assert not Worker(runtime)._step()
    assert [path.name for path in folder.iterdir()] == ["model-1.new"]


def look(runtime: Runtime, update_id: str) -> Update:
    with runtime.database.reading() as session:
        return session.get_one(Update, update_id)


def events(runtime: Runtime, update_id: str) -> list[str]:
    with runtime.database.reading() as session:
        return [event.kind for event in updates.events(session, update_id)]


def test_an_update_is_claimed_learned_published_and_served(
    worker: Worker, runtime: Runtime, tmp_path: Path, wait_for: WaitFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing else is written but heartbeats: nobody is rescued where nothing was lost."""
    rescues, rescue = list[None](), leases.rescue
    monkeypatch.setattr(leases, "rescue", lambda *arguments: rescues.append(None) or rescue(*arguments))
    update_id = answered(runtime, tmp_path)
    wait_for(lambda: runtime.live.serving_version("digits") == 1)
    assert events(runtime, update_id) == ["queued", "claimed", "succeeded"]
    assert rescues == []
    with runtime.database.reading() as session:
        version = session.get_one(Version, session.get_one(Update, update_id).version_id)
    parts = version.report["cost"]["parts"]
    assert list(parts) == ["queue", "handover", "loading"]
    assert all(seconds >= 0 for name, seconds in parts.items() if name != "handover")


def test_an_update_that_always_fails_ends_after_growing_delays_and_the_next_one_runs(
    worker: Worker, runtime: Runtime, tmp_path: Path, wait_for: WaitFor
) -> None:
    poison, behind = order(runtime, "fail"), answered(runtime, tmp_path, seed=1)
    wait_for(lambda: look(runtime, poison).state == "failed")
    wait_for(lambda: look(runtime, behind).state == "succeeded")
    row = look(runtime, poison)
    assert (row.attempts, row.error) == (
        3,
        {"type": "/problems/learning-failed", "title": "Learning failed", "detail": "the rows are damaged"},
    )
    with runtime.database.reading() as session:
        at = {(e.kind, e.id): e.at.timestamp() for e in updates.events(session, poison)}
    claims = [when for (kind, _), when in at.items() if kind == "claimed"]
    assert claims[1] - claims[0] >= 0.05
    assert claims[2] - claims[1] >= 0.1


def test_an_update_whose_store_is_away_is_queued_again_and_that_counts_as_no_attempt(
    worker: Worker, runtime: Runtime, tmp_path: Path, wait_for: WaitFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(area: str, digest: str) -> bool:
        raise StoreAway("away")

    monkeypatch.setattr(runtime.store, "has", away)
    monkeypatch.setattr(runtime.store, "delete", away)
    update_id = answered(runtime, tmp_path)
    wait_for(lambda: events(runtime, update_id)[1:2] == ["claimed"] and look(runtime, update_id).state == "queued")
    assert look(runtime, update_id).attempts == 0
    with runtime.database.reading() as session:
        assert session.scalars(select(Version)).all() == []


def test_an_update_whose_child_dies_every_time_ends(worker: Worker, runtime: Runtime, wait_for: WaitFor) -> None:
    poison = order(runtime, "die")
    wait_for(lambda: look(runtime, poison).state == "failed")
    error = look(runtime, poison).error
    assert error["title"] == "The learning process was lost"


def test_a_version_that_is_not_whole_is_made_again_by_a_fresh_child_and_never_published(
    worker: Worker, runtime: Runtime, tmp_path: Path, wait_for: WaitFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "give_up", lambda *_: None)  # the stand-in stores nothing, so nothing anew
    note = tmp_path / "children"
    wrong = answered(runtime, tmp_path, entries=[], note=str(note))
    wait_for(lambda: look(runtime, wrong).state == "failed")
    error = look(runtime, wrong).error
    assert error["title"] == "The version is not whole"
    assert len(set(note.read_text().split())) == 3, "a process for each attempt"
    with runtime.database.reading() as session:
        assert session.query(Version).count() == 0


def test_a_refusal_is_final_at_once(worker: Worker, runtime: Runtime, wait_for: WaitFor) -> None:
    refused = order(runtime, "refuse")
    wait_for(lambda: look(runtime, refused).state == "failed")
    row = look(runtime, refused)
    assert row.attempts == 1
    assert row.error == {
        "type": "/problems/method-refused",
        "title": "The method cannot do this",
        "detail": "not on this backbone",
    }


def test_an_update_that_no_cluster_takes_waits_longer_each_time_says_why_and_that_counts_as_no_attempt(
    worker: Worker, runtime: Runtime, wait_for: WaitFor, tmp_path: Path
) -> None:
    waiting = order(runtime, "away")
    wait_for(lambda: events(runtime, waiting).count("put off") == 3)
    row = look(runtime, waiting)
    assert row.attempts - (row.state == UpdateState.RUNNING) == 0
    why = {
        "type": "/problems/cluster-away",
        "title": "The Ray cluster cannot be used now",
        "detail": "no cluster answers",
    }
    with runtime.database.reading() as session:
        at = [(e.at.timestamp(), e.detail) for e in updates.events(session, waiting) if e.kind == "put off"]
    assert [detail for _, detail in at] == [why] * 3
    assert at[1][0] - at[0][0] >= 0.05
    assert at[2][0] - at[1][0] >= 0.1
    assert worker.trouble() == "no cluster answers"
    with runtime.database.writing() as session:
        session.get_one(Update, waiting).cancel_requested = True
    wait_for(lambda: look(runtime, waiting).state == "cancelled")
    wait_for(lambda: worker.trouble() is None)
    done = answered(runtime, tmp_path, seed=1)
    wait_for(lambda: look(runtime, done).state == "succeeded")
    assert worker.trouble() is None


def test_a_training_that_diverged_fails_at_once_with_the_step_and_the_base_stays_live(
    worker: Worker, runtime: Runtime, tmp_path: Path, wait_for: WaitFor
) -> None:
    answered(runtime, tmp_path)
    wait_for(lambda: runtime.live.serving_version("digits") == 1)
    diverged = order(runtime, "diverge", seed=1)
    wait_for(lambda: look(runtime, diverged).state == "failed")
    row = look(runtime, diverged)
    assert (row.attempts, row.error) == (
        1,
        {"type": "/problems/diverged", "title": "Training diverged", "detail": "at step 3 (epoch 1 of 2)"},
    )
    with runtime.database.reading() as session:
        digits = models.get(session, "digits")
        assert models.resources_of(session, [digits], runtime.live.serving_version)[0].live_version == 1
    assert runtime.live.serving_version("digits") == 1


@pytest.mark.parametrize("manner", ["go on", "never listen"])
def test_a_running_update_is_cancelled_at_the_next_look(
    worker: Worker, runtime: Runtime, tmp_path: Path, wait_for: WaitFor, manner: str
) -> None:
    """Nobody waits for a heartbeat. By default that is within two seconds, a child that does not listen included."""
    assert Settings().poll_seconds + child_process.CANCEL_GRACE_SECONDS < 2.0
    update_id = order(runtime, manner, note=str(tmp_path / "pid"))
    wait_for(lambda: look(runtime, update_id).progress is not None)
    runtime.settings = runtime.settings.model_copy(update={"beat_seconds": 3600.0})
    with runtime.database.writing() as session:
        assert not updates.cancel(session, session.get_one(Update, update_id))
    wait_for(lambda: look(runtime, update_id).state == "cancelled")
    assert not alive(int((tmp_path / "pid").read_text()))


def test_a_stopped_worker_hands_back_and_leaves_no_child(
    worker: Worker, runtime: Runtime, tmp_path: Path, wait_for: WaitFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_process, "CANCEL_GRACE_SECONDS", 600.0)  # it gives the child none
    update_id = order(runtime, "never listen", note=str(tmp_path / "pid"))
    wait_for(lambda: look(runtime, update_id).progress is not None)
    worker.stop(60.0)
    assert not worker._thread.is_alive()
    row = look(runtime, update_id)
    assert (row.state, row.attempts, row.worker) == ("queued", 0, None)
    assert events(runtime, update_id)[-1] == "handed back"
    assert not alive(int((tmp_path / "pid").read_text()))


def test_a_worker_that_lost_its_lease_stops_the_child_and_says_so(
    worker: Worker, runtime: Runtime, tmp_path: Path, wait_for: WaitFor, caplog: pytest.LogCaptureFixture
) -> None:
    update_id = order(runtime, "never listen", note=str(tmp_path / "pid"))
    wait_for(lambda: look(runtime, update_id).progress is not None)
    with runtime.database.writing() as session:  # as another worker would, after a pause of this one
        row = session.get_one(Update, update_id)
        row.lease_until = 0.0
        leases.rescue(session, 3)
        row.run_after = now() + 200.0
    wait_for(lambda: "the lease of update" in caplog.text)
    wait_for(lambda: not alive(int((tmp_path / "pid").read_text())))
    assert look(runtime, update_id).state == "queued"
    with runtime.database.reading() as session:
        assert session.query(Version).count() == 0


def test_what_was_stored_under_a_lease_that_was_lost_since_stays_for_who_makes_the_same(
    worker: Worker,
    runtime: Runtime,
    tmp_path: Path,
    wait_for: WaitFor,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish = loop.publish

    def late(runtime: Runtime, update_id: str, *others: Any) -> Any:
        with runtime.database.writing() as session:
            row = session.get_one(Update, update_id)
            row.lease_until = 0.0
            leases.rescue(session, 3)
            row.run_after = now() + 200.0
        return publish(runtime, update_id, *others)

    monkeypatch.setattr(loop, "publish", late)
    answered(runtime, tmp_path)
    made = Result.model_validate_json((tmp_path / "result-0.json").read_text())
    wait_for(lambda: "the lease of update" in caplog.text)
    assert all(runtime.store.has(SHARDS, shard.digest) for shard in made.shards)
    assert runtime.store.has(model_area(1), made.bits or "")


def test_an_update_is_rescued_although_the_clock_was_set_back_an_hour(
    runtime: Runtime, tmp_path: Path, wait_for: WaitFor
) -> None:
    with runtime.database.writing() as session:
        model(session)
    update_id = answered(runtime, tmp_path)
    with runtime.database.writing() as session:  # by a worker that died before the clock was set back
        claimed_by = leases.claim(session, "lost", 1.0)
        claimed_by.lease_until = now() + 3600.0
    worker = Worker(runtime)
    worker.start()
    try:
        wait_for(lambda: look(runtime, update_id).state == "succeeded")
    finally:
        worker.stop(5.0)
    assert events(runtime, update_id) == ["queued", "claimed", "rescued", "claimed", "succeeded"]


@pytest.mark.sqlite
def test_what_the_service_before_had_claimed_goes_on_at_once_and_what_others_claimed_does_not(
    runtime: Runtime, tmp_path: Path, wait_for: WaitFor
) -> None:
    # a lease of an hour that ends as no lease can here would be taken for one from before the clock was set back
    runtime.settings = runtime.settings.model_copy(update={"lease_seconds": 3600.0})
    with runtime.database.writing() as session:
        model(session)
        model(session, "letters")
    killed = answered(runtime, tmp_path)
    with runtime.database.writing() as session:
        first = leases.claim(session, f"{SERVES}-ffff", 3600.0)
        letters = models.get(session, "letters")
        order = Order(UpdateKind.LEARN, [store_batch(runtime, session, "letters", seed=1).id], {"name": "go on"})
        at_work = updates.enqueue(session, letters, order, by="somebody").id
        other = leases.claim(session, "worker-ffff", 3600.0)
        assert (first.id, other.id) == (killed, at_work)
    worker = Worker(runtime, kind=SERVES)
    worker.start()
    try:
        wait_for(lambda: look(runtime, killed).state == "succeeded")
        worker._take_over()
    finally:
        worker.stop(5.0)
    assert events(runtime, killed) == ["queued", "claimed", "rescued", "claimed", "succeeded"]
    assert events(runtime, at_work) == ["queued", "claimed"]


def test_a_lease_that_is_prolonged_stands_although_the_clock_was_set_back_an_hour(runtime: Runtime) -> None:
    worker = Worker(runtime)
    assert worker._silent({"upd_1": 5000.0, "upd_2": 5000.0}) == []
    worker._ahead = {u: (until, since - 1.1) for u, (until, since) in worker._ahead.items()}
    assert worker._silent({"upd_1": 5000.0, "upd_2": 5000.5}) == ["upd_1"]
    assert worker._silent({"upd_2": 5000.5}) == []


def test_a_heartbeat_that_has_to_wait_costs_no_attempt(
    worker: Worker,
    runtime: Runtime,
    wait_for: WaitFor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Another process holds the database longer than a write waits, and shorter than the lease."""
    update_id = order(runtime, "go on")
    wait_for(lambda: look(runtime, update_id).progress is not None)
    beat, late = leases.beat, [True]

    def busy(*args: object) -> bool:
        if late:
            late.pop()
            raise Busy("The database is held by another write; try again.")
        return beat(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(leases, "beat", busy)
    wait_for(lambda: "a heartbeat comes late" in caplog.text)
    before = look(runtime, update_id).lease_until
    assert before is not None
    wait_for(lambda: (look(runtime, update_id).lease_until or 0.0) > before)
    assert events(runtime, update_id) == ["queued", "claimed"]
    with runtime.database.writing() as session:
        updates.cancel(session, session.get_one(Update, update_id))
    wait_for(lambda: look(runtime, update_id).state == "cancelled")


def test_an_error_before_the_first_claim_does_not_end_the_worker(
    runtime: Runtime, tmp_path: Path, wait_for: WaitFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with runtime.database.writing() as session:
        model(session)
    unfinished, broken = erasure.unfinished, [True]

    def once(session: Session) -> list[int]:
        if broken:
            broken.pop()
            raise Busy("The database is held by another write; try again.")
        return unfinished(session)

    monkeypatch.setattr(erasure, "unfinished", once)
    worker = Worker(runtime)
    worker.start()
    update_id = answered(runtime, tmp_path)
    wait_for(lambda: look(runtime, update_id).state == "succeeded")
    worker.stop(5.0)


def test_what_learns_on_a_version_whose_retraction_failed_is_refused_with_the_remedy(
    worker: Worker, runtime: Runtime, tmp_path: Path, wait_for: WaitFor
) -> None:
    first = answered(runtime, tmp_path)
    wait_for(lambda: look(runtime, first).state == "succeeded")
    with runtime.database.writing() as session:
        retract(session, models.get(session, "digits"), look(runtime, first).batches).state = "failed"
    blocked = order(runtime, "go on", seed=2)
    wait_for(lambda: look(runtime, blocked).state == "failed")
    error = look(runtime, blocked).error
    assert "Retry the retraction" in error["detail"]


def test_a_worker_elsewhere_rescues_what_nobody_beats_for(
    worker: Worker, runtime: Runtime, tmp_path: Path, wait_for: WaitFor
) -> None:
    """Its owner died after the claim."""
    with runtime.database.writing() as session:
        batch = store_batch(runtime, session)
        digits = models.get(session, "digits")
        path = tmp_path / "result.json"
        path.write_text(result(runtime, [batch.id]).model_dump_json())
        method = {"name": "answer", "result": str(path)}
        order = Order(UpdateKind.LEARN, [batch.id], method)
        update = updates.enqueue(session, digits, order, by="somebody")
        assert leases.claim(session, "dead", 0.3) is update
    wait_for(lambda: look(runtime, update.id).state == "succeeded")
    assert events(runtime, update.id) == ["queued", "claimed", "rescued", "claimed", "succeeded"]
    assert look(runtime, update.id).attempts == 2


def test_what_another_worker_began_to_erase_is_finished_and_no_child_remembers_it(
    worker: Worker, runtime: Runtime, tmp_path: Path, wait_for: WaitFor
) -> None:
    """It died in between; and the child here may have met the rows."""
    first = answered(runtime, tmp_path)
    wait_for(lambda: look(runtime, first).state == "succeeded")
    process = worker._child._child
    with runtime.database.writing() as session:
        batch = store_batch(runtime, session, seed=1)
        batch.retracted_at, batch.erased_at, batch.doomed = 1.0, 1.0, []
    worker._look_again = 0.0
    runtime.work.set()
    wait_for(lambda: not alive(process.process.pid))

    def erased() -> bool:
        with runtime.database.reading() as session:
            return batches.is_erased(session.get_one(Batch, batch.id))

    wait_for(erased)


def test_an_erasure_that_cannot_be_finished_now_holds_nothing_up_and_is_tried_again(
    worker: Worker, runtime: Runtime, tmp_path: Path, wait_for: WaitFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, full = erasure.finish, threading.Event()
    full.set()

    def unable(*arguments: Runtime | int) -> None:
        if full.is_set():
            raise DiskFull("The database has no room left; nothing was stored.")
        finish(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(erasure, "finish", unable)
    monkeypatch.setattr(loop, "TRY_AGAIN_SECONDS", 0.01)
    wait_for(lambda: worker._at_rest is not None)  # it has begun, with a sweep that would take what is answered below
    with runtime.database.writing() as session:
        batch = store_batch(runtime, session, seed=1)
        batch.retracted_at, batch.erased_at, batch.doomed = 1.0, 1.0, []
    worker._look_again = 0.0
    update_id = answered(runtime, tmp_path, seed=2)
    wait_for(lambda: look(runtime, update_id).state == "succeeded")
    assert _unfinished(runtime) == [1]
    full.clear()
    wait_for(lambda: not _unfinished(runtime))


def _unfinished(runtime: Runtime) -> list[int]:
    with runtime.database.reading() as session:
        return erasure.unfinished(session)


def _looks(worker: Worker, runtime: Runtime, steps: int) -> list[int]:
    """Transactions that each of so many steps of a worker without a thread begins."""
    begun: list[None] = []
    runtime.database.before_each(lambda: begun.append(None))
    each = []
    for _ in range(steps):
        before = len(begun)
        assert not worker._step()
        each.append(len(begun) - before)
    return each


@pytest.mark.sqlite
def test_an_idle_worker_asks_the_database_nothing_until_somebody_commits(runtime: Runtime) -> None:
    worker = Worker(runtime)
    assert _looks(worker, runtime, 1)[0] > 0
    assert _looks(worker, runtime, 5) == [0] * 5
    with runtime.database.writing() as session:
        model(session)
    assert [count > 0 for count in _looks(worker, runtime, 3)] == [True, False, False]
    with closing(open_database(runtime.settings.database_url)) as elsewhere, elsewhere.writing() as session:
        model(session, "letters")  # as another process would
    assert [count > 0 for count in _looks(worker, runtime, 3)] == [True, False, False]


def test_what_is_committed_during_a_look_is_seen_by_the_next_one(
    runtime: Runtime, wait_for: WaitFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, any_open = Worker(runtime), leases.any_open

    def late(session: Session) -> bool:
        answer = any_open(session)
        monkeypatch.setattr(leases, "any_open", any_open)
        with closing(open_database(runtime.settings.database_url)) as elsewhere, elsewhere.writing() as other:
            model(other)
        return answer

    monkeypatch.setattr(leases, "any_open", late)
    assert _looks(worker, runtime, 1)[0] > 0
    wait_for(lambda: runtime.database.mark() != worker._at_rest)  # PostgreSQL tells of a commit a moment after it
    assert _looks(worker, runtime, 1)[0] > 0
    wait_for(lambda: _looks(worker, runtime, 1) == [0])


@pytest.mark.sqlite
@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_worker_goes_on_looking_while_time_alone_may_make_an_update_due(runtime: Runtime, state: str) -> None:
    runtime.settings = runtime.settings.model_copy(update={"lease_seconds": 3600.0})
    with runtime.database.writing() as session:
        update = learn(session, model(session))
        if state == "running":
            assert leases.claim(session, "elsewhere", 3600.0) is update
        else:
            update.run_after = now() + 200.0
    worker = Worker(runtime)
    assert all(_looks(worker, runtime, 3))
    with runtime.database.writing() as session:
        states.advance(session, session.get_one(Update, update.id), UpdateState.CANCELLED, "cancelled")
    assert [count > 0 for count in _looks(worker, runtime, 3)] == [True, False, False]
