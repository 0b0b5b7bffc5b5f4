"""Every revision of the tables, with rows of its own time in them, is brought up to date whole."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.errors import Busy, SchemaMismatch
from service.learning.data.batch_sketch import sketch_of
from service.registry import batches, models
from service.registry.rows import sketches
from service.registry.sql.engines import migrate, open_database
from service.registry.sql.schema import revisions
from service.registry.sql.tables import Batch
from tests.acceptance import invariants
from tests.registry.facts import arrival
from tests.registry.migrating import killed_amid
from tests.registry.old_store import Store
from tests.registry.sql.test_database import created
from tests.updating import make_rows

pytestmark = pytest.mark.sqlite

OFTEN = {*revisions()[::6], *revisions()[-2:]}
"""The first, from which every migration is run, the newest and some between; stores of the others take long."""


@pytest.fixture(params=[pytest.param(name, marks=() if name in OFTEN else pytest.mark.long) for name in revisions()])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(tmp_path / "data", request.param)


def test_a_store_of_each_revision_is_brought_up_to_date_with_every_row_and_predicts_the_same_bits(
    old: Store, migrated: Path
) -> None:
    before = old.rows()
    migrate(old.url)
    after = old.rows()
    for table, rows in before.items():
        kept = [{name: row[name] for name in rows[0]} for row in after[table]]
        assert kept == rows, table
    assert created(old.file) == created(migrated)
    old.is_whole(old.url)


def test_disputes_of_an_earlier_release_are_kept_with_their_end(tmp_path: Path) -> None:
    """They stood in the report of the held update, and in its events."""
    old = Store(tmp_path / "data", "0010")
    disputed = [{"class": "a", "suggested": s, "rows": 9, "source": None} for s in ("b", "c")]
    end = {"class": "a", "suggested": "c", "by_update": "upd_1"}
    with closing(sqlite3.connect(old.file)) as connection, connection:
        connection.execute("UPDATE updates SET verdict = 'held' WHERE id = 'upd_2'")
        report = json.dumps({"batch": {"disputes": disputed}})
        connection.execute("UPDATE versions SET report = ? WHERE id = 2", [report])
        event = ("upd_2", 5.0, "dispute refuted", json.dumps(end))
        connection.execute("INSERT INTO update_events (update_id, at, kind, detail) VALUES (?, ?, ?, ?)", event)
    migrate(old.url)
    kept = [(row["class"], row["suggested"], row["verdict"], row["settled_by"]) for row in old.rows()["disputes"]]
    assert kept == [("a", "b", None, None), ("a", "c", "refuted", "upd_1")]


def test_what_the_live_version_learned_is_marked_and_counted_in_a_store_of_before(tmp_path: Path) -> None:
    old = Store(tmp_path / "data", "0025")
    with closing(sqlite3.connect(old.file)) as connection, connection:
        connection.execute("""UPDATE versions SET learned = NULL, more = '["bat_2"]', less = '[]' WHERE id = 2""")
    migrate(old.url)
    rows = old.rows()
    assert [(row["id"], row["in_live"]) for row in rows["batches"]] == [("bat_1", 1), ("bat_2", 1), ("bat_3", 0)]
    assert [row["batch_count"] for row in rows["versions"]] == [1, 2]


def test_updates_of_a_store_of_before_are_found_by_the_batches_that_they_name(tmp_path: Path) -> None:
    old = Store(tmp_path / "data", "0028")
    with closing(sqlite3.connect(old.file)) as connection, connection:
        connection.execute(
            """UPDATE updates SET batches = '["bat_2", "bat_1"]', adds = '["bat_3"]' WHERE id = 'upd_4'"""
        )
    migrate(old.url)
    named = {(row["batch_id"], row["update_id"]) for row in old.rows()["named_batches"]}
    of_fourth = {("bat_1", "upd_4"), ("bat_2", "upd_4"), ("bat_3", "upd_4")}
    assert named == {("bat_1", "upd_1"), ("bat_2", "upd_2"), ("bat_3", "upd_3"), *of_fourth}


def test_batches_of_before_have_no_sketch_and_the_next_ones_are_found_by_theirs(tmp_path: Path) -> None:
    old = Store(tmp_path / "data", "0031")
    migrate(old.url)
    rows = make_rows("bat_0", np.arange(40.0).reshape(20, 2), ["a"] * 20, b"secret")
    with closing(open_database(old.url)) as database, database.writing() as session:
        digits, sketch = models.get(session, "digits"), sketch_of(rows, b"secret")
        first, second = (
            batches.accept(session, digits, replace(arrival(digest), rows=20, sketch=sketch))[0] for digest in "xy"
        )
        assert first.notes is None
        assert f"All 20 rows are in batch {first.id}" in str(second.notes)
        for name in ("bat_1", "bat_2", "bat_3"):
            sketches.erase(session, session.get_one(Batch, name))
    assert {row["batch_id"] for row in old.rows()["row_marks"]} == {first.id, second.id}


@pytest.mark.parametrize("statements", [5, pytest.param(60, marks=pytest.mark.long)])
def test_an_upgrade_that_is_killed_has_changed_nothing_and_is_made_whole_later(tmp_path: Path, statements: int) -> None:
    old = Store(tmp_path / "data", "0001")
    before = old.rows()
    assert killed_amid(old.url, statements)
    assert old.rows() == before
    migrate(old.url)
    assert {table: len(rows) for table, rows in old.rows().items() if table in before} == {
        table: len(rows) for table, rows in before.items()
    }
    invariants.hold(old.data, ["bat_1", "bat_2", "bat_3"])


def test_what_an_upgrade_would_tear_apart_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    old = Store(tmp_path / "data", "0002")
    with closing(sqlite3.connect(old.file)) as connection, connection:
        connection.execute("UPDATE updates SET version_id = 9 WHERE id = 'upd_1'")
    before = old.file.read_bytes()
    with pytest.raises(SchemaMismatch, match="in updates"):
        migrate(old.url)
    assert old.file.read_bytes() == before


def test_a_migration_during_another_is_refused_as_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = Store(tmp_path / "data", "0001")
    monkeypatch.setattr("service.registry.sql.database.BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(old.file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Busy):
            migrate(old.url)
