"""Challengers wait until nobody else does, and stand on the base of the update whose version they challenge."""

from __future__ import annotations

from sqlalchemy.orm import Session

from service.contract.enums import UpdateState
from service.registry import leases, states, updates
from service.registry.sql.database import Database
from service.registry.sql.tables import Model, Update
from tests.registry.facts import LEASE, claim, learn, model, promoted

RETRAIN = {"name": "retrain"}


def champion(session: Session, of: Model) -> Update:
    """An update that has made the live version."""
    version = promoted(session, of)
    assert version.update_id is not None
    return session.get_one(Update, version.update_id)


def test_a_challenger_is_claimed_last_whoever_came_later(database: Database) -> None:
    with database.writing() as session:
        digits, letters = model(session), model(session, "letters")
        challenger = updates.challenge(session, digits, champion(session, digits), RETRAIN, "auto: it challenges.")
        later = learn(session, letters)
        assert leases.somebody_waits(session)
        assert claim(session).id == later.id
        assert not leases.somebody_waits(session)
        assert claim(session).id == challenger.id


def test_its_base_is_that_of_the_update_it_challenges_and_its_method_is_settled(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        base = promoted(session, digits)
        opponent = champion(session, digits)
        opponent.base_version_id = base.id
        challenger = updates.challenge(session, digits, opponent, RETRAIN, "auto: it challenges.")
        claimed = claim(session)
        assert claimed.id == challenger.id
        assert (claimed.base_version_id, claimed.method) == (base.id, RETRAIN)
        assert claimed.requested_method == opponent.requested_method
        assert claimed.batches == opponent.batches


def test_a_newer_challenger_takes_the_place_of_one_that_waits(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        first = updates.challenge(session, digits, champion(session, digits), RETRAIN, "auto: it challenges.")
        second = updates.challenge(session, digits, champion(session, digits), RETRAIN, "auto: it challenges.")
        assert (first.state, second.state) == (UpdateState.CANCELLED, UpdateState.QUEUED)


def test_the_last_version_that_was_challenged_is_known_once_it_is_over(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        opponent = champion(session, digits)
        updates.challenge(session, digits, opponent, RETRAIN, "auto: it challenges.")
        assert updates.last_challenged(session, digits) is None
        running = leases.claim(session, "w1", LEASE)
        assert running is not None
        states.advance(session, running, UpdateState.SUCCEEDED, "succeeded")
        session.flush()
        version = updates.last_challenged(session, digits)
        assert version.id == opponent.version_id
