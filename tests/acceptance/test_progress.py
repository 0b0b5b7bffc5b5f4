"""A child that stands still is ended at the deadline, however well its parent's heart beats."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.acceptance import invariants
from tests.acceptance.service import QUICK, Caller, children_of, gone, history, kinds, slow, until
from tests.running import Server

LEASE, DEADLINE = 1.0, 3.0


def lease_of(server: Server, update_id: str) -> float:
    """Until when the update is its worker's; 0 where it is nobody's."""
    with closing(sqlite3.connect(server.data / "tsuika.db", timeout=10.0)) as database:
        [[until]] = database.execute("SELECT lease_until FROM updates WHERE id = ?", [update_id])
        return float(until or 0.0)


def test_a_child_that_stands_still_is_ended_although_heartbeats_go_on(tmp_path: Path, migrated: Path) -> None:
    settings = {**QUICK, "lease_seconds": LEASE, "progress_deadline_seconds": DEADLINE, "retry_delay_seconds": 60}
    with Server(tmp_path, migrated=migrated, **settings) as server, Caller(server, "digits") as caller:
        caller.create()
        live = caller.learn(1)["version"]
        batch = caller.batch(2)
        update_id = caller.order([batch], method=slow(1000))["id"]
        caller.training(update_id)
        stuck = children_of(server.pid)
        assert stuck
        leases = [lease_of(server, update_id)]
        for child in stuck:
            child.send_signal(signal.SIGSTOP)

        def beating() -> bool:
            if "retried" in kinds(server, update_id):
                return True
            leases.append(lease_of(server, update_id))
            return False

        until(beating, what="the deadline")
        retried = next(e for e in history(server, update_id) if e.kind == "retried")
        assert (retried.detail["title"], f"{DEADLINE:g} s" in retried.detail["detail"]) == (
            "Learning stood still",
            True,
        )
        assert max(leases) - leases[0] > LEASE, "the lease was not prolonged while the child stood still"
        assert "rescued" not in kinds(server, update_id)
        assert gone(stuck)
        assert caller.live() == live
        assert caller.ok("POST", f"/v1/updates/{update_id}/cancel", {})["state"] == "cancelled"
        invariants.hold(server.data, [batch])
