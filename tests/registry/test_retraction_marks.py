"""A retraction marks its batches; cancelling it clears the marks, and a person's retry sets them again."""

from __future__ import annotations

from sqlalchemy.orm import Session

from service.contract.enums import UpdateState
from service.registry import batches, states, updates
from service.registry.sql.database import Database
from service.registry.sql.tables import Batch, Update
from tests.registry.facts import batch, claim, model, retract


def marked(row: Batch) -> bool:
    return row.retracted_at is not None


def retracting(session: Session) -> tuple[Batch, Update]:
    """A batch of a model, and the retraction of it that waits."""
    digits = model(session)
    a = batch(session, digits)
    return a, retract(session, digits, [a.id])


def test_cancelling_a_queued_retraction_clears_the_mark(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        a, b = batch(session, digits), batch(session, digits)
        updates.cancel(session, retract(session, digits, [a.id]))
        assert (marked(a), marked(b)) == (False, False)
        assert batches.state(a) == "pending"


def test_cancelling_an_erasure_keeps_the_mark(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        a = batch(session, digits)
        updates.cancel(session, retract(session, digits, [a.id], erase=True))
        assert marked(a)


def test_a_batch_that_another_retraction_names_stays_marked(database: Database) -> None:
    for other in UpdateState:
        with database.writing() as session:
            digits = model(session, other)
            a, b = batch(session, digits), batch(session, digits)
            first = retract(session, digits, [a.id])
            first.state = other
            updates.cancel(session, retract(session, digits, [a.id, b.id]))
            assert marked(a) == (other is not UpdateState.CANCELLED)
            assert not marked(b)


def test_a_running_retraction_keeps_its_marks_until_its_worker_has_stopped(database: Database) -> None:
    with database.writing() as session:
        a, update = retracting(session)
        assert claim(session) is update
        updates.cancel(session, update)
        assert marked(a)
        updates.cancelled(session, update)
        assert not marked(a)


def test_a_cancelled_retraction_that_is_tried_again_marks_its_batches_again(database: Database) -> None:
    with database.writing() as session:
        a, update = retracting(session)
        updates.cancel(session, update)
        updates.retry(session, update)
        assert marked(a)


def test_a_failed_retraction_keeps_its_marks(database: Database) -> None:
    with database.writing() as session:
        a, update = retracting(session)
        claim(session)
        states.advance(session, update, UpdateState.FAILED, "failed")
        first = a.retracted_at
        updates.retry(session, update)
        assert a.retracted_at == first
