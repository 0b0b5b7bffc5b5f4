"""What tests share: the service, several in the other environment, and models of one test alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.environments import BOTH, Environment, scaled
from tests.acceptance.service import Caller
from tests.postgres import PostgresServer
from tests.running import Server
from tests.s3 import S3Server

NewModel = Callable[..., Caller]


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, s3: S3Server) -> Iterator[Environment]:
    """Two services and two workers for tests of a file that do not end them. They end with it: their workers would take
    updates of another file's services, whose store they do not see."""
    environment = scaled(tmp_path_factory.mktemp("several"), postgres, s3, lease_seconds=30.0)  # no stall ends a lease
    yield environment
    environment.stop()


@pytest.fixture(scope="module", params=BOTH)
def environment(request: pytest.FixtureRequest) -> Environment:
    """The service that tests share, or several of them."""
    if request.param == "embedded":
        shared: Server = request.getfixturevalue("shared")
        return Environment("embedded", [shared], (shared.data / "store").as_uri())
    several: Environment = request.getfixturevalue("several")
    return several


@pytest.fixture
def service(shared: Server) -> Server:
    """Where they are made."""
    return shared


@pytest.fixture
def new_model(service: Server, request: pytest.FixtureRequest) -> Iterator[NewModel]:
    """Makes models of this test alone."""
    made: list[Caller] = []
    stem = re.sub(r"[^a-z0-9]+", "-", request.node.name)[-80:].strip("-")

    def make(**fields: object) -> Caller:
        made.append(Caller(service, f"{stem}.{len(made)}"))
        return made[-1].create(**fields)

    yield make
    for caller in made:
        caller.http.close()
