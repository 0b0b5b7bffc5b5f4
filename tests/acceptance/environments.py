"""The two environments in which the same must hold: all on one machine, and several machines that share a database and
a store."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from service.registry.sql.engines import migrate
from service.runtime import Runtime
from service.settings import Settings
from tests.acceptance import invariants
from tests.acceptance.service import QUICK, WorkProcess, held
from tests.postgres import PostgresServer
from tests.running import Server
from tests.s3 import S3Server

BOTH = [
    pytest.param("embedded", marks=pytest.mark.sqlite),
    pytest.param("scaled", marks=[pytest.mark.postgres, pytest.mark.s3]),
]
"""Parameters of a fixture that gives what `opened` opens."""


def empty_place(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Where a service of the environment that the parameter of a fixture names keeps everything: settings of a place
    with the tables of the first day and nothing in them."""
    if request.param == "embedded":
        return {"migrated": request.getfixturevalue("migrated")}
    postgres: PostgresServer = request.getfixturevalue("postgres")
    database_url = postgres.empty()
    migrate(database_url)
    return {"database_url": database_url, "store_url": request.getfixturevalue("s3").bucket()}


class Environment:
    """Services, and workers beside them, on one registry and one store."""

    def __init__(self, name: str, services: list[Server], store_url: str) -> None:
        self.name, self.services, self.store_url = name, services, store_url
        self.workers: list[WorkProcess] = []
        self.database_url = services[0].database_url
        self._started = 0

    def start_worker(self, **settings: Any) -> WorkProcess:
        """A worker more. Where bytes lie in a bucket it has a data folder of its own, as on a machine of its own."""
        service = self.services[self._started % len(self.services)]
        own = {"data": service.folder / f"work-{self._started}"} if self.store_url.startswith("s3:") else {}
        worker = WorkProcess(service, f"work-{self._started}", **own, **settings)
        self._started += 1
        self.workers.append(worker)
        return worker

    def runtime(self) -> Runtime:
        """Opens the same registry and store in this process."""
        data = self.services[0].data
        return Runtime(Settings(data=data, database_url=self.database_url, store_url=self.store_url))

    def hold(self, acknowledged: Iterable[str] = ()) -> None:
        """Asserts the invariants."""
        invariants.hold_in(self.database_url, self.store_url, acknowledged)

    def held(self) -> AbstractContextManager[None]:
        """See `held` of its workers."""
        return held([worker.process.pid for worker in self.workers] or [service.pid for service in self.services])

    def stop(self) -> None:
        """Ends all of it."""
        for worker in self.workers:
            worker.end()
        for service in self.services:
            if service.process.poll() is None:
                service.stop()


def embedded(folder: Path, workers: int = 0, **settings: Any) -> Environment:
    """One service on SQLite and a folder, which learns itself, unless there are `workers` beside it."""
    service = Server(folder, **{**QUICK, "worker": not workers, **settings})
    environment = Environment("embedded", [service], (service.data / "store").as_uri())
    for _ in range(workers):
        environment.start_worker()
    return environment


def scaled(folder: Path, postgres: PostgresServer, s3: S3Server, workers: int = 2, **settings: Any) -> Environment:
    """Two services and workers that share nothing but PostgreSQL and a bucket."""
    url = s3.bucket()
    shared = {**QUICK, "worker": False, "database_url": postgres.fresh(), "store_url": url, **settings}
    environment = Environment("scaled", [Server(folder / name, **shared) for name in ("here", "there")], url)
    for _ in range(workers):
        environment.start_worker()
    return environment


def opened(
    request: pytest.FixtureRequest, folder: Path, workers: int = 0, scaled_workers: int = 2, **settings: Any
) -> Environment:
    """The environment that the parameter of a fixture names, with so many workers; scaled it has `scaled_workers`."""
    if request.param == "embedded":
        return embedded(folder, workers, migrated=request.getfixturevalue("migrated"), **settings)
    servers = request.getfixturevalue("postgres"), request.getfixturevalue("s3")
    return scaled(folder, *servers, workers=scaled_workers, **settings)
