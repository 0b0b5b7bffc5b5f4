"""A runtime on a data folder of its own, without any server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.runtime import Runtime
from service.settings import Settings


@pytest.fixture
def runtime(fresh_database: Callable[[Path], str], tmp_path: Path) -> Iterator[Runtime]:
    """Unreferenced bytes may go once they are 100 s old."""
    data = tmp_path / "data"
    data.mkdir()
    runtime = Runtime(Settings(data=data, database_url=fresh_database(data), gc_grace_seconds=100.0))
    yield runtime
    runtime.close()
