"""A runtime with short leases, and results whose bytes are in its store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.runtime import Runtime
from service.settings import Settings


@pytest.fixture
def runtime(fresh_database: Callable[[Path], str], tmp_path: Path) -> Iterator[Runtime]:
    """Leases of a second, retries after a twentieth of one."""
    data = tmp_path / "data"
    data.mkdir()
    runtime = Runtime(
        Settings(
            data=data,
            database_url=fresh_database(data),
            lease_seconds=1.0,
            beat_seconds=0.1,
            poll_seconds=0.02,
            retry_delay_seconds=0.05,
            progress_deadline_seconds=5.0,
        )
    )
    yield runtime
    runtime.close()


@pytest.fixture
def wait_for() -> Callable[[Callable[[], bool]], None]:
    """Waits until a condition holds; a minute, on a machine that has other things to do."""

    def wait(condition: Callable[[], bool]) -> None:
        until = time.monotonic() + 60.0
        while not condition():
            assert time.monotonic() < until, "it did not happen within a minute"
            time.sleep(0.01)

    return wait
