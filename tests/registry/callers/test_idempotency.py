"""Idempotency keys: one effect a key, another body refused, also from many threads at once."""

from __future__ import annotations

import threading
from dataclasses import asdict, replace

import pytest
from sqlalchemy import func, insert, select

from service.errors import Conflict
from service.intake.json_body import hash_of
from service.registry.callers import idempotency
from service.registry.callers.idempotency import Attempt, record, recorded
from service.registry.sql.database import Database, now
from service.registry.sql.tables import IdempotencyKey, Model, Update
from tests.registry.facts import learn, model, undone

ATTEMPT = Attempt("anybody", "key-1", "POST", "/v1/models/digits/updates", hash_of({"batches": "pending"}))


def test_the_first_try_is_unknown_and_the_second_answers_what_was_recorded(database: Database) -> None:
    with database.writing() as session:
        assert recorded(session, ATTEMPT) is None
        record(session, ATTEMPT, 202, {"update": "upd_1"})
    with database.writing() as session:
        answer = recorded(session, ATTEMPT)
    assert (answer.status, answer.resource) == (202, {"update": "upd_1"})


@pytest.mark.parametrize(
    "other",
    [
        replace(ATTEMPT, body_hash=hash_of({"batches": []})),
        replace(ATTEMPT, method="PATCH"),
        replace(ATTEMPT, path="/v1/models/letters/updates"),
    ],
)
def test_another_request_under_the_same_key_is_refused(database: Database, other: Attempt) -> None:
    with database.writing() as session:
        record(session, ATTEMPT, 202, {})
        with pytest.raises(Conflict, match="fresh key"):
            recorded(session, other)


def test_keys_belong_to_their_caller(database: Database) -> None:
    with database.writing() as session:
        record(session, ATTEMPT, 202, {})
        assert recorded(session, replace(ATTEMPT, caller="somebody else")) is None


def test_a_key_is_kept_for_a_day_and_can_be_used_again_afterwards(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = [1000.0]
    monkeypatch.setattr(idempotency, "clock", lambda _: at[0])
    with database.writing() as session:
        record(session, ATTEMPT, 202, {"update": "upd_1"})
        at[0] += 24 * 3600 - 1
        assert recorded(session, ATTEMPT) is not None
        at[0] += 2
        assert recorded(session, ATTEMPT) is None
        record(session, ATTEMPT, 200, {"update": "upd_2"})
        answer = recorded(session, ATTEMPT)
        assert answer.resource == {"update": "upd_2"}


def test_a_key_of_yesterday_can_be_used_again_while_many_others_wait_to_be_deleted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = [1000.0]
    monkeypatch.setattr(idempotency, "clock", lambda _: at[0])
    tries = [replace(ATTEMPT, key=str(k)) for k in range(idempotency.PRUNED + 1)]
    with database.writing() as session:
        for attempt in tries:
            record(session, attempt, 202, {})
    at[0] += 24 * 3600 + 1
    with database.writing() as session:
        assert recorded(session, tries[-1]) is None
        record(session, tries[-1], 200, {})


def test_a_try_that_fails_leaves_no_key_behind(database: Database) -> None:
    undone(database, lambda session: (model(session), record(session, ATTEMPT, 202, {})))
    with database.reading() as session:
        assert recorded(session, ATTEMPT) is None


def test_twenty_threads_with_one_key_have_one_effect(database: Database) -> None:
    with database.writing() as session:
        digits = model(session).id
    answers: list[str] = []
    start = threading.Barrier(20)

    def post() -> None:
        start.wait()
        with database.writing() as session:
            if (answer := recorded(session, ATTEMPT)) is not None:
                answers.append(answer.resource["update"])
                return
            update = learn(session, session.get_one(Model, digits))
            record(session, ATTEMPT, 202, {"update": update.id})
            answers.append(update.id)

    threads = [threading.Thread(target=post) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with database.reading() as session:
        [update_id] = [update.id for update in session.query(Update)]
    assert answers == [update_id] * 20


@pytest.mark.sqlite
def test_old_keys_go_some_at_a_time_whatever_the_number_of_the_others(database: Database) -> None:
    """What it costs is counted in steps of SQLite's machine."""

    def fill(prefix: str, many: int, created_at: float) -> None:
        with database.writing() as session:
            rows = [
                {
                    **asdict(replace(ATTEMPT, key=f"{prefix}{k}")),
                    "status": 202,
                    "resource": {},
                    "created_at": created_at,
                }
                for k in range(many)
            ]
            session.execute(insert(IdempotencyKey), rows)

    def add(key: str) -> int:
        steps = 0

        def step() -> None:
            nonlocal steps
            steps += 1

        with database.writing() as session:
            driver = session.connection().connection.driver_connection
            driver.set_progress_handler(step, 1)
            record(session, replace(ATTEMPT, key=key), 202, {})
            driver.set_progress_handler(None, 1)
        return steps

    def left() -> int:
        with database.reading() as session:
            return session.scalar(select(func.count()).select_from(IdempotencyKey)) or 0

    fill("old", 250, now() - idempotency.KEEP_SECONDS - 1)
    assert left() == 250
    for expected in (151, 52, 3, 4):
        add(f"of now {expected}")
        assert left() == expected
    few = add("few")
    fill("young", 5000, now())
    assert add("many") < few + 20 * idempotency.PRUNED
    assert left() == 5006
