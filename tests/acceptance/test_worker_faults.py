"""Workers of their own beside a service: paused past the lease, killed in an epoch, told to cancel."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest
from sqlalchemy import select

from service.registry.sql.engines import open_database
from service.registry.sql.tables import Update
from tests.acceptance.environments import BOTH, Environment, opened
from tests.acceptance.service import ENDLESS, SECONDS, TRAINING, Caller, WorkProcess, gone, history, kinds, until
from tests.running import Server

pytestmark = pytest.mark.long
LEASE = 2.0


@pytest.fixture(scope="module", params=BOTH)
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """A service without a worker of its own, or two of them, and two workers beside them."""
    environment = opened(request, tmp_path_factory.mktemp("faults"), workers=2)
    yield environment
    environment.stop()


@pytest.fixture
def server(environment: Environment) -> Server:
    return environment.services[0]


@pytest.fixture
def workers(environment: Environment) -> list[WorkProcess]:
    """Those at work."""
    return environment.workers


@pytest.fixture
def caller(server: Server) -> Iterator[Caller]:
    with Caller(server, "digits") as caller:
        yield caller


def owner(workers: list[WorkProcess], update_id: str) -> WorkProcess:
    claimers: list[WorkProcess] = until(lambda: [w for w in workers if w.owns(update_id)], what="a claim")
    return claimers[0]


def test_a_worker_that_is_paused_past_its_lease_publishes_nothing(
    environment: Environment, server: Server, workers: list[WorkProcess], caller: Caller
) -> None:
    caller.create(architecture={"backbone": {"name": "mlp", "hidden": [16]}})
    batch = caller.batch(1)
    update_id = caller.order([batch], method=TRAINING)["id"]
    paused = owner(workers, update_id)
    caller.training(update_id)
    paused.signal(signal.SIGSTOP)
    until(lambda: kinds(server, update_id).count("claimed") == 2, what="the rescue")
    done = caller.end(update_id)
    assert (done["state"], done["attempts"], done["version"]) == ("succeeded", 2, 1)
    assert owner(workers, update_id) is not paused
    paused.signal(signal.SIGCONT)
    until(lambda: f"the lease of update {update_id} was lost" in paused.said(), what="the notice")
    assert caller.versions() == [1]
    assert kinds(server, update_id) == ["queued", "claimed", "rescued", "claimed", "succeeded"]
    environment.hold([batch])


def test_what_a_killed_worker_was_learning_is_finished_by_another_within_the_lease(
    environment: Environment, server: Server, workers: list[WorkProcess], caller: Caller
) -> None:
    before = caller.versions()
    batch = caller.batch(2)
    update_id = caller.order([batch], method=TRAINING)["id"]
    victim = owner(workers, update_id)
    caller.training(update_id)
    children = victim.children()
    assert children
    killed = time.time()
    victim.end()
    workers.remove(victim)
    assert gone(children), "an orphan trains on"
    done = caller.end(update_id)
    assert (done["state"], done["attempts"]) == ("succeeded", 2)
    claims = [e.at for e in history(server, update_id) if e.kind == "claimed"]
    assert claims[-1] - killed < LEASE + 20.0
    assert caller.versions() == [*before, len(before) + 1]
    environment.hold([batch])


def test_a_running_update_is_cancelled_in_the_middle_and_its_child_is_gone(
    environment: Environment, server: Server, workers: list[WorkProcess], caller: Caller
) -> None:
    live, versions = caller.live(), caller.versions()
    batch = caller.batch(3)
    update_id = caller.order([batch], method=ENDLESS)["id"]
    worker = owner(workers, update_id)
    caller.training(update_id)
    children = worker.children()
    assert caller.http.post(f"/v1/updates/{update_id}/cancel", json={}).status_code == 202
    done = caller.end(update_id)
    assert (done["state"], done["progress"]) == ("cancelled", None)
    assert gone(children)
    assert (caller.live(), caller.versions()) == (live, versions)
    assert caller.state(batch) == "pending"
    assert caller.http.post(f"/v1/updates/{update_id}/cancel", json={}).status_code == 409
    environment.hold([batch])


def test_a_training_of_a_killed_worker_goes_on_with_the_same_bits(
    environment: Environment, server: Server, workers: list[WorkProcess]
) -> None:
    """Beside it a model that learns the same rows in one go. One worker alone saves often, so it learns both while the
    other, idle, is paused; that one goes on with what the first leaves."""
    while len(workers) > 1:
        workers.pop().end()
    [other] = workers
    other.signal(signal.SIGSTOP)
    environment.start_worker(save_seconds=0.3)
    made = []
    for name in ("straight", "killed"):
        with Caller(server, name) as one:
            one.create(architecture={"backbone": {"name": "mlp", "hidden": [16]}})
            update_id = one.order([one.batch(7)], method=TRAINING)["id"]
            if name == "killed":
                one.training(update_id)
                until(partial(saved, server, update_id), what="a save")
                victim = owner(workers, update_id)
                victim.end()
                workers.remove(victim)
                other.signal(signal.SIGCONT)
            done = one.end(update_id, 2 * SECONDS)
            assert (done["state"], done["attempts"]) == ("succeeded", 1 if name == "straight" else 2)
            made.append(one.ok("GET", f"{one.path}/versions/1")["shards"])
            assert saved(server, update_id) is None
    assert f"update {update_id} goes on from a save" in owner(workers, update_id).said()
    assert [(s["part"], s["digest"]) for s in made[0]] == [(s["part"], s["digest"]) for s in made[1]]


def test_a_worker_that_is_told_to_stop_hands_back_what_it_learns(
    environment: Environment, server: Server, workers: list[WorkProcess], caller: Caller
) -> None:
    update_id = caller.order([caller.batch(4)], method=ENDLESS)["id"]
    worker = owner(workers, update_id)
    children = worker.children()
    worker.signal(signal.SIGTERM)
    assert worker.process.wait(60.0) == 0
    assert gone(children)
    update = caller.update(update_id)
    assert (update["state"], update["attempts"]) == ("queued", 0)
    assert kinds(server, update_id)[-1] == "handed back"
    assert caller.http.post(f"/v1/updates/{update_id}/cancel", json={}).status_code == 200
    environment.hold()


def saved(server: Server, update_id: str) -> str | None:
    """The last save of the trainings of an update, as the database has it."""
    with closing(open_database(server.database_url)) as database, database.looking() as reader:
        return reader.scalar(select(Update.trainings).where(Update.id == update_id))
