"""Services and workers that share PostgreSQL and a bucket, killed at each named point: nothing is lost or doubled. Amid
garbage collection in both environments; one service alone at the other points: test_power.py."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from service.storage.artifacts import SHARDS
from service.storage.opening import open_store
from tests.acceptance.environments import Environment, opened
from tests.acceptance.service import Caller, blobs, gone, history, until
from tests.running import ROOT, environment

SCALED = pytest.param("scaled", marks=[pytest.mark.postgres, pytest.mark.s3])
EMBEDDED = pytest.param("embedded", marks=[pytest.mark.sqlite, pytest.mark.long])
POINTS = ["after_claim", "after_blob_temp", "after_blob_rename", "before_commit", "after_commit"]
KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def replicas(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """Two services, whose workers come and go; or one alone."""
    folder, settings = tmp_path_factory.mktemp("points"), {"lease_seconds": 1.0, "max_attempts": 20}
    replicas = opened(request, folder, scaled_workers=0, **settings)
    yield replicas
    replicas.stop()


@pytest.mark.parametrize("replicas", [SCALED], indirect=True)
def test_after_a_kill_at_any_point_others_finish_once(replicas: Environment) -> None:
    here, there = replicas.services
    with Caller(here, "digits") as caller:
        caller.create()
    here.kill()
    here.restart(crash_point="before_answer")
    inputs, labels = blobs(1)
    call = {
        "json": {"inputs": inputs, "labels": labels, "new_classes": "allow"},
        "headers": {"Idempotency-Key": "once"},
    }
    with Caller(here, "digits") as caller, pytest.raises(httpx.TransportError):
        caller.http.post(f"{caller.path}/updates", **call)
    assert here.process.wait(60) == KILLED
    for point in POINTS:
        worker = replicas.start_worker(crash_point=point)
        until(lambda worker=worker: " begins" in worker.said(), what="its start")
        children = worker.children()
        assert worker.process.wait(60) == KILLED, worker.said()
        assert gone(children), "an orphan trains on"
        replicas.hold()
    replicas.start_worker()
    with Caller(there, "digits") as caller:
        again = caller.http.post(f"{caller.path}/updates", **call)
        assert (again.status_code, again.headers["Idempotency-Replayed"]) == (202, "true")
        done = caller.end(again.json()["id"])
        assert (done["state"], done["verdict"], done["attempts"]) == ("succeeded", "promoted", len(POINTS))
        assert [event.kind for event in history(there, done["id"])].count("claimed") == len(POINTS)
        assert (caller.live(), caller.versions()) == (1, [1])
        assert len(caller.ok("GET", f"{caller.path}/batches")["items"]) == 1
        replicas.hold(done["batches"])
    del here.settings["crash_point"]
    here.restart()


@pytest.mark.parametrize("replicas", [SCALED, EMBEDDED], indirect=True)
def test_a_kill_amid_garbage_collection_leaves_what_is_needed_and_the_next_one_ends_it(replicas: Environment) -> None:
    store = open_store(replicas.store_url)
    garbage = {store.put(SHARDS, f"nobody names it {k}".encode()) for k in range(3)}

    def collect(**settings: object) -> int:
        variables = environment(**{**replicas.services[-1].settings, "gc_grace_seconds": 0, **settings})
        command = [sys.executable, "-m", "service.cli", "gc"]
        return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, timeout=60).returncode

    def left() -> set[str]:
        return garbage & {digest for _, digest, _ in store.names(SHARDS)}

    assert collect(crash_point="during_gc") == KILLED
    assert 0 < len(left()) < len(garbage)
    replicas.hold()
    assert collect() == 0
    assert left() == set()
    replicas.hold()
