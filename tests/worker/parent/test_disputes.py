"""A dispute stays open until a batch that owes nothing to the first one, or a person, says who is right."""

from __future__ import annotations

from typing import Any

import pytest

from service.contract.enums import Outcome
from service.contract.reports.class_report import BatchEvidence, ClassEvidence, Dispute
from service.registry import deployments, disputes, models, updates
from service.registry.sql.tables import ApiKey, Batch, Update, Version
from service.runtime import Runtime
from service.web.catalogue.said import said
from service.worker.parent.publish import publish
from tests.registry.facts import learn
from tests.worker.sample_updates import claimed, result, with_batches

DAY = 24 * 3600.0
SAYS_B = ClassEvidence(confident=10, conflicts=9, expected=0.02, toward={"b": 9})
SAYS_A = ClassEvidence(confident=30, conflicts=1, expected=0.02, toward={"b": 1})


@pytest.fixture
def ids(runtime: Runtime) -> list[str]:
    return with_batches(runtime, 3)


def judged(
    runtime: Runtime, batch: str, evidence: ClassEvidence, later: float = 0.0, outcome: Outcome | None = None
) -> tuple[Update, dict[str, Any]]:
    """An update whose batch says this of rows that are surely "a"; held where they say something else. -> its report"""
    with runtime.database.writing() as session:
        learn(session, models.get(session, "digits"), [batch]).created_at += later
    update, contradicts = claimed(runtime), evidence is SAYS_B
    dispute = Dispute(class_="a", suggested="b", rows=evidence.conflicts, source=None)
    report = BatchEvidence(conflicts=None, disputes=[dispute] if contradicts else [], evidence={"a": evidence})
    made = result(runtime, [batch], outcome or (Outcome.UNDECIDED if contradicts else Outcome.FAIL))
    made = made.model_copy(update={"report": made.report.model_copy(update={"batch": report})})
    publish(runtime, update.id, update.fence, made)
    with runtime.database.reading() as session:
        version = session.query(Version).filter(Version.update_id == update.id).one()
        return update, dict(version.report["batch"])


def why(runtime: Runtime, update: Update) -> str:
    """The sentence of its verdict."""
    with runtime.database.reading() as session:
        report = session.query(Version).filter(Version.update_id == update.id).one().report
        return str(report["gate"]["why"])


def events(runtime: Runtime, update: Update) -> list[dict[str, Any]]:
    """What became of what the update disputed, by its events."""
    with runtime.database.reading() as session:
        return [{"kind": e.kind, **e.detail} for e in updates.events(session, update.id) if "dispute" in e.kind]


def test_the_same_key_confirms_nothing_on_the_same_day_and_does_so_a_day_later(
    runtime: Runtime, ids: list[str]
) -> None:
    first, report = judged(runtime, ids[0], SAYS_B)
    assert report["settled"] == []
    assert "says the same 24 hours later or more confirms the labels" in why(runtime, first)
    _, report = judged(runtime, ids[1], SAYS_B, later=DAY / 2)
    assert (report["settled"], events(runtime, first)) == ([], [])
    third, report = judged(runtime, ids[2], SAYS_B, later=DAY + 60)
    confirmed = report["settled"][0]
    facts = {key: confirmed[key] for key in ("update", "class", "suggested", "verdict", "rows", "sure")}
    assert facts == {
        "update": first.id, "class": "a", "suggested": "b", "verdict": "confirmed", "rows": 9, "sure": 10,
    }  # fmt: skip
    assert confirmed["p"] < 1e-9
    assert any("Confirmed" in note and '9 of 10 rows that are surely "a" say "b"' in note for note in report["notes"])
    [event] = events(runtime, first)
    assert (event["kind"], event["by_update"], event["rows"]) == ("dispute confirmed", third.id, 9)


def sent_by(runtime: Runtime, batches: dict[str, str | None]) -> None:
    with runtime.database.writing() as session:
        for batch, by in batches.items():
            session.get_one(Batch, batch).by = by


def test_another_key_confirms_at_once(runtime: Runtime, ids: list[str]) -> None:
    sent_by(runtime, {ids[0]: "key_1", ids[1]: "key_1", ids[2]: "key_2"})
    first, _ = judged(runtime, ids[0], SAYS_B)
    assert "under another key, or 24 hours later or more, confirms the labels" in why(runtime, first)
    assert judged(runtime, ids[1], SAYS_B)[1]["settled"] == []
    third, report = judged(runtime, ids[2], SAYS_B)
    assert {(s["update"], s["verdict"]) for s in report["settled"]} >= {(first.id, "confirmed")}
    assert report["disputes"] == []
    with runtime.database.reading() as session:
        digits = models.get(session, "digits")
        assert third.id not in {each.update_id for each in disputes.page(session, digits, 9, None)[0]}


@pytest.mark.parametrize("second", [None, "anonymous", "key_3"])
def test_a_batch_of_no_key_or_of_one_that_took_the_place_of_the_first_is_not_independent(
    runtime: Runtime, ids: list[str], second: str | None
) -> None:
    with runtime.database.writing() as session:
        for name, before in (("key_1", None), ("key_2", "key_1"), ("key_3", "key_2")):
            session.add(
                ApiKey(
                    id=name, name=name, prefix=name, hash="", scopes=["learn"], replaces=before, by="", created_at=1.0
                )
            )
            session.flush()
    sent_by(runtime, {ids[0]: "key_1", ids[1]: second})
    judged(runtime, ids[0], SAYS_B)
    assert judged(runtime, ids[1], SAYS_B)[1]["settled"] == []


def test_what_disputes_come_to_is_kept(runtime: Runtime, ids: list[str]) -> None:
    judged(runtime, ids[0], SAYS_B)
    second, _ = judged(runtime, ids[1], SAYS_A)
    with runtime.database.reading() as session:
        digits = models.get(session, "digits")
        [shown] = disputes.resources_of(session, digits, disputes.page(session, digits, 9, None)[0])
    assert (shown.class_, shown.suggested, shown.rows, shown.state, shown.by) == ("a", "b", 9, "refuted", second.id)
    assert "1 of 30 rows" in shown.reason


def test_a_rejected_batch_opens_nothing_that_nobody_could_settle(runtime: Runtime, ids: list[str]) -> None:
    first, report = judged(runtime, ids[0], SAYS_B, outcome=Outcome.FAIL)
    assert report["disputes"] == []
    assert "confirm" not in why(runtime, first)
    assert judged(runtime, ids[1], SAYS_A)[1]["settled"] == []


def test_what_settles_a_dispute_is_reported_with_its_source(runtime: Runtime, ids: list[str]) -> None:
    judged(runtime, ids[0], SAYS_B)
    with runtime.database.writing() as session:
        session.get_one(Batch, ids[1]).source = "lab-c"
    assert [s["source"] for s in judged(runtime, ids[1], SAYS_A)[1]["settled"]] == ["lab-c"]


def test_rows_that_agree_with_the_model_refute_it_once(runtime: Runtime, ids: list[str]) -> None:
    first, _ = judged(runtime, ids[0], SAYS_B)
    second, report = judged(runtime, ids[1], SAYS_A)
    assert [(s["verdict"], s["rows"], s["sure"]) for s in report["settled"]] == [("refuted", 1, 30)]
    [note] = [note for note in report["notes"] if note.startswith("Refuted")]
    assert 'only 1 of 30 rows that are surely "a" say anything else here' in note
    assert note.endswith(f"Take back its batch {ids[0]}.")
    assert said(note, "ja")
    assert report["settled"][0]["batches"] == [ids[0]]
    assert [event["kind"] for event in events(runtime, first)] == ["dispute refuted"]
    assert judged(runtime, ids[2], SAYS_A)[1]["settled"] == []
    assert events(runtime, second) == []


@pytest.mark.parametrize("batches", [1, 2])
def test_where_no_row_says_anything_else_the_note_says_none(runtime: Runtime, ids: list[str], batches: int) -> None:
    first, _ = judged(runtime, ids[0], SAYS_B)
    with runtime.database.writing() as session:
        session.get_one(Update, first.id).batches = [ids[0], ids[2]][:batches]
    _, report = judged(runtime, ids[1], SAYS_A.model_copy(update={"conflicts": 0}))
    [note] = [note for note in report["notes"] if note.startswith("Refuted")]
    assert ": none of 30 rows that are surely" in note
    assert note.endswith(f"its batch {ids[0]}." if batches == 1 else "its 2 batches.")
    assert said(note, "ja")


def test_what_a_person_promoted_is_disputed_no_more(runtime: Runtime, ids: list[str]) -> None:
    first, _ = judged(runtime, ids[0], SAYS_B)
    with runtime.database.writing() as session:
        version = session.query(Version).filter(Version.update_id == first.id).one()
        deployments.promote(session, models.get(session, "digits"), version, "I know better", "somebody")
    assert judged(runtime, ids[1], SAYS_A)[1]["settled"] == []
