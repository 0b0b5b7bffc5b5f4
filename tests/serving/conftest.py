"""A runtime of its own for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.registry.sql.database import migrate
from service.runtime import Runtime
from service.settings import Settings


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    settings = Settings.from_environment({"TSUIKA_DATA": str(tmp_path)})
    migrate(settings.database_url)
    runtime = Runtime(settings)
    yield runtime
    runtime.close()
