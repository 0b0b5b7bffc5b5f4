"""One service with its own worker for all tests that do not end it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.service import QUICK, Caller
from tests.running import Server

NewModel = Callable[..., Caller]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Server]:
    """Short delays, so that retries are seen. Files that use it stand in TOGETHER of tests/conftest.py."""
    with Server(tmp_path_factory.mktemp("shared"), migrated=migrated, **QUICK) as server:
        yield server


@pytest.fixture
def new_model(shared: Server, request: pytest.FixtureRequest) -> Iterator[NewModel]:
    """Makes models of this test alone."""
    made: list[Caller] = []
    stem = re.sub(r"[^a-z0-9]+", "-", request.node.name)[-80:].strip("-")

    def make(**fields: object) -> Caller:
        made.append(Caller(shared, f"{stem}.{len(made)}"))
        return made[-1].create(**fields)

    yield make
    for caller in made:
        caller.http.close()
