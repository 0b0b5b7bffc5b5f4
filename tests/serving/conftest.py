"""A runtime of its own for every test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.runtime import Runtime
from service.serving.batcher import Batcher
from service.settings import Settings


@pytest.fixture
def runtime(migrated: Path, tmp_path: Path) -> Iterator[Runtime]:
    settings = Settings.from_environment({"TSUIKA_DATA": str(tmp_path)})
    shutil.copy(migrated, tmp_path / "tsuika.db")
    runtime = Runtime(settings)
    yield runtime
    runtime.close()


@pytest.fixture
def batcher() -> Iterator[Batcher]:
    made = Batcher(1.0)
    yield made
    made.close()
