"""The store as a folder: durable, idempotent, verified, and nothing but our own names."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from pathlib import Path

import pytest

from service.errors import DiskFull, NotWritable
from service.storage import local
from service.storage.artifacts import SHARDS
from service.storage.local import LocalArtifacts

DATA = b"weights" * 100
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> LocalArtifacts:
    return LocalArtifacts(tmp_path / "store")


def file_of(store: LocalArtifacts, digest: str = DIGEST, area: str = SHARDS) -> Path:
    [path] = store._root.glob(f"{area}/{digest[:2]}/{digest[2:]}")
    return path


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_second_put_writes_nothing_and_touches(store: LocalArtifacts) -> None:
    store.put(SHARDS, DATA)
    path = file_of(store)
    os.utime(path, (1.0, 1.0))
    inode = path.stat().st_ino
    assert store.put(SHARDS, DATA) == DIGEST
    assert path.stat().st_ino == inode
    assert path.stat().st_mtime > time.time() - 60
    assert store.put(SHARDS, DATA, anew=True) == DIGEST
    assert path.stat().st_ino != inode
    assert path.read_bytes() == DATA


def test_a_put_while_the_bytes_are_deleted_stores_them(store: LocalArtifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the touch, garbage collection takes them away."""
    store.put(SHARDS, DATA)
    touch = os.utime

    def late(path: Path) -> None:
        store.delete(SHARDS, DIGEST)
        touch(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "utime", late)
        store.put(SHARDS, DATA)
    assert store.get(SHARDS, DIGEST) == DATA


def test_bytes_are_synced_before_their_name_and_the_folder_after_it(
    store: LocalArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, Path.replace

    def noted_sync(descriptor: int) -> None:
        is_folder = os.readlink(f"/proc/self/fd/{descriptor}").endswith(f"/{DIGEST[:2]}")
        done.append("folder" if is_folder else "file")
        sync(descriptor)

    def noted_replace(path: Path, target: Path) -> Path:
        done.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    store.put(SHARDS, DATA)
    assert [step for k, step in enumerate(done) if step not in done[:k]] == ["file", "rename", "folder"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("step", ["_write_durably", "sync_folder"])
def test_a_full_disk_is_told_as_such_and_leaves_nothing(
    store: LocalArtifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int
) -> None:
    real = getattr(local, step)

    def full(path: Path, *data: bytes) -> None:
        real(path, *data)
        raise OSError(number, "no space")

    with monkeypatch.context() as patched:
        patched.setattr(local, step, full)
        with pytest.raises(DiskFull):
            store.put(SHARDS, DATA)
    assert [path for path in files(tmp_path) if path.parent.name == "tmp"] == []
    store.put(SHARDS, DATA)
    assert store.get(SHARDS, DIGEST) == DATA


def test_any_other_error_is_not_taken_for_a_full_disk(
    store: LocalArtifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(NotWritable, match="broken"):
        store.put(SHARDS, DATA)
    assert files(tmp_path) == []


def test_a_store_that_was_moved_is_told_of_and_nothing_is_made_in_its_place(
    store: LocalArtifacts, tmp_path: Path
) -> None:
    assert store.trouble() is None
    here = next(path for path in tmp_path.iterdir() if path.is_dir())
    here.rename(tmp_path / "elsewhere")
    with pytest.raises(NotWritable, match="moved"):
        store.put(SHARDS, DATA)
    assert store.trouble()
    assert not here.exists()


class PowerCut(BaseException):
    """The process ends here."""


@pytest.mark.parametrize(("point", "named"), [("after_blob_temp", False), ("after_blob_rename", True)])
def test_power_cut_during_a_put_shows_all_or_nothing(tmp_path: Path, point: str, named: bool) -> None:
    def cut(reached: str) -> None:
        if reached == point:
            raise PowerCut

    with pytest.raises(PowerCut):
        LocalArtifacts(tmp_path, crash=cut).put(SHARDS, DATA)
    after = LocalArtifacts(tmp_path)
    assert after.has(SHARDS, DIGEST) == named
    assert len(list(after.names())) == named
    assert after.clear_temporary(older_than=0.0) == 0
    assert after.clear_temporary(older_than=time.time() + 60) == (not named)
    after.put(SHARDS, DATA)
    assert [path.parent.parent.name for path in files(tmp_path)] == [SHARDS]


def test_a_sweep_spares_what_was_touched_since(store: LocalArtifacts) -> None:
    store.put(SHARDS, DATA)
    os.utime(file_of(store), (1000.0, 1000.0))
    assert not store.sweep(SHARDS, DIGEST, older_than=999.0)
    assert store.get(SHARDS, DIGEST) == DATA
    assert store.sweep(SHARDS, DIGEST, older_than=1001.0)
    assert not store.has(SHARDS, DIGEST)
    assert not store.sweep(SHARDS, DIGEST, older_than=1001.0)
