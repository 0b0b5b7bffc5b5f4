"""The cache: losing it costs time, never truth."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from service.storage.artifacts import model_area
from service.storage.cache import Cache, Folder

ONE, TWO = model_area(1), model_area(2)
NAMES = [f"{k:064x}" for k in range(8)]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", max_bytes=1000)


def age(tmp_path: Path, area: str, name: str, seconds: float) -> None:
    os.utime(tmp_path / "cache" / area / name, (seconds, seconds))


def test_what_is_put_is_found_until_it_is_replaced(cache: Cache) -> None:
    assert cache.get(ONE, NAMES[0]) is None
    for data in (b"", b"sums", b"other sums"):
        cache.put(ONE, NAMES[0], data)
        assert cache.get(ONE, NAMES[0]) == data
    assert cache.get(TWO, NAMES[0]) is None


@pytest.mark.parametrize("content", [b"", b"short", bytes(40)])
def test_damaged_bytes_count_as_missing(cache: Cache, tmp_path: Path, content: bytes) -> None:
    cache.put(ONE, NAMES[0], b"sums")
    (tmp_path / "cache" / ONE / NAMES[0]).write_bytes(content)
    assert cache.get(ONE, NAMES[0]) is None


def test_a_flipped_bit_counts_as_missing(cache: Cache, tmp_path: Path) -> None:
    cache.put(ONE, NAMES[0], b"sums")
    path = tmp_path / "cache" / ONE / NAMES[0]
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    assert cache.get(ONE, NAMES[0]) is None


def test_the_oldest_entries_go_when_the_budget_is_passed(cache: Cache, tmp_path: Path) -> None:
    for k, name in enumerate(NAMES[:3]):
        cache.put(ONE, name, bytes(300))
        age(tmp_path, ONE, name, 1000.0 + k)
    cache.put(TWO, NAMES[3], bytes(300))
    assert [cache.get(ONE, name) is None for name in NAMES[:3]] == [True, False, False]
    assert cache.get(TWO, NAMES[3]) is not None


def test_what_all_files_take_is_looked_at_the_less_often_the_more_room_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, looks, files = Cache(tmp_path / "cache", max_bytes=20_000), list[int](), Cache.files
    monkeypatch.setattr(Cache, "files", lambda cache: looks.append(1) or files(cache))
    for k in range(40):
        cache.put(ONE, f"{k:064x}", bytes(200))
    assert len(looks) <= 5, "a look reads the size of every file"
    for k in range(40, 200):
        cache.put(ONE, f"{k:064x}", bytes(200))
        assert sum(path.stat().st_size for path in files(cache)) <= 20_000


def test_an_entry_over_the_budget_is_not_kept(cache: Cache) -> None:
    cache.put(ONE, NAMES[0], bytes(2000))
    assert cache.get(ONE, NAMES[0]) is None


def test_without_a_budget_nothing_is_on_the_disk_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Folder, "write", lambda *_: pytest.fail("a process that is killed now leaves it there"))
    Cache(tmp_path / "cache", max_bytes=0).put(ONE, NAMES[0], b"sums")


def test_forgetting_a_model_drops_all_of_it_and_nothing_else(cache: Cache, tmp_path: Path) -> None:
    cache.put(ONE, NAMES[0], b"a")
    cache.put(ONE, NAMES[1], b"b")
    cache.put(TWO, NAMES[0], b"c")
    cache.forget(ONE)
    cache.forget(ONE)
    assert not (tmp_path / "cache" / ONE).exists()
    assert cache.get(TWO, NAMES[0]) == b"c"


def test_what_was_begun_before_a_model_was_forgotten_is_not_kept(cache: Cache, tmp_path: Path) -> None:
    """Sums of rows that were erased while an update ran, in another process, do not come back."""
    running, after = Cache(tmp_path / "cache", max_bytes=1000), Cache(tmp_path / "cache", max_bytes=1000)
    running.enter(ONE)
    cache.forget(ONE)
    after.put(ONE, NAMES[0], b"later sums")
    running.put(ONE, NAMES[1], b"sums of rows that were erased")
    assert after.get(ONE, NAMES[0]) == b"later sums"
    assert after.get(ONE, NAMES[1]) is None
    assert [path.name for path in cache.files()] == [NAMES[0]]


def test_a_model_is_forgotten_also_while_somebody_writes(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.put(ONE, NAMES[0], b"sums")
    rmdir, late = os.rmdir, [NAMES[1], NAMES[2]]

    def crowded(path: str, **given: int) -> None:
        if late:
            (tmp_path / "cache" / ONE / late.pop()).write_bytes(b"sums")
        rmdir(path, **given)

    with monkeypatch.context() as patched:
        patched.setattr(os, "rmdir", crowded)
        cache.forget(ONE)
    assert late == []
    assert not (tmp_path / "cache" / ONE).exists()


def test_nothing_but_our_own_names_becomes_a_path(cache: Cache) -> None:
    for area, name in [("..", NAMES[0]), (ONE, "../x"), (ONE, ""), ("", NAMES[0])]:
        with pytest.raises(ValueError, match="not a name of the store"):
            cache.put(area, name, b"x")
        with pytest.raises(ValueError, match="not a name of the store"):
            cache.get(area, name)


def test_nothing_else_can_be_forgotten(cache: Cache) -> None:
    for area in ["..", "", "/", "model-1/.."]:
        with pytest.raises(ValueError, match="not a name of the store"):
            cache.forget(area)


def test_a_full_disk_costs_the_entry_and_nothing_more(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        cache.put(ONE, NAMES[0], b"sums")
    assert cache.get(ONE, NAMES[0]) is None
    assert list(cache.files()) == []


def test_an_entry_that_another_process_evicts_meanwhile_is_no_error(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES[:3]:
        cache.put(ONE, name, bytes(300))
    stat = Path.stat

    def late(path: Path, **given: bool) -> os.stat_result:
        if path.name == NAMES[1]:
            path.unlink(missing_ok=True)
        return stat(path, **given)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", late)
        cache.put(ONE, NAMES[3], bytes(300))
    assert cache.get(ONE, NAMES[3]) is not None
