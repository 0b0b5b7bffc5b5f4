"""Which promoted versions stand, and from before which one nothing is remembered."""

from __future__ import annotations

from sqlalchemy.orm import Session

from service.contract.enums import Outcome, Verdict
from service.registry import deployments, standing, versions
from service.registry.sql.database import Database
from service.registry.sql.tables import Model, Update, Version
from tests.registry.facts import model, promoted, roll_back, version

OTHERS = (deployments.BY_GATE, deployments.BY_ORDER)


def numbers(session: Session, digits: Model) -> list[int]:
    ids = standing.promoted(session, digits, deployments.BY_GATE)
    return [versions.by_id(session, version_id).number for version_id in ids]


def judged(session: Session, digits: Model, outcome: Outcome) -> Version:
    """A version that waits for a person, and that the gate passed or did not."""
    made = version(session, digits)
    assert made.update_id is not None
    session.get_one(Update, made.update_id).verdict = Verdict.HELD
    made.report = {"gate": {"outcome": outcome}}
    return made


def by_hand(session: Session, digits: Model, made: Version) -> None:
    deployments.promote(session, digits, made, "looks fine", by="operator")


def test_promotions_that_stand_newest_first_each_once(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        first, _, third = (promoted(session, digits) for _ in range(3))
        version(session, digits)
        by_hand(session, digits, first)
        assert numbers(session, digits) == [1, 3, 2]
        roll_back(session, digits)
        assert numbers(session, digits) == [3, 2, 1]
        third.erased_at = 1.0
        assert numbers(session, digits) == [2, 1]


def test_what_a_person_promoted_against_the_gate_is_where_memory_begins(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        promoted(session, digits)
        by_hand(session, digits, judged(session, digits, Outcome.UNDECIDED))
        promoted(session, digits)
        assert numbers(session, digits) == [3, 2]
        by_hand(session, digits, judged(session, digits, Outcome.PASS))
        assert numbers(session, digits) == [4, 3, 2]
        by_hand(session, digits, judged(session, digits, Outcome.FAIL))
        assert numbers(session, digits) == [5]
        roll_back(session, digits)
        assert numbers(session, digits) == [4, 3, 2]


def test_the_last_one_that_a_person_promoted(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        promoted(session, digits)
        assert standing.promoted_by_person(session, digits, OTHERS) is None
        second = judged(session, digits, Outcome.PASS)
        by_hand(session, digits, second)
        promoted(session, digits)
        assert standing.promoted_by_person(session, digits, OTHERS) == second.id


def test_bits_come_in_the_order_of_the_versions_that_have_them(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        made = [promoted(session, digits) for _ in range(3)]
        made[0].bits, made[2].bits = "1" * 64, "3" * 64
        session.flush()
        assert standing.bits(session, [v.id for v in reversed(made)]) == [(3, "3" * 64), (1, "1" * 64)]
