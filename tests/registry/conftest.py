"""A fresh database for every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.registry.sql.database import Database
from service.registry.sql.engines import open_database


@pytest.fixture
def database(fresh_database: Callable[[Path], str], tmp_path: Path) -> Iterator[Database]:
    """A fresh database."""
    database = open_database(fresh_database(tmp_path))
    yield database
    database.close()
