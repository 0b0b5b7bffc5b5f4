"""The power is cut at each named point, one after another, in the life of the same few updates."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from tests.acceptance import invariants
from tests.acceptance.service import QUICK, Caller, blobs, children_of, gone, kinds, until
from tests.server import Server

POINTS = ["after_claim", "after_blob_temp", "after_blob_rename", "before_commit", "after_commit"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, max_attempts=20, **{**QUICK, "lease_seconds": 0.6})
    yield server
    server.kill()


def until_it_dies(server: Server) -> None:
    """The process kills itself at its point; nothing of it lives on."""
    seen: dict[int, psutil.Process] = {}

    def dead() -> bool:
        try:
            seen.update({p.pid: p for p in children_of(server.pid)})
        except psutil.NoSuchProcess:
            return True
        return server.process.poll() is not None

    until(dead, what=f"a crash at {server.settings['crash_point']}")
    assert server.process.wait() == -9, server.said()
    assert gone(seen.values()), "an orphan trains on"


def test_after_a_cut_at_any_point_nothing_is_lost_doubled_or_stuck(server: Server) -> None:
    with Caller(server, "digits") as caller:
        first = caller.create().learn(1)
        known = [*first["batches"], caller.batch(2)]
        update_id = caller.order(known[1:])["id"]
    server.kill()  # a moment after the answer
    invariants.hold(server.data, known)
    for point in POINTS:
        server.restart(wait=False, crash_point=point)
        until_it_dies(server)
        invariants.hold(server.data, known)

    server.restart(crash_point="before_answer")
    with Caller(server, "digits") as caller:
        done = caller.end(update_id)
        assert (done["state"], done["verdict"], done["version"]) == ("succeeded", "promoted", 2)
        assert kinds(server, update_id)[-1] == "succeeded"
        assert (caller.live(), caller.versions()) == (2, [1, 2])
        assert {caller.state(b) for b in known} == {"learned"}
        inputs, labels = blobs(3)
        post = partial(
            caller.http.post,
            f"{caller.path}/updates",
            json={"inputs": inputs, "labels": labels},
            headers={"Idempotency-Key": "once"},
        )
        with pytest.raises(httpx.TransportError):
            post()
        until_it_dies(server)
        invariants.hold(server.data, known)

        del server.settings["crash_point"]
        server.restart()
        again = post()
        assert (again.status_code, again.headers["Idempotency-Replayed"]) == (202, "true")
        done = caller.end(again.json()["id"])
        assert (done["state"], done["version"]) == ("succeeded", 3)
        assert len(caller.ok("GET", f"{caller.path}/updates")["items"]) == 3
        assert len(caller.ok("GET", f"{caller.path}/batches")["items"]) == 3
        invariants.hold(server.data, [*known, *done["batches"]])
