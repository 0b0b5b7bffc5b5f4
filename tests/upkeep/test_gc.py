"""Garbage collection keeps everything that a row names and everything young, and deletes the rest."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from itertools import count, takewhile
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.registry import batches, versions
from service.registry.rows import ledger
from service.registry.sql.tables import Model, Update
from service.runtime import Runtime
from service.storage.artifacts import SHARDS, model_area
from service.upkeep import gc
from service.upkeep.named_files import Name, named, named_files
from tests.postgres import PostgresServer
from tests.registry.facts import arrival, learn, made, model
from tests.upkeep.conftest import stored

OLD = 1000.0
"""Seconds: long before the grace."""


def aged(runtime: Runtime, seconds: float = OLD) -> None:
    """Everything in the store was stored so long ago."""
    at = time.time() - seconds
    for path in runtime.settings.store_folder.rglob("*"):
        if path.is_file():
            os.utime(path, (at, at))


class Facts:
    """One model with a version, a batch and an entry; and garbage of every kind beside them."""

    def __init__(self, runtime: Runtime) -> None:
        store = runtime.store
        with runtime.database.writing() as session:
            digits = model(session)
            self.area = model_area(digits.id)
            self.shard = (SHARDS, store.put(SHARDS, b"head"))
            self.bits = (self.area, store.put(self.area, b"bits"))
            self.rows = (self.area, store.put(self.area, b"rows"))
            self.entry = (self.area, store.put(self.area, b"entry"))
            batch, _ = batches.accept(session, digits, arrival(self.rows[1]))
            ledger.add(session, batch.id, "s" * 64, self.entry[1], 4)
            shard = {"part": "head", "digest": self.shard[1], "bytes": 4, "learned": [batch.id]}
            update = learn(session, digits, [batch.id])
            facts = replace(made([batch.id]), shards=[shard], bits=self.bits[1])
            self.version_id = versions.add(session, digits, update, None, facts).id
        self.garbage = {
            (SHARDS, store.put(SHARDS, b"an update that was cancelled")),
            (self.area, store.put(self.area, b"rows that no batch names")),
            (SHARDS, store.put(SHARDS, b"rows")),  # the same bytes as the batch, where nothing names them
            (model_area(99), store.put(model_area(99), b"rows")),
        }

    @property
    def used(self) -> set[tuple[str, str]]:
        return {self.shard, self.bits, self.rows, self.entry}


@pytest.fixture
def facts(runtime: Runtime) -> Facts:
    return Facts(runtime)


def test_what_a_row_names_stays_and_the_rest_goes(runtime: Runtime, facts: Facts) -> None:
    aged(runtime)
    collected = gc.collect(runtime)
    assert set(collected.deleted) == facts.garbage
    assert collected.kept == len(facts.used)
    assert stored(runtime) == facts.used
    assert gc.collect(runtime).deleted == []


def test_what_is_no_garbage_is_what_a_check_hashes(runtime: Runtime, facts: Facts) -> None:
    with runtime.database.writing() as session:
        [update] = session.scalars(select(Update))
        update.trainings = runtime.store.put(facts.area, b"save")
        all_named = named(session)
        [digits] = session.scalars(select(Model))
        assert {(file.area, file.digest) for file in named_files(session, digits)} == all_named
        assert len(all_named) == len(facts.used) + 1


def test_a_dry_run_lists_the_same_and_deletes_nothing(runtime: Runtime, facts: Facts) -> None:
    aged(runtime)
    before = stored(runtime)
    collected = gc.collect(runtime, dry_run=True)
    assert stored(runtime) == before
    assert gc.collect(runtime) == collected


def test_what_is_younger_than_the_grace_stays(runtime: Runtime, facts: Facts) -> None:
    """An update that is running has stored its bytes, and no row names them yet."""
    aged(runtime, seconds=50.0)
    assert gc.collect(runtime).deleted == []
    assert stored(runtime) == facts.used | facts.garbage


def test_bytes_that_are_stored_again_during_the_collection_stay(
    runtime: Runtime, facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update comes to the bytes of an older, forgotten one after they were listed and before it has a row."""
    aged(runtime)
    marked = named

    def meanwhile(session: Session, among: Collection[Name] = ()) -> set[Name]:
        used = marked(session, among)
        runtime.store.put(SHARDS, b"an update that was cancelled")
        return used

    monkeypatch.setattr(gc, "named", meanwhile)
    collected = gc.collect(runtime)
    [spared] = facts.garbage - set(collected.deleted)
    assert runtime.store.get(*spared) == b"an update that was cancelled"


def test_the_bytes_of_an_erased_version_go(runtime: Runtime, facts: Facts) -> None:
    with runtime.database.writing() as session:
        versions.by_id(session, facts.version_id).erased_at = 1.0
    aged(runtime)
    gc.collect(runtime)
    assert stored(runtime) == {facts.rows, facts.entry}


def test_what_writers_that_died_have_left_goes_too(runtime: Runtime, facts: Facts) -> None:
    folder: Path = runtime.settings.store_folder / "tmp"
    (folder / "old").write_bytes(b"half")
    aged(runtime)
    (folder / "young").write_bytes(b"half")
    gc.collect(runtime)
    assert [path.name for path in folder.iterdir()] == ["young"]


def test_files_that_are_not_ours_are_left_alone(runtime: Runtime, facts: Facts) -> None:
    stray = [
        runtime.settings.store_folder / place for place in ("README", "shards/ab/notes.txt", "other/ab/" + "0" * 62)
    ]
    for path in stray:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    aged(runtime)
    assert set(gc.collect(runtime).deleted) == facts.garbage
    assert all(path.exists() for path in stray)


def test_progress_counts_what_was_deleted(runtime: Runtime, facts: Facts) -> None:
    aged(runtime)
    progress: list[int] = []
    gc.collect(runtime, progress=progress.append)
    assert progress == [1, 2, 3, 4]


@pytest.mark.postgres
def test_who_loses_the_lock_on_bytes_deletes_no_more_of_them(
    runtime: Runtime, facts: Facts, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It went with the connection, which is cut after the first: from then on others may come to name the rest."""
    sessions, delete, ask = list[Session](), runtime.store.delete, named

    def look(session: Session, among: Collection[Name] = ()) -> set[Name]:
        sessions.append(session)
        return ask(session, among)

    def cut(area: str, digest: str) -> None:
        delete(area, digest)
        postgres.cut(sessions[-1].connection())

    monkeypatch.setattr(gc, "named", look)
    monkeypatch.setattr(runtime.store, "delete", cut)
    gc.discard(runtime, facts.garbage)
    assert len(facts.garbage & stored(runtime)) == len(facts.garbage) - 1


@pytest.fixture
def graceless(either: Runtime) -> Runtime:
    """Whatever nobody names may go at once: each writer meets the collection."""
    either.settings = either.settings.model_copy(update={"gc_grace_seconds": 0.0})
    return either


def test_in_any_store_a_dry_run_lists_what_then_goes(graceless: Runtime) -> None:
    facts = Facts(graceless)
    listed = gc.collect(graceless, dry_run=True)
    assert stored(graceless) == facts.used | facts.garbage
    assert gc.collect(graceless) == listed
    assert (set(listed.deleted), stored(graceless)) == (facts.garbage, facts.used)


def test_while_uploads_come_to_bytes_that_nobody_named_none_is_deleted_that_a_row_names(graceless: Runtime) -> None:
    """Versions come and are erased; all share three shards, which are garbage again and again."""
    store, database, over, gone = graceless.store, graceless.database, threading.Event(), [0]

    def collect() -> None:
        while not over.is_set():
            gone[0] += len(gc.collect(graceless).deleted)

    with database.writing() as session:
        model_id = model(session).id
    collecting = threading.Thread(target=collect)
    collecting.start()
    try:
        # until some bytes were deleted meanwhile
        for k in takewhile(lambda k: k < 24 or (not gone[0] and collecting.is_alive()), count()):
            data, there = b"shard %d" % (k % 3), [False]
            while not there[-1]:
                digest = store.put(SHARDS, data)
                look = partial(lambda digest, there: there.append(store.has(SHARDS, digest)), digest, there)
                with database.writing(look) as session:  # as whoever publishes looks, too
                    if there[-1]:
                        digits = session.get_one(Model, model_id)
                        shards = [{"part": "head", "digest": digest, "bytes": len(data), "learned": []}]
                        version = versions.add(session, digits, None, None, replace(made([]), shards=shards))
            with database.reading() as session:
                assert named(session) <= stored(graceless)
            if k % 3:
                with database.writing() as session:
                    versions.by_id(session, version.id).erased_at = 1.0
    finally:
        over.set()
        collecting.join()
    with database.reading() as session:
        used = named(session)
    gc.collect(graceless)
    assert stored(graceless) == used
    assert gone[0] > 0
