"""The audit: one row for each change of state, with who made it; whatever was done to it afterwards is noticed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from service.contract.enums import Promotion
from service.contract.keys import CreateKey
from service.contract.requests import PatchModel
from service.registry import aliases, batches, leases, models, updates
from service.registry.callers import audit, keys
from service.registry.callers.actor import SERVICE, WORKER, Actor, act_as
from service.registry.sql.database import Database
from tests.damage import unguarded
from tests.registry.facts import batch, claim, learn, model, promoted, retract, roll_back, undone

LEARNED = ("update.claimed", "update.succeeded")
"""What workers do on the updates of a test that is about what people do."""


@pytest.fixture
def written(database: Database) -> Database:
    """A short history: a model, two versions, a rollback, a key and its end."""
    act_as(Actor("key_1", "request-1"))
    with database.writing() as session:
        digits = model(session)
        first = batch(session, digits)
        promoted(session, digits, [first.id])
        promoted(session, digits, [first.id])
        roll_back(session, digits)
        key, _ = keys.create(session, CreateKey.model_validate({"name": "till 7", "scopes": ["learn"]}), "key_1")
        keys.revoke(session, key)
        keys.revoke(session, key)
    act_as(SERVICE)
    return database


def rows(database: Database) -> list[Any]:
    with database.reading() as session:
        return audit.page(session, 1000, None)[0][::-1]


def verified(database: Database, head: str | None = None) -> audit.Verified:
    with database.looking() as connection:
        return audit.verify(connection, head)


def change(database: Database, *statements: str) -> None:
    """What somebody with a text editor for databases does."""
    with database.writing() as session:
        unguarded(session)
        for statement in statements:
            session.execute(text(statement))


def copy(to: int, of: int) -> str:
    """A row that is put in, the same as another."""
    columns = "at, by, request_id, action, model, subject, reason, hash"
    return f"INSERT INTO audit SELECT {to}, {columns} FROM audit WHERE id = {of}"


def test_an_update_has_a_row_for_each_move_between_its_states(database: Database) -> None:
    """Claimed by three workers: one is lost, one fails, one stops; what a person orders has that person's request."""
    act_as(Actor("key_1", "request-1"))
    with database.writing() as session:
        update = learn(session, model(session))
    act_as(WORKER)
    with database.writing() as session:
        assert claim(session, "w1").id == update.id
        assert leases.rescue(session, 4, [update.id]) == [update.id]
        assert leases.retry_later(session, claim(session, "w2"), {"title": "Odd", "detail": "row 7"}, 4, delay=0)
        leases.hand_back(session, claim(session, "w3"))
        leases.put_off(session, claim(session, "w4"), {"title": "No cluster", "detail": "at 127.0.0.1"}, delay=0)
        assert not leases.retry_later(session, claim(session, "w5"), {"title": "Odd", "detail": "row 7"}, 1, delay=0)
    act_as(Actor("key_2", "request-2"))
    with database.writing() as session:
        updates.retry(session, updates.find(session, update.id))
    act_as(SERVICE)
    told = [(row.action, row.by, row.request_id, row.reason) for row in rows(database) if row.subject == update.id]
    assert told == [
        ("update.queued", "key_1", "request-1", ""),
        ("update.claimed", "worker", "request-1", "w1"),
        ("update.queued_again", "worker", "request-1", "rescued"),
        ("update.claimed", "worker", "request-1", "w2"),
        ("update.queued_again", "worker", "request-1", "retried"),
        ("update.claimed", "worker", "request-1", "w3"),
        ("update.queued_again", "worker", "request-1", "handed back"),
        ("update.claimed", "worker", "request-1", "w4"),
        ("update.queued_again", "worker", "request-1", "put off"),
        ("update.claimed", "worker", "request-1", "w5"),
        ("update.failed", "worker", "request-1", "Odd"),
        ("update.retried", "key_2", "request-2", ""),
    ]


def test_each_change_of_state_is_one_row_with_who_made_it(written: Database) -> None:
    said = [(row.action, row.subject if not str(row.subject).startswith("upd") else "upd") for row in rows(written)]
    received, key = said[1][1], said[-1][1]
    assert said == [
        ("model.created", None),
        ("batch.received", received),
        ("update.queued", "upd"),
        ("update.claimed", "upd"),
        ("update.succeeded", "upd"),
        ("version.promoted_by_gate", "1"),
        ("update.queued", "upd"),
        ("update.claimed", "upd"),
        ("update.succeeded", "upd"),
        ("version.promoted_by_gate", "2"),
        ("version.rolled_back", "1"),
        ("key.created", key),
        ("key.revoked", key),
    ]
    assert {(row.by, row.request_id) for row in rows(written)} == {("key_1", "request-1")}
    assert {row.model for row in rows(written)} == {"digits", None}
    assert rows(written)[10].reason == "bad"


def test_changes_by_hand_are_told_by_name_and_count_and_never_by_what_the_rows_are(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        models.patch(session, digits, PatchModel(promotion=Promotion.MANUAL, memory_rows=5))
        models.patch(session, digits, PatchModel())
        models.add_classes(session, digits, ["secret", "a", "secret"])
        models.add_classes(session, digits, ["a"])
        models.remove_class(session, digits, "secret")
        first = batch(session, digits)
        promoted(session, digits, [first.id])
        aliases.put(session, digits, "stable", 1, "me", 1000)
        aliases.put(session, digits, "stable", 1, "me", 1000)
        session.flush()
        aliases.delete(session, digits, "stable")
        order = retract(session, digits, [first.id])
        updates.cancel(session, order, "too soon")
        updates.retry(session, order)
        batches.retract(session, digits, first)
        learning = learn(session, digits, [first.id])
        assert claim(session).id == order.id
        updates.cancel(session, order)
        models.archive(session, digits)
    first_update = next(row.subject for row in rows(database) if row.action == "update.succeeded")
    changes = [(row.action, row.reason) for row in rows(database) if row.action not in LEARNED]
    assert changes == [
        ("model.created", ""),
        ("model.changed", "memory_rows, promotion"),
        ("classes.added", "2 new"),
        ("class.removed", ""),
        ("batch.received", "4 rows"),
        ("update.queued", ""),
        ("version.promoted_by_gate", f"by {first_update}"),
        ("alias.put", "version 1"),
        ("alias.put", "version 1"),
        ("alias.deleted", ""),
        ("batch.retracted", "wrong"),
        ("update.queued", "wrong"),
        ("update.cancel_requested", "too soon"),
        ("update.cancelled", ""),
        ("batch.restored", ""),
        ("update.retried", ""),
        ("batch.retracted", "wrong"),
        ("update.queued", ""),
        ("update.cancel_requested", ""),
        ("model.archived", ""),
        ("update.cancelled", ""),
    ]
    assert rows(database)[-1].subject == learning.id
    assert {row.by for row in rows(database)} == {"service"}


def test_updates_that_end_with_their_model_are_told_each(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        first = batch(session, digits)
        running, waiting = learn(session, digits, [first.id]), learn(session, digits, [first.id])
        assert claim(session).id == running.id
        models.archive(session, digits)
    told = [(row.action, row.subject, row.reason) for row in rows(database)[-3:]]
    assert told[0] == ("model.archived", None, "")
    assert set(told[1:]) == {
        ("update.cancel_requested", running.id, "the model was archived"),
        ("update.cancelled", waiting.id, ""),
    }


def test_what_is_undone_leaves_no_row(database: Database) -> None:
    undone(database, model)
    assert rows(database) == []
    assert verified(database) == audit.Verified(0, audit.FIRST, None)


def test_anybody_can_recompute_the_hashes(written: Database) -> None:
    """From what the API shows, in another language, if need be."""
    last = "0" * 64
    shown = [entry.model_dump(mode="json") for entry in audit.resources_of(rows(written))]
    for entry, row in zip(shown, rows(written), strict=True):
        content = {**entry, "at": round(row.at * 1e6)}
        stored = content.pop("hash")
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        last = hashlib.sha256(f"{last}{text}".encode()).hexdigest()
        assert stored == last
    assert verified(written) == audit.Verified(13, last, None)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET by = 'nobody' WHERE id = 5",
        "DELETE FROM audit WHERE id = 13",
        pytest.param("TRUNCATE audit", marks=pytest.mark.postgres),
        pytest.param("INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE id = 5", marks=pytest.mark.sqlite),
    ],
)
def test_the_database_refuses_to_change_or_delete_a_row(written: Database, statement: str) -> None:
    with (
        pytest.raises(DBAPIError, match="rows of the audit are never changed or deleted"),
        written.writing() as session,
    ):
        session.execute(text(statement))
    assert verified(written).rows == 13


@pytest.mark.parametrize(
    ("statements", "first_broken"),
    [
        (["UPDATE audit SET by = 'nobody' WHERE id = 5"], 5),
        (["UPDATE audit SET reason = 'sic' WHERE id = 9"], 9),
        (["UPDATE audit SET at = at + 1 WHERE id = 1"], 1),
        pytest.param(["UPDATE audit SET at = 'noon' WHERE id = 3"], 3, marks=pytest.mark.sqlite),
        (["UPDATE audit SET model = NULL WHERE id = 13"], None),  # it was NULL: nothing changed
        (["UPDATE audit SET subject = x'00' WHERE id = 4"], 4),
        (["UPDATE audit SET hash = 'x' WHERE id = 13"], 13),
        (["DELETE FROM audit WHERE id = 5"], 6),
        (["DELETE FROM audit WHERE id = 1"], 2),
        (["DELETE FROM audit WHERE id = 5", "UPDATE audit SET id = id - 1 WHERE id > 5"], 5),
        (["UPDATE audit SET id = -id WHERE id > 5", "UPDATE audit SET id = 1 - id WHERE id < 0",
          copy(6, 5)], 6),
        ([copy(14, 13)], 14),
        ([copy(0, 1)], 0),
        (["UPDATE audit SET hash = (SELECT hash FROM audit AS b WHERE b.id = 15 - audit.id) WHERE id IN (7, 8)"], 7),
    ],
)  # fmt: skip
def test_what_was_done_to_it_is_noticed_at_the_first_row(
    written: Database, statements: list[str], first_broken: int | None
) -> None:
    change(written, *statements)
    seen = verified(written)
    assert seen.broken == first_broken
    assert seen.rows == (13 if first_broken is None else max(0, min(first_broken - 1, seen.rows)))
    assert seen.holds == (first_broken is None)


def test_rows_that_are_gone_from_the_end_are_noticed_by_who_kept_the_last_hash(written: Database) -> None:
    kept = verified(written).last_hash
    assert verified(written, kept).holds
    with written.writing() as session:
        model(session, "letters")
    assert verified(written, kept).holds
    change(written, "DELETE FROM audit WHERE id > 12")
    shorter = verified(written)
    assert (shorter.holds, shorter.rows) == (True, 12)
    assert not verified(written, kept).holds
    with written.writing() as session:
        model(session, "signs")
    assert (verified(written).holds, verified(written, kept).holds) == (True, False)
