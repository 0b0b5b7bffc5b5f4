"""Models of one test in the service that the tests share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.service import Caller
from tests.running import Server

NewModel = Callable[..., Caller]


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
