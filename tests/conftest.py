"""One thread a test process, since two share two cores and threads may change bits; and a fresh database."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import guard

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"


guard.start()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the tables of the first day and nothing in them: migrated once, copied for every test."""
    from service.registry.database import migrate  # after the threads are capped

    path = tmp_path_factory.mktemp("migrated") / "tsuika.db"
    migrate(f"sqlite:///{path}")
    return path
