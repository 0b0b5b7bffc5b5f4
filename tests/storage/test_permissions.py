"""What an earlier release left open to others is closed when it is opened; nothing else in the folder is touched."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from service.settings import Settings
from service.storage.permissions import tighten


def modes(root: Path) -> dict[str, str]:
    """Of everything in a folder, and of itself."""
    return {str(path.relative_to(root)): oct(path.stat().st_mode & 0o777) for path in (root, *root.rglob("*"))}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data")


def test_an_old_folder_is_closed_and_what_is_not_ours_is_left(settings: Settings) -> None:
    folder = settings.data
    inner = folder / "store" / "model-1" / "ab"
    inner.mkdir(parents=True)
    (inner / "cd").write_bytes(b"rows")
    (folder / "cache").mkdir()
    (folder / "cache" / "sums").write_bytes(b"sums")
    for name in ("serve.lock", "tsuika.db", "tsuika.db-wal", "mine.sh"):
        (folder / name).touch()
    (folder / "store" / "elsewhere").symlink_to(folder / "mine.sh")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    tighten(settings)
    after = modes(folder)
    assert (after.pop("mine.sh"), after.pop("store/elsewhere")) == ("0o755", "0o755")
    assert {name: mode for name, mode in after.items() if (folder / name).is_dir() and mode != "0o700"} == {}
    assert {name: mode for name, mode in after.items() if (folder / name).is_file() and mode != "0o600"} == {}


def test_a_folder_that_is_half_closed_is_closed_to_its_end(settings: Settings) -> None:
    tighten(settings)
    (settings.data / "store" / "model-1").mkdir(parents=True)
    (settings.data / "store").chmod(0o755)
    (settings.data / "store" / "model-1").chmod(0o700)
    (settings.data / "store" / "model-1" / "rows").touch(0o644)
    tighten(settings)
    assert set(modes(settings.data / "store").values()) == {"0o700", "0o600"}


def test_sqlite_gives_its_other_files_the_mode_of_the_database(settings: Settings) -> None:
    tighten(settings)
    with closing(sqlite3.connect(settings.database_file)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE t (x)")
        after = modes(settings.data)
    assert after.pop(".") == "0o700"
    assert after == dict.fromkeys(("tsuika.db", "tsuika.db-wal", "tsuika.db-shm"), "0o600")


def test_a_database_elsewhere_is_closed_and_its_folder_left(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o755)
    settings = Settings(data=tmp_path / "data", database_url=f"sqlite:///{tmp_path}/shared/facts.db")
    tighten(settings)
    tighten(settings)
    assert modes(tmp_path / "shared") == {".": "0o755", "facts.db": "0o600"}
