"""A runtime on a data folder of its own, without any server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.runtime import Runtime
from service.settings import Settings


@pytest.fixture
def runtime(migrated: Path, tmp_path: Path) -> Iterator[Runtime]:
    """Unreferenced bytes may go once they are 100 s old."""
    settings = Settings(data=tmp_path / "data", gc_grace_seconds=100.0)
    settings.data.mkdir()
    shutil.copy(migrated, settings.data / "tsuika.db")
    runtime = Runtime(settings)
    yield runtime
    runtime.close()
