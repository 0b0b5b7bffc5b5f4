"""The queue: claims under a lease, the fence, rescue, delays, handing back."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.contract.enums import UpdateState
from service.errors import Conflict, LeaseLost
from service.registry import deployments, leases, states, updates
from service.registry.callers import audit
from service.registry.callers.actor import WORKER, Actor, act_as
from service.registry.sql.database import Database
from service.registry.sql.engines import open_database
from service.registry.sql.tables import Update
from tests.registry.facts import LEASE, MOST, claim, learn, model, promoted, retract, version

ERROR = {"title": "Learning failed", "detail": "the rows are damaged"}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Time stands at 1000 until it is moved on by so many seconds."""
    at = [1000.0]
    for module in (updates, states, leases):
        monkeypatch.setattr(module, "clock", lambda _: at[0])

    def wait(seconds: float) -> None:
        at[0] += seconds

    return wait


def test_the_oldest_update_is_claimed_first_and_one_runs_per_model(database: Database) -> None:
    with database.writing() as session:
        digits, letters = model(session), model(session, "letters")
        first, second, other = learn(session, digits), learn(session, digits), learn(session, letters)
    with database.writing() as session:
        assert [claim(session).id, claim(session).id] == [first.id, other.id]
        assert leases.claim(session, "w2", LEASE) is None
        states.advance(session, leases.owned(session, first.id, 1), UpdateState.SUCCEEDED, "succeeded")
        assert claim(session).id == second.id


def test_models_take_turns_whatever_they_were_asked_and_whatever_the_clock_said(
    database: Database, clock: Callable[[float], None]
) -> None:
    with database.writing() as session:
        digits, letters = model(session), model(session, "letters")
        mine = [learn(session, digits) for _ in range(2)]
        late = learn(session, letters)
        retracted = retract(session, letters, [])
        digits.claimed_at = 9e9
        turns = []
        for _ in range(4):
            clock(1.0)
            turns.append(claim(session))
            states.advance(session, turns[-1], UpdateState.CANCELLED, "cancelled")
        assert [update.id for update in turns] == [mine[0].id, retracted.id, mine[1].id, late.id]


def test_an_update_that_was_lost_comes_before_those_of_models_that_wait_for_longer(
    database: Database, clock: Callable[[float], None]
) -> None:
    with database.writing() as session:
        digits, letters = model(session), model(session, "letters")
        learn(session, letters)
        clock(1.0)
        ended = claim(session)
        waits, lost = learn(session, letters), learn(session, digits)
        clock(1.0)
        assert claim(session) is lost
        states.advance(session, ended, UpdateState.CANCELLED, "cancelled")
        clock(LEASE + 1)
        assert leases.rescue(session, MOST) == [lost.id]
        assert [claim(session).id for _ in range(2)] == [lost.id, waits.id]


def test_an_update_that_loses_a_second_worker_waits_for_those_of_other_models(
    database: Database, clock: Callable[[float], None]
) -> None:
    """It may be what its workers die of; alone, it is tried again at once."""
    with database.writing() as session:
        digits, letters = model(session), model(session, "letters")
        lost = learn(session, digits)
        for others in ([], [lost.id]):
            assert claim(session) is lost
            clock(LEASE + 1)
            if others:
                waits = learn(session, letters)
            assert leases.rescue(session, MOST) == [lost.id]
        assert [claim(session).id for _ in range(2)] == [waits.id, lost.id]
        assert lost.attempts == MOST


def test_the_database_itself_refuses_a_second_running_update(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        first, second = learn(session, digits), learn(session, digits)
        first.state = second.state = UpdateState.RUNNING
        with pytest.raises(IntegrityError):
            session.flush()
        session.rollback()


def test_the_base_is_the_version_that_is_live_when_the_update_is_claimed(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        before = promoted(session, digits)
        update = learn(session, digits)
        after = version(session, digits)
        deployments.promote(session, digits, after, "better", by="operator")
        claimed = claim(session)
        assert claimed.id == update.id
        assert claimed.base_version_id == after.id != before.id


def test_a_claim_counts_the_attempt_and_numbers_the_owner(database: Database, clock: Callable[[float], None]) -> None:
    with database.writing() as session:
        learn(session, model(session))
        update = claim(session, "w1")
        assert (update.state, update.attempts, update.fence) == ("running", 1, 1)
        assert (update.worker, update.lease_until, update.started_at) == ("w1", 1000.0 + LEASE, 1000.0)
        event = updates.events(session, update.id)[-1]
        assert (event.kind, event.detail) == ("claimed", {"worker": "w1", "attempt": 1})


def test_there_is_something_to_do_when_an_update_is_due_or_its_worker_is_lost(
    database: Database, clock: Callable[[float], None]
) -> None:
    with database.writing() as session:
        assert leases.to_do(session, LEASE) == (False, False)
        learn(session, model(session))
        assert leases.to_do(session, LEASE) == (True, False)
        claim(session)
        assert leases.to_do(session, LEASE) == (False, False)
        clock(LEASE + 1)
        assert leases.to_do(session, LEASE) == (False, True)


def test_a_beat_prolongs_the_lease_and_tells_of_a_cancel(database: Database, clock: Callable[[float], None]) -> None:
    with database.writing() as session:
        learn(session, model(session))
        update = claim(session)
        clock(20.0)
        progress = {"phase": "training", "done": 3, "total": 9}
        assert not leases.beat(session, update.id, update.fence, LEASE, progress)
        session.refresh(update)
        assert (update.lease_until, update.progress) == (1020.0 + LEASE, progress)
        assert not updates.cancel(session, update)
        assert leases.cancel_requested(session, update.id)
        assert leases.beat(session, update.id, update.fence, LEASE, progress)


def test_a_lease_that_is_kept_alive_is_not_rescued(database: Database, clock: Callable[[float], None]) -> None:
    with database.writing() as session:
        learn(session, model(session))
        update = claim(session)
        for _ in range(100):
            clock(LEASE - 1)
            assert leases.rescue(session, MOST) == []
            leases.beat(session, update.id, update.fence, LEASE, None)


def test_whoever_lost_the_lease_can_neither_beat_nor_finish(database: Database, clock: Callable[[float], None]) -> None:
    with database.writing() as session:
        learn(session, model(session))
        update = claim(session, "w1")
        old = update.fence
        clock(LEASE + 1)
        assert leases.rescue(session, MOST) == [update.id]
    with database.writing() as session:
        for refused in (lambda: leases.beat(session, update.id, old, LEASE, None),
                        lambda: leases.owned(session, update.id, old)):  # fmt: skip
            with pytest.raises(LeaseLost):
                refused()
    with database.writing() as session:
        again = claim(session, "w2")
        assert (again.id, again.worker, again.attempts) == (update.id, "w2", 2)
        with pytest.raises(LeaseLost):
            leases.owned(session, update.id, old)
        assert leases.owned(session, update.id, again.fence).id == update.id


def test_a_final_update_has_no_owner(database: Database) -> None:
    with database.writing() as session:
        learn(session, model(session))
        update = claim(session)
        states.advance(session, update, UpdateState.SUCCEEDED, "succeeded")
        session.flush()
        with pytest.raises(LeaseLost):
            leases.owned(session, update.id, update.fence)
        with pytest.raises(LeaseLost):
            leases.beat(session, update.id, update.fence, LEASE, None)


def test_an_update_whose_worker_is_lost_again_and_again_ends(
    database: Database, clock: Callable[[float], None]
) -> None:
    with database.writing() as session:
        digits = model(session)
        act_as(Actor("key_1", "from-till-7"))
        poison = learn(session, digits)
        act_as(WORKER)
        behind = learn(session, digits)
        for attempt in range(1, MOST + 1):
            assert claim(session).attempts == attempt
            clock(LEASE + 1)
            assert leases.rescue(session, MOST) == [poison.id]
        assert (poison.state, poison.error) == (
            "failed",
            {
                "type": "/problems/lease-lost",
                "title": "The worker was lost",
                "detail": "It was tried 3 times; its worker was lost 3 times.",
            },
        )
        assert claim(session).id == behind.id
        [failed] = (row for row in audit.page(session, 100, None)[0] if row.action == "update.failed")
        assert (failed.subject, failed.by, failed.request_id) == (poison.id, "worker", "from-till-7")


def test_an_error_is_tried_again_with_growing_delays_and_an_end(
    database: Database, clock: Callable[[float], None]
) -> None:
    with database.writing() as session:
        digits = model(session)
        poison = learn(session, digits)
        waits, now = [], 1000.0
        for attempt in range(1, MOST + 1):
            assert claim(session) is poison
            queued = leases.retry_later(session, poison, ERROR, MOST, delay=2.0)
            assert queued == (attempt < MOST)
            if queued:
                waits.append(poison.run_after - now)
                assert leases.claim(session, "w1", LEASE) is None
                clock(waits[-1])
                now = poison.run_after
        assert waits == [2.0, 4.0]
        assert (poison.state, poison.error, poison.attempts) == ("failed", ERROR, MOST)
    with database.reading() as session:
        kinds = [e.kind for e in updates.events(session, poison.id)]
    assert kinds == ["queued", "claimed", "retried", "claimed", "retried", "claimed", "failed"]


def test_delays_grow_to_a_bound(database: Database, clock: Callable[[float], None]) -> None:
    with database.writing() as session:
        update = learn(session, model(session))
        update.attempts = 80
        leases.retry_later(session, claim(session), ERROR, 100, delay=2.0)
        assert update.run_after == 1000.0 + leases.LONGEST_DELAY_SECONDS


def test_what_waits_is_due_at_once_when_the_clock_is_set_back(
    database: Database, clock: Callable[[float], None]
) -> None:
    with database.writing() as session:
        update = learn(session, model(session))
        leases.retry_later(session, claim(session), ERROR, MOST, delay=2.0)
        assert leases.claim(session, "w1", LEASE) is None
        clock(-3600.0)
        assert leases.to_do(session, LEASE).claim
        assert leases.somebody_waits(session)
        assert claim(session) is update
        leases.hand_back(session, update)
        clock(-60.0)
        assert claim(session) is update, "what waits for nothing does not look at the clock"
        session.flush()
        clock(-60.0)
        learn(session, model(session, "letters"))
        clock(-60.0)
        assert claim(session).model_id != update.model_id


def test_the_next_update_runs_while_a_failed_one_waits(database: Database, clock: Callable[[float], None]) -> None:
    with database.writing() as session:
        digits = model(session)
        learn(session, digits)
        behind = learn(session, digits)
        leases.retry_later(session, claim(session), ERROR, MOST, delay=2.0)
        assert claim(session) is behind


def test_an_update_that_is_handed_back_has_lost_no_attempt(database: Database, clock: Callable[[float], None]) -> None:
    with database.writing() as session:
        learn(session, model(session))
        for _ in range(2 * MOST):
            update = claim(session)
            assert update.attempts == 1
            leases.hand_back(session, update)
            assert (update.state, update.attempts, update.run_after) == ("queued", 0, leases.AT_ONCE)
        assert updates.events(session, update.id)[-1].kind == "handed back"


def test_whatever_ends_an_attempt_that_somebody_cancelled_cancels_the_update(
    database: Database, clock: Callable[[float], None]
) -> None:
    def lost(session: Session, update: Update) -> None:
        clock(LEASE + 1)
        leases.rescue(session, MOST)

    def failed(session: Session, update: Update) -> bool:
        return leases.retry_later(session, update, ERROR, MOST, delay=2.0)

    with database.writing() as session:
        digits = model(session)
        for end in (failed, leases.hand_back, lost):
            learn(session, digits)
            update = claim(session)
            updates.cancel(session, update)
            assert not end(session, update)
            assert update.state == "cancelled"


def test_a_person_can_have_a_final_update_tried_again_and_no_other(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        for state in (UpdateState.FAILED, UpdateState.CANCELLED):
            learn(session, digits)
            update = claim(session)
            update.cancel_requested = True
            update.error = ERROR
            states.advance(session, update, state, state)
            updates.retry(session, update)
            assert (update.state, update.attempts, update.cancel_requested) == ("queued", 0, False)
            assert update.error is None
            assert claim(session) is update
            states.advance(session, update, UpdateState.SUCCEEDED, "succeeded")
        for state in (UpdateState.QUEUED, UpdateState.RUNNING, UpdateState.SUCCEEDED):
            update.state = state
            with pytest.raises(Conflict):
                updates.retry(session, update)


def test_a_queued_update_is_cancelled_at_once_and_a_final_one_not_at_all(database: Database) -> None:
    with database.writing() as session:
        update = learn(session, model(session))
        assert updates.cancel(session, update)
        assert update.state == "cancelled"
        with pytest.raises(Conflict):
            updates.cancel(session, update)


def test_workers_side_by_side_run_every_update_once(database: Database) -> None:
    """Four threads, each with a database of its own as a process would have, on three models."""
    with database.writing() as session:
        wanted = [learn(session, digits).id for k in range(3) for digits in [model(session, f"m{k}")] for _ in range(8)]
    ran: list[str] = []

    def work(name: str) -> None:
        with closing(open_database(database.url)) as own:
            left = True
            while left:
                with own.writing() as session:
                    update = leases.claim(session, name, LEASE)
                if update is not None:
                    ran.append(update.id)
                    with own.writing() as session:
                        owned = leases.owned(session, update.id, update.fence)
                        states.advance(session, owned, UpdateState.SUCCEEDED, "succeeded")
                    continue
                with own.reading() as session:
                    left = session.query(Update).filter(Update.state != UpdateState.SUCCEEDED).count() > 0

    workers = [threading.Thread(target=work, args=(f"w{k}",)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert Counter(ran) == Counter(wanted)


def test_a_retraction_is_claimed_before_what_was_queued_earlier(database: Database) -> None:
    """What would learn on a version with a retracted batch could not go live."""
    with database.writing() as session:
        digits = model(session)
        waiting = learn(session, digits)
        back = retract(session, digits, [])
        assert claim(session) is back
        states.advance(session, back, UpdateState.SUCCEEDED, "succeeded")
        assert claim(session) is waiting


def test_learning_waits_for_a_retraction_that_will_be_tried_again(
    database: Database, clock: Callable[[float], None]
) -> None:
    with database.writing() as session:
        digits = model(session)
        waiting = learn(session, digits)
        back = retract(session, digits, [])
        leases.retry_later(session, claim(session), ERROR, MOST, delay=2.0)
        assert leases.claim(session, "w1", LEASE) is None
        clock(2.0)
        assert claim(session) is back
        states.advance(session, back, UpdateState.FAILED, "failed")
        assert claim(session) is waiting
