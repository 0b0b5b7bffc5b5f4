"""A worker whose updates learn on a Ray cluster of this machine, one cluster for all tests that do not end it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.runtime import Runtime
from service.settings import Settings
from service.worker.parent.loop import Worker
from tests.cluster import VARIABLES, Node, started
from tests.registry.facts import model


@pytest.fixture(scope="session")
def head() -> Iterator[Node]:
    """The head of a cluster with two CPUs."""
    with started() as node:
        yield node


@pytest.fixture
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def runtime_of(
    fresh_database: Callable[[Path], str], tmp_path: Path, _variables: None
) -> Iterator[Callable[[str | None], Runtime]]:
    """Makes runtimes with a data folder each, whose updates learn on the cluster at an address."""
    opened: list[Runtime] = []

    def make(address: str | None) -> Runtime:
        data = tmp_path / f"data-{len(opened)}"
        data.mkdir()
        quick: dict[str, Any] = {
            "lease_seconds": 120.0,  # no worker is lost here, and one that gets no turn for a while keeps its update
            "beat_seconds": 0.2,
            "poll_seconds": 0.05,
            "retry_delay_seconds": 0.2,
        }
        quick |= {"child_priority": "normal"}  # what is idle gets nothing of a machine that others keep busy
        runtime = Runtime(Settings(data=data, database_url=fresh_database(data), ray=address, **quick))
        opened.append(runtime)
        with runtime.database.writing() as session:
            model(session)
        return runtime

    yield make
    for runtime in opened:
        runtime.close()


@pytest.fixture
def worker_of() -> Iterator[Callable[[Runtime], Worker]]:
    """Starts workers, and stops them at the end."""
    workers: list[Worker] = []

    def start(runtime: Runtime) -> Worker:
        workers.append(Worker(runtime))
        workers[-1].start()
        return workers[-1]

    yield start
    for worker in workers:
        worker.stop(10.0)
