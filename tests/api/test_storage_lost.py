"""A data folder that is moved, deleted, replaced or made read-only while the service runs.

Nothing is accepted that would be lost, loaded versions answer on, and all goes on once the folder is back.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from service.errors import NotWritable
from service.registry.sql.engines import migrate, open_database
from service.registry.sql.schema import revisions
from tests.api.conftest import Api, MakeApi
from tests.making import make_model, make_version

ROWS = {"inputs": [[1, 2, 3]], "labels": ["a"]}
NOBODY = 65534


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A folder that another user than root can reach."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture
def api(make_api: MakeApi, migrated: Path, data: Path) -> Api:
    """An application with a model that answers, and a data folder of the test's own."""
    data.mkdir()
    shutil.copy(migrated, data / "tsuika.db")
    api = make_api(data=data)
    make_model(api.runtime)
    make_version(api.runtime)
    api.ok("POST", "/v1/models/digits/batches", ROWS)
    assert api.ok("GET", "/readyz") == {"status": "ready"}
    return api


def everything(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


def refuses(api: Api, slug: str = "not-writable") -> str:
    """The reason why nothing is accepted; predictions go on."""
    large = {"inputs": [[1.125, 2.25, 3.5]] * 40_000, "labels": ["a"] * 40_000}
    small = {**ROWS, "inputs": [[4, 5, 6]]}
    for path, body in [("batches", small), ("batches", large), ("updates", {"batches": "pending"})]:
        refused = api("POST", f"/v1/models/digits/{path}", body)
        assert refused.status_code == 503, refused.text
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["type"] == f"/problems/{slug}"
    readiness = api("GET", "/readyz")
    assert (readiness.status_code, readiness.json()["status"]) == (200, "degraded")
    assert api.ok("POST", "/v1/models/digits/predictions", {"inputs": ROWS["inputs"]})["version"] == 1
    reason: str = readiness.json()["storage"]
    return reason


def moved(data: Path) -> None:
    data.rename(data.with_name("elsewhere"))


def moved_back(data: Path) -> None:
    data.with_name("elsewhere").rename(data)


def replaced(data: Path) -> None:
    moved(data)
    shutil.copytree(data.with_name("elsewhere"), data)


def put_back(data: Path) -> None:
    shutil.rmtree(data)
    moved_back(data)


@pytest.mark.parametrize(
    ("lost", "back", "reason"), [(moved, moved_back, "moved"), (replaced, put_back, "Another file")]
)
def test_nothing_is_taken_while_the_folder_is_not_where_it_was(
    api: Api, data: Path, lost: Callable[[Path], None], back: Callable[[Path], None], reason: str
) -> None:
    api.ok("POST", "/v1/models/digits/predictions", {"inputs": ROWS["inputs"]})
    lost(data)
    here = everything(data)
    assert reason in refuses(api)
    if lost is moved:
        assert everything(data) == here == set(), "no folder is made in its place"
    back(data)
    assert api.ok("GET", "/readyz") == {"status": "ready"}
    assert api("POST", "/v1/models/digits/batches", {**ROWS, "inputs": [[4, 5, 6]]}).status_code == 201


def test_tables_that_another_version_has_upgraded_are_not_written(api: Api, data: Path) -> None:
    api.ok("POST", "/v1/models/digits/predictions", {"inputs": ROWS["inputs"]})

    def say(revision: str) -> None:
        with closing(sqlite3.connect(data / "tsuika.db")) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))

    say("9999")
    assert "revision 9999" in refuses(api, "schema-mismatch")
    with closing(sqlite3.connect(data / "tsuika.db")) as connection:
        assert connection.execute("SELECT count(*) FROM batches").fetchone() == (1,)
    say(revisions()[-1])
    assert api.ok("GET", "/readyz") == {"status": "ready"}
    assert api("POST", "/v1/models/digits/batches", {**ROWS, "inputs": [[4, 5, 6]]}).status_code == 201


def test_a_folder_that_is_deleted_is_told_of_and_never_made_anew(api: Api, data: Path) -> None:
    api.ok("POST", "/v1/models/digits/predictions", {"inputs": ROWS["inputs"]})
    shutil.rmtree(data)
    assert "deleted" in refuses(api)
    assert not data.exists()


@contextmanager
def as_nobody(data: Path) -> Iterator[None]:
    """Runs the block as another user, for root may write whatever the mode is."""
    root = os.geteuid() == 0
    if root:
        for path in (data, *data.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_folder_that_is_made_read_only_is_told_of_until_it_is_writable_again(api: Api, data: Path) -> None:
    api.ok("POST", "/v1/models/digits/predictions", {"inputs": ROWS["inputs"]})
    with as_nobody(data):
        kept = {path: path.stat().st_mode for path in sorted((data, *data.rglob("*")), reverse=True)}
        for path, mode in kept.items():
            path.chmod(mode & ~0o222)
        try:
            assert "read-only" in refuses(api)
        finally:
            for path, mode in reversed(kept.items()):
                path.chmod(mode)
        assert api.ok("GET", "/readyz") == {"status": "ready"}
        assert api("POST", "/v1/models/digits/batches", {**ROWS, "inputs": [[4, 5, 6]]}).status_code == 201


def test_a_store_that_is_gone_alone_is_told_of(api: Api, data: Path) -> None:
    api.ok("POST", "/v1/models/digits/predictions", {"inputs": ROWS["inputs"]})
    (data / "store").rename(data / "other")
    refused = api("POST", "/v1/models/digits/batches", {**ROWS, "inputs": [[4, 5, 6]]})
    assert refused.status_code == 503
    assert "The store was moved" in refused.json()["detail"]
    assert "The store was moved" in api.ok("GET", "/readyz")["storage"]
    assert not (data / "store").exists()


def test_a_database_that_is_read_only_is_refused_at_the_start(migrated: Path, data: Path) -> None:
    data.mkdir()
    file = data / "tsuika.db"
    shutil.copy(migrated, file)
    with as_nobody(data):
        file.chmod(0o400)
        with closing(open_database(f"sqlite:///{file}")) as database, pytest.raises(NotWritable, match="read-only"):
            database.require_writable()
        file.chmod(0o600)
        migrate(f"sqlite:///{file}")


def test_what_sqlite_alone_knows_to_be_read_only_is_refused_as_such(api: Api) -> None:
    with api.runtime.database.writers.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only=1")
    with pytest.raises(NotWritable, match="readonly"):
        api.runtime.database.require_writable()
    refused = api("POST", "/v1/models/digits/updates", {"batches": "pending"})
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/not-writable")
