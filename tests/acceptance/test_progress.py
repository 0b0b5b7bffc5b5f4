"""A child that stands still is ended at the deadline, however well its parent's heart beats."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from service.registry.sql.database import Database
from service.registry.sql.engines import open_database
from service.registry.sql.tables import Update
from tests.acceptance.environments import BOTH, Environment, opened
from tests.acceptance.service import ENDLESS, Caller, children_of, gone, history, kinds, until

pytestmark = pytest.mark.long
LEASE, DEADLINE = 3.0, 7.0


@pytest.fixture(params=BOTH)
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Environment]:
    settings = {"lease_seconds": LEASE, "progress_deadline_seconds": DEADLINE, "retry_delay_seconds": 60}
    environment = opened(request, tmp_path, **settings)
    yield environment
    environment.stop()


def lease_of(database: Database, update_id: str) -> float:
    """Until when the update is its worker's; 0 where it is nobody's."""
    with database.looking() as reader:
        return reader.scalar(select(Update.lease_until).where(Update.id == update_id)) or 0.0


def test_a_child_that_stands_still_is_ended_although_heartbeats_go_on(environment: Environment) -> None:
    server = environment.services[0]
    with closing(open_database(environment.database_url)) as database, Caller(server, "digits") as caller:
        caller.create()
        live = caller.learn(1)["version"]
        batch = caller.batch(2)
        update_id = caller.order([batch], method=ENDLESS)["id"]
        caller.training(update_id)
        owners = [worker.process.pid for worker in environment.workers if worker.owns(update_id)]
        stuck = children_of(owners[0] if environment.workers else server.pid)
        assert stuck
        leases = [lease_of(database, update_id)]
        for child in stuck:
            child.send_signal(signal.SIGSTOP)

        def beating() -> bool:
            if "retried" in kinds(server, update_id):
                return True
            leases.append(lease_of(database, update_id))
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
    environment.hold([batch])
