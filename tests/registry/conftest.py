"""A migrated database for every test: migrated once, copied."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.registry.sql.database import Database


@pytest.fixture
def database(migrated: Path, tmp_path: Path) -> Iterator[Database]:
    """A fresh database."""
    copy = tmp_path / "tsuika.db"
    shutil.copy(migrated, copy)
    database = Database(f"sqlite:///{copy}")
    yield database
    database.close()
