"""Every allowed and every forbidden move of an update, and what a verdict is made of."""

from __future__ import annotations

from itertools import product

import pytest

from service.contract.enums import Outcome, Promotion, UpdateKind, UpdateState, Verdict
from service.errors import Conflict
from service.registry import leases, states, updates
from service.registry.sql.database import Database
from tests.registry.facts import learn, model

ALLOWED = {
    ("queued", "running"),
    ("queued", "cancelled"),
    ("running", "succeeded"),
    ("running", "failed"),
    ("running", "cancelled"),
    ("running", "queued"),
    ("failed", "queued"),
    ("cancelled", "queued"),
}
PAIRS = list(product(UpdateState, UpdateState))


def test_an_allowed_move_writes_the_state_and_one_event(database: Database) -> None:
    for before, after in [p for p in PAIRS if p in ALLOWED]:
        with database.writing() as session:
            update = learn(session, model(session, f"{before}-{after}"))
            update.state = before
            states.advance(session, update, after, "moved", why="a test")
        with database.reading() as session:
            stored = updates.find(session, update.id)
            assert stored.state == after
            events = updates.events(session, update.id)
        assert [e.kind for e in events] == ["queued", "moved"], before
        assert events[-1].detail == {"why": "a test"}, before


def test_a_forbidden_move_is_refused_and_leaves_no_trace(database: Database) -> None:
    for before, after in [p for p in PAIRS if p not in ALLOWED]:
        with database.writing() as session:
            update = learn(session, model(session, f"{before}-{after}"))
            update.state = before
            with pytest.raises(Conflict) as refused:
                states.advance(session, update, after, "moved")
            assert refused.value.members == {"state": before}
            assert ("a new one" in refused.value.detail) == (after is UpdateState.QUEUED)
        with database.reading() as session:
            assert updates.find(session, update.id).state == before
            assert [e.kind for e in updates.events(session, update.id)] == ["queued"]


@pytest.mark.parametrize("final", ["succeeded", "failed", "cancelled"])
def test_a_final_update_holds_no_lease_and_tells_no_progress(database: Database, final: str) -> None:
    with database.writing() as session:
        update = learn(session, model(session))
        claimed = leases.claim(session, "w1", 30.0)
        assert claimed is update
        update.progress = {"phase": "training", "done": 1, "total": 2}
        states.advance(session, update, UpdateState(final), final)
        assert states.is_final(update)
        assert update.lease_until is None
        assert update.progress is None
        assert update.finished_at is not None


def test_an_update_that_is_queued_again_belongs_to_nobody(database: Database) -> None:
    with database.writing() as session:
        update = learn(session, model(session))
        leases.claim(session, "w1", 30.0)
        states.advance(session, update, UpdateState.QUEUED, "handed back")
        assert not states.is_final(update)
        assert (update.worker, update.lease_until, update.progress, update.finished_at) == (None, None, None, None)


VERDICTS = [
    (Outcome.PASS, Promotion.AUTO, True, Verdict.PROMOTED),
    (Outcome.PASS, Promotion.MANUAL, True, Verdict.HELD),
    (Outcome.UNDECIDED, Promotion.AUTO, True, Verdict.HELD),
    (Outcome.UNDECIDED, Promotion.MANUAL, True, Verdict.HELD),
    (Outcome.FAIL, Promotion.AUTO, True, Verdict.REJECTED),
    (Outcome.FAIL, Promotion.MANUAL, True, Verdict.REJECTED),
    *[(outcome, mode, False, Verdict.SUPERSEDED) for outcome, mode in product(Outcome, Promotion)],
]


def test_superseded_goes_before_every_other_verdict_of_learning() -> None:
    for outcome, promotion, base_is_live, expected in VERDICTS:
        assert states.verdict(UpdateKind.LEARN, outcome, promotion, base_is_live) is expected, outcome


def test_a_retraction_is_promoted_by_order() -> None:
    for outcome, promotion, live in product(Outcome, Promotion, [True, False]):
        assert states.verdict(UpdateKind.RETRACT, outcome, promotion, live) is Verdict.PROMOTED, outcome
