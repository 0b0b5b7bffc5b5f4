"""One service with its own worker for the files that call a real one; they stand in TOGETHER of tests/conftest.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.client import Client
from tests.running import Server

KEY = "a-key-for-tests"


@pytest.fixture(scope="session")
def service_url(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[str]:
    with Server(tmp_path_factory.mktemp("service"), migrated=migrated, key=KEY) as server:
        yield server.url


@pytest.fixture
def client(service_url: str) -> Iterator[Client]:
    with Client(service_url, KEY) as made:
        yield made
