"""Batches of numbers that were stopped are what the next one is compared with, and are learned again if it passes."""

from __future__ import annotations

import pytest

from service.contract.enums import Outcome
from service.contract.reports.facts import GateReport, Rule
from service.contract.reports.number_report import NumberBatch, NumberReport
from service.registry import deployments, models, updates
from service.registry.sql.tables import Batch, Update, Version
from service.runtime import Runtime
from service.worker.parent.assign import assignment
from service.worker.parent.publish import publish
from tests.registry.facts import learn
from tests.worker.sample_updates import COST, claimed, result, with_batches


@pytest.fixture
def ids(runtime: Runtime) -> list[str]:
    """The model "digits" with numbers as targets, and batches of it; the first one is live."""
    ids = with_batches(runtime, 5, target={"kind": "number"})
    judged(runtime, ids, 0, "sound", Outcome.PASS)
    return ids


def report(name: str, outcome: Outcome, number: float, follows: int = 0) -> NumberReport:
    severity = {Outcome.PASS: None, Outcome.UNDECIDED: "held", Outcome.FAIL: "rejected"}[outcome]
    passed = outcome is Outcome.PASS
    rule = Rule(name=name, number=2, limit=None, value=None, passed=passed, severity=severity, why="Why not.")
    return NumberReport(
        tested=None,
        skill=None,
        before=None,
        after=None,
        rise=None,
        batch=NumberBatch(follows=follows, figures=[{"log_mean": number}]),
        cost=COST,
        gate=GateReport(outcome=outcome, rules=[rule], why="Why not."),
        exact=True,
    )


def judged(runtime: Runtime, ids: list[str], place: int, name: str, outcome: Outcome, follows: int = 0) -> Update:
    """An update with one of the batches comes to this."""
    with runtime.database.writing() as session:
        learn(session, models.get(session, "digits"), [ids[place]])
    update = claimed(runtime)
    made = result(runtime, [ids[0], ids[place]] if place else [ids[0]], outcome, seed=place)
    made = made.model_copy(update={"report": report(name, outcome, float(place), follows)})
    publish(runtime, update.id, update.fence, made)
    return update


def compared(runtime: Runtime, batch: str) -> list[float]:
    """The figures that an update with this batch would be compared with."""
    with runtime.database.writing() as session:
        update = learn(session, models.get(session, "digits"), [batch])
        update.base_version_id = models.get(session, "digits").live_version_id
        request = assignment(runtime, session, update)
        session.rollback()
    return [figures[0]["log_mean"] for figures in request.lineage.stopped]


def test_stopped_batches_are_compared_with_oldest_first(runtime: Runtime, ids: list[str]) -> None:
    judged(runtime, ids, 1, "contradicts_everything", Outcome.FAIL)
    judged(runtime, ids, 2, "disagrees_broadly", Outcome.UNDECIDED)
    assert compared(runtime, ids[3]) == [1.0, 2.0]


def test_neither_wrong_units_nor_rows_that_are_sent_again_nor_what_was_taken_back_is_evidence(
    runtime: Runtime, ids: list[str]
) -> None:
    judged(runtime, ids, 1, "wrong_unit", Outcome.FAIL)
    judged(runtime, ids, 2, "contradicts_everything", Outcome.FAIL)
    judged(runtime, ids, 2, "contradicts_everything", Outcome.FAIL)
    judged(runtime, ids, 3, "disagrees_broadly", Outcome.UNDECIDED)
    assert compared(runtime, ids[4]) == [2.0, 3.0]
    assert compared(runtime, ids[3]) == [2.0]
    with runtime.database.writing() as session:
        session.get_one(Batch, ids[3]).retracted_at = 1.0
    assert compared(runtime, ids[4]) == [2.0]


def test_a_batch_that_passed_and_waits_for_a_person_ends_the_row(runtime: Runtime, ids: list[str]) -> None:
    with runtime.database.writing() as session:
        models.get(session, "digits").promotion = "manual"
    judged(runtime, ids, 1, "contradicts_everything", Outcome.FAIL)
    judged(runtime, ids, 2, "sound", Outcome.PASS)
    judged(runtime, ids, 3, "contradicts_everything", Outcome.FAIL)
    assert compared(runtime, ids[4]) == [3.0]


def test_once_one_is_like_them_they_are_learned_again(runtime: Runtime, ids: list[str]) -> None:
    stopped = [judged(runtime, ids, k, "contradicts_everything", Outcome.FAIL) for k in (1, 2)]
    judged(runtime, ids, 3, "sound", Outcome.PASS, follows=2)
    again = [claimed(runtime)]
    assert again[0].batches == stopped[0].batches
    with runtime.database.reading() as session:
        assert updates.ordered_by(session, again[0]) == deployments.BY_GATE
    made = result(runtime, [*ids[:2], ids[3]], Outcome.FAIL, seed=9)
    made = made.model_copy(update={"report": report("contradicts_everything", Outcome.FAIL, 9.0)})
    publish(runtime, again[0].id, again[0].fence, made)
    assert claimed(runtime).batches == stopped[1].batches
    assert compared(runtime, ids[4]) == []  # what is stopped once more is no new evidence


def test_a_stopped_update_names_those_before_it_that_are_not_learned_either(runtime: Runtime, ids: list[str]) -> None:
    def says(update: Update) -> str:
        with runtime.database.reading() as session:
            version = session.get_one(Update, update.id).version_id
            return str(session.get_one(Version, version).report["gate"]["why"])

    assert "Before it" not in says(judged(runtime, ids, 1, "disagrees_broadly", Outcome.UNDECIDED))
    why = says(judged(runtime, ids, 2, "contradicts_everything", Outcome.FAIL))
    assert f"Before it {ids[1]} was stopped, which version 1 has not learned, either" in why
    assert f'POST {{"batches": ["{ids[1]}", "{ids[2]}"]}} to /v1/models/digits/updates' in why
    assert 'promote that first (POST {"version": 2} to /v1/models/digits/deployments)' in why
    with runtime.database.writing() as session:
        session.get_one(Batch, ids[1]).retracted_at = 1.0
    why = says(judged(runtime, ids, 3, "contradicts_everything", Outcome.FAIL))
    assert f"Before it {ids[2]} was stopped" in why
    assert "promote" not in why
