"""Which rows a retention lets go, and when: never those that an update may still need."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from service.contract.enums import Retention, UpdateState
from service.contract.requests import PatchModel
from service.errors import Conflict
from service.registry import batches, deployments, models, states, updates
from service.registry.rows import ledger
from service.registry.rows import retention as registry
from service.registry.rows.retention import Rest
from service.registry.sql.database import Database
from service.registry.sql.engines import open_database
from service.registry.sql.schema import migrations_path
from service.registry.sql.tables import Batch, LedgerEntry, Model
from tests.registry.facts import arrival, batch, claim, learn, model, promoted, retract, version


def due(session: Session, of: Model) -> list[str]:
    return [b.id for b in registry.due(session, of)]


def gone(session: Session, batch: Batch) -> None:
    registry.replace(session, batch, Rest(None, 0), Retention.NONE)


@pytest.mark.parametrize(("retention", "lets_go"), [("all", False), ("exemplars", True), ("none", True)])
def test_rows_are_due_once_the_live_version_knows_them(database: Database, retention: str, lets_go: bool) -> None:
    with database.writing() as session:
        digits = model(session, retention=retention)
        one, waits = batch(session, digits), batch(session, digits)
        assert due(session, digits) == []
        promoted(session, digits, [one.id])
        assert due(session, digits) == ([one.id] if lets_go else [])
        assert registry.waiting(session) == ([digits.id] if lets_go else [])
        assert waits.settled_at is None


def test_a_batch_keeps_its_rows_while_any_update_names_it(database: Database) -> None:
    with database.writing() as session:
        digits = model(session, retention="none")
        one = batch(session, digits)
        promoted(session, digits, [one.id])
        other = learn(session, digits, [one.id])
        assert due(session, digits) == []
        claim(session)
        assert due(session, digits) == [], "an update of the model runs"
        states.advance(session, other, UpdateState.FAILED, "failed")
        assert due(session, digits) == [one.id]
        updates.retry(session, other)
        assert due(session, digits) == []
        updates.cancel(session, other)
        assert due(session, digits) == [one.id]


def test_what_is_pending_keeps_its_rows_what_was_rejected_or_retracted_does_not(database: Database) -> None:
    with database.writing() as session:
        digits = model(session, retention="none")
        first = promoted(session, digits, [batch(session, digits).id])
        held, bad, back = (batch(session, digits) for _ in range(3))
        for one in (held, bad, back):
            version(session, digits, [*first.learned, one.id])
        bad.rejected_by = version(session, digits, [*first.learned, bad.id]).update_id
        order = retract(session, digits, [back.id])
        updates.cancel(session, order)
        assert due(session, digits) == [first.learned[0], bad.id]
        back.retracted_at = 1.0
        assert set(due(session, digits)) == {first.learned[0], bad.id, back.id}
        assert [b.id for b in batches.pending(session, digits)] == [held.id]


def test_from_then_on_the_batch_names_what_is_left_and_the_rest_is_doomed(database: Database) -> None:
    with database.writing() as session:
        digits = model(session, retention="exemplars")
        one = batch(session, digits, digest="1" * 64)
        ledger.add(session, one.id, "space", "2" * 64, 4)
        ledger.add(session, one.id, "other", "3" * 64, 4)
        registry.replace(session, one, Rest("4" * 64, 2, {"space": "5" * 64}), Retention.EXEMPLARS)
        assert (one.stored_digest, one.kept_rows, one.kept_as) == ("4" * 64, 2, "exemplars")
        assert one.doomed == ["1" * 64, "2" * 64]
        assert session.get_one(LedgerEntry, (one.id, "other")).digest == "3" * 64
        assert [b.id for b in registry.doomed(session)] == [one.id]
        assert [b.id for b in registry.reduced(session, digits)] == [one.id]
        registry.replace(session, one, Rest(None, 0), Retention.NONE)
        assert one.doomed == ["1" * 64, "2" * 64, "4" * 64]


def test_exemplars_go_too_once_none_is_kept_and_what_is_gone_stays_gone(database: Database) -> None:
    with database.writing() as session:
        digits = model(session, retention="exemplars")
        one = batch(session, digits)
        promoted(session, digits, [one.id])
        registry.replace(session, one, Rest("4" * 64, 2), Retention.EXEMPLARS)
        assert due(session, digits) == []
        models.patch(session, digits, PatchModel(retention=Retention.NONE))
        assert due(session, digits) == [one.id]
        gone(session, one)
        for word in (Retention.EXEMPLARS, Retention.ALL, Retention.NONE):
            models.patch(session, digits, PatchModel(retention=word))
            assert due(session, digits) == []
            assert one.kept_rows == 0


def test_a_batch_without_its_rows_is_not_learned_again_but_can_be_sent_anew(database: Database) -> None:
    with database.writing() as session:
        digits = model(session, retention="none")
        first = promoted(session, digits)
        one = batch(session, digits, digest="1" * 64)
        second = promoted(session, digits, [one.id])
        gone(session, one)
        assert batches.accept(session, digits, arrival("1" * 64)) == (one, False)
        deployments.promote(session, digits, first, "back", "somebody")
        with pytest.raises(Conflict, match=rf"Version {second.number} knows them"):
            batches.require_whole(session, digits, one)
        assert batches.pending(session, digits) == []
        assert batches.accept(session, digits, arrival("1" * 64))[1]
        assert batches.resources_of(session, digits, [one])[0].kept_rows == 0


def test_nothing_is_looked_for_twice_unless_something_moved(database: Database) -> None:
    with database.writing() as session:
        digits = model(session, retention="none")
        one = batch(session, digits)
        marks = [registry.marks(session)]
        for move in (
            lambda: promoted(session, digits, [one.id]),
            lambda: models.patch(session, digits, PatchModel(retention=Retention.EXEMPLARS)),
            lambda: learn(session, digits, [one.id]),
            lambda: models.patch(session, digits, PatchModel(retention=Retention.ALL)),
        ):
            move()
            session.flush()
            assert registry.marks(session) == registry.marks(session) != marks[-1]
            marks.append(registry.marks(session))


@pytest.mark.sqlite
def test_what_was_there_before_is_kept_whole_and_settled_where_nothing_is_on_its_way(tmp_path: Path) -> None:
    path = tmp_path / "tsuika.db"
    _migrate(path, "0002")
    with closing(sqlite3.connect(path)) as old:
        old.execute(
            "INSERT INTO models (id, name, input, architecture, classes, method, gate, promotion, retention,"
            " created_at) VALUES (1, 'digits', '{}', '{}', '[]', '{}', '{}', 'auto', 'all', 1.0)"
        )
        for name, stored in (("done", "1" * 64), ("busy", "2" * 64), ("new", "3" * 64), ("erased", None)):
            old.execute(
                "INSERT INTO batches (id, model_id, digest, stored_digest, rows, label_counts, folds, lent,"
                " received_at) VALUES (?, 1, ?, ?, 4, '{}', '{}', '[]', 1.0)",
                [name, name, stored],
            )
        for name, state, ids in (("u1", "succeeded", '["done", "busy"]'), ("u2", "queued", '["busy"]')):
            old.execute(
                "INSERT INTO updates (id, model_id, kind, batches, seed, erase, state, attempts, fence, run_after,"
                " cancel_requested, created_at) VALUES (?, 1, 'learn', ?, 0, 0, ?, 0, 0, 1.0, 0, 1.0)",
                [name, ids, state],
            )
        old.commit()
    _migrate(path, "head")
    with closing(open_database(f"sqlite:///{path}")) as database, database.reading() as session:
        batches_by_id = {
            b.id: (b.kept_rows, b.kept_as, b.settled_at is not None) for b in session.scalars(select(Batch))
        }
        assert session.get_one(Model, 1).memory_rows == 500
    assert batches_by_id == {
        "done": (4, None, True),
        "busy": (4, None, False),
        "new": (4, None, False),
        "erased": (0, None, False),
    }


def _migrate(path: Path, to: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations_path()))
    engine = create_engine(f"sqlite:///{path}", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, to)
    engine.dispose()
