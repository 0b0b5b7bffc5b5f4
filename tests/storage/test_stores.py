"""What every store does, in a folder and in S3: idempotent, verified, and nothing but our own names."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import CorruptArtifact
from service.storage.artifacts import SHARDS, Store, check_name, model_area
from service.storage.local import LocalArtifacts
from service.storage.opening import open_store

DATA = b"weights" * 100
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.s3)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "s3":
        return open_store(request.getfixturevalue("s3").bucket())
    return open_store((tmp_path / "store").as_uri())


def damage(store: Store, data: bytes) -> None:
    """Puts other bytes in the place of DATA."""
    if isinstance(store, LocalArtifacts):
        store._path(SHARDS, DIGEST).write_bytes(data)
    else:
        store._write(f"{SHARDS}/{DIGEST}", data, create=False)  # type: ignore[attr-defined]


def test_what_is_put_is_found_under_its_digest(store: Store) -> None:
    assert store.put(SHARDS, DATA) == store.put(SHARDS, DATA) == DIGEST
    assert store.has(SHARDS, DIGEST)
    assert store.get(SHARDS, DIGEST) == DATA
    assert [(area, digest) for area, digest, _ in store.names()] == [(SHARDS, DIGEST)]
    [(_, _, at)] = store.names(SHARDS)
    assert abs(at - time.time()) < 60
    assert list(store.names(model_area(1))) == []


def test_any_bytes_come_back(store: Store) -> None:
    for data in [b"", b"\x00", os.urandom(3_000_000), os.urandom(6_000_000)]:
        assert store.get(SHARDS, store.put(SHARDS, data)) == data, len(data)


def test_areas_are_apart(store: Store) -> None:
    store.put(model_area(1), DATA)
    assert not store.has(model_area(2), DIGEST)
    store.put(model_area(2), DATA)
    store.delete(model_area(1), DIGEST)
    assert store.get(model_area(2), DIGEST) == DATA
    assert [area for area, _, _ in store.names()] == [model_area(2)]


@pytest.mark.parametrize("data", [b"", DATA[:-1], DATA[:-1] + b"?"])
def test_a_put_over_damaged_bytes_heals_them(store: Store, data: bytes) -> None:
    store.put(SHARDS, DATA)
    damage(store, data)
    store.put(SHARDS, DATA)
    assert store.get(SHARDS, DIGEST) == DATA


@pytest.mark.parametrize("place", [0, len(DATA) // 2, len(DATA) - 1])
def test_a_flipped_bit_is_refused(store: Store, place: int) -> None:
    store.put(SHARDS, DATA)
    damaged = bytearray(DATA)
    damaged[place] ^= 1
    damage(store, bytes(damaged))
    with pytest.raises(CorruptArtifact, match="damaged"):
        store.get(SHARDS, DIGEST)


@pytest.mark.parametrize("data", [b"", DATA[:10], DATA + b"\x00"])
def test_bytes_of_another_length_are_refused(store: Store, data: bytes) -> None:
    store.put(SHARDS, DATA)
    damage(store, data)
    with pytest.raises(CorruptArtifact):
        store.get(SHARDS, DIGEST)


def test_missing_bytes_are_told_as_such(store: Store) -> None:
    with pytest.raises(CorruptArtifact, match="missing"):
        store.get(SHARDS, DIGEST)
    store.delete(SHARDS, DIGEST)


def test_a_sweep_spares_what_is_younger(store: Store) -> None:
    store.put(SHARDS, DATA)
    assert not store.sweep(SHARDS, DIGEST, older_than=time.time() - 60)
    assert store.get(SHARDS, DIGEST) == DATA
    assert store.sweep(SHARDS, DIGEST, older_than=time.time() + 60)
    assert not store.has(SHARDS, DIGEST)
    assert not store.sweep(SHARDS, DIGEST, older_than=time.time() + 60)


BAD_NAMES = [
    ("..", DIGEST),
    ("shards/..", DIGEST),
    ("/etc", DIGEST),
    ("", DIGEST),
    ("tmp", DIGEST),
    ("model-", DIGEST),
    ("model-1/../2", DIGEST),
    ("model-1\n", DIGEST),
    ("model-" + "9" * 19, DIGEST),
    ("Shards", DIGEST),
    (SHARDS, ""),
    (SHARDS, "../" + "a" * 61),
    (SHARDS, "%2e%2e/" + "a" * 57),
    (SHARDS, DIGEST.upper()),
    (SHARDS, DIGEST[:-1]),
    (SHARDS, DIGEST + "\n"),
    (SHARDS, DIGEST + "0"),
    (SHARDS, DIGEST[:-1] + "\x00"),
    (SHARDS, "٠" * 64),
]


def test_nothing_but_our_own_names_becomes_a_path(store: Store) -> None:
    for area, digest in BAD_NAMES:
        for verb in (store.get, store.has, store.delete):
            with pytest.raises(ValueError, match="not a name of the store"):
                verb(area, digest)


def test_nothing_is_put_anywhere_else(store: Store, tmp_path: Path) -> None:
    for area in sorted({area for area, digest in BAD_NAMES if digest == DIGEST}):
        with pytest.raises(ValueError, match="not a name of the store"):
            store.put(area, DATA)
        assert list(store.names()) == [], area
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == [], area


@given(st.text(max_size=80), st.text(max_size=80))
def test_no_text_is_a_name_by_chance(area: str, digest: str) -> None:
    with pytest.raises(ValueError, match="not a name of the store"):
        check_name(area, digest)
