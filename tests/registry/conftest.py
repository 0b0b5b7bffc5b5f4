"""A migrated database for every test: migrated once, copied."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.registry.database import Database, migrate


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the tables of the first day and nothing in them."""
    path = tmp_path_factory.mktemp("migrated") / "tsuika.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def database(migrated: Path, tmp_path: Path) -> Iterator[Database]:
    """A fresh database."""
    copy = tmp_path / "tsuika.db"
    shutil.copy(migrated, copy)
    database = Database(f"sqlite:///{copy}")
    yield database
    database.close()
