"""A runtime on a data folder of its own, without any server, with its store there or in S3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.runtime import Runtime
from service.settings import Settings


def stored(runtime: Runtime) -> set[tuple[str, str]]:
    """Area and digest of all that is in the store."""
    return {(area, digest) for area, digest, _ in runtime.store.names()}


@pytest.fixture
def runtime(fresh_database: Callable[[Path], str], tmp_path: Path) -> Iterator[Runtime]:
    """Unreferenced bytes may go once they are 100 s old."""
    data = tmp_path / "data"
    data.mkdir()
    runtime = Runtime(Settings(data=data, database_url=fresh_database(data), gc_grace_seconds=100.0))
    yield runtime
    runtime.close()


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.s3)])
def either(request: pytest.FixtureRequest, fresh_database: Callable[[Path], str], tmp_path: Path) -> Iterator[Runtime]:
    """As `runtime`, its store in a folder and in S3."""
    data = tmp_path / "data"
    data.mkdir()
    place = {} if request.param == "folder" else {"store_url": request.getfixturevalue("s3").bucket()}
    settings = {"data": data, "database_url": fresh_database(data), "gc_grace_seconds": 100.0, **place}
    runtime = Runtime(Settings.model_validate(settings))
    yield runtime
    runtime.close()
