"""Which held versions wait for a person, and which brought only what the live version has learned."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from sqlalchemy.orm import Session

from service.contract.enums import Outcome, UpdateState, Verdict
from service.errors import Conflict
from service.registry import deployments, lineage, states, versions
from service.registry.sql.database import Database
from service.registry.sql.tables import Model, Update, Version
from tests.registry.facts import batch, claim, model, promoted, retract, roll_back, version


def held(session: Session, model: Model, learned: Sequence[str]) -> Version:
    """A version on the live one that a person is to look at."""
    made = version(session, model, learned)
    session.get_one(Update, made.update_id).verdict = Verdict.HELD
    return made


def marks(session: Session, model: Model) -> dict[int, str]:
    """What the lineage says of each version of which it says anything."""
    nodes = lineage.resource_of(session, model).versions
    assert not any(node.waits and node.in_live for node in nodes)
    assert not any(node.overtaken and (node.waits or node.in_live) for node in nodes)
    return {n.number: "waits" if n.waits else "in live" for n in nodes if n.waits or n.in_live}


def overtaken(session: Session, model: Model) -> list[int]:
    """Held versions that the lineage calls overtaken."""
    return [node.number for node in lineage.resource_of(session, model).versions if node.overtaken]


def test_a_held_version_whose_batches_the_live_one_has_learned_is_in_it(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        a, b, c = (batch(session, digits).id for _ in range(3))
        promoted(session, digits, [a])
        held(session, digits, [a, b])
        held(session, digits, [a, b, c])
        assert marks(session, digits) == {2: "waits", 3: "waits"}
        promoted(session, digits, [a, b])
        assert marks(session, digits) == {2: "in live"}, "3 is older than what is live, and brings one more batch"
        assert overtaken(session, digits) == [3]
        held(session, digits, [a, b, c])
        assert marks(session, digits) == {2: "in live", 5: "waits"}
        roll_back(session, digits)
        assert marks(session, digits) == {2: "waits", 3: "waits", 5: "waits"}


@pytest.mark.parametrize("state", [UpdateState.QUEUED, UpdateState.FAILED])
def test_a_version_made_on_one_that_learned_a_retracted_batch_waits_for_nobody(
    database: Database, state: UpdateState
) -> None:
    with database.writing() as session:
        digits = model(session)
        a, b, c = (batch(session, digits).id for _ in range(3))
        promoted(session, digits, [a, b])
        stopped = held(session, digits, [a, b, c])
        assert marks(session, digits) == {2: "waits"}
        update = retract(session, digits, [a])
        if state is UpdateState.FAILED:
            claim(session)
            states.advance(session, update, state, "failed")
        assert marks(session, digits) == {}
        with pytest.raises(Conflict, match="which was retracted"):
            deployments.promote(session, digits, stopped, "looked at it", by="operator")


def test_a_held_retraction_waits_though_it_was_made_on_what_learned_the_batch(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        a, b, c = (batch(session, digits).id for _ in range(3))
        promoted(session, digits, [a, b])
        retract(session, digits, [a])
        without = held(session, digits, [b])
        held(session, digits, [a, b, c])
        assert marks(session, digits) == {2: "waits"}
        deployments.promote(session, digits, without, "looked at it", by="operator")
        held(session, digits, [b, c])
        assert marks(session, digits) == {4: "waits"}


def test_a_held_version_is_overtaken_too_where_what_it_was_made_on_was_taken_back(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        a, b, c, d, e = (batch(session, digits).id for _ in range(5))
        promoted(session, digits, [a, b])
        held(session, digits, [a, b, c])
        held(session, digits, [a, b, d])
        held(session, digits, [a, b, d, e])
        promoted(session, digits, [a, b, d])
        assert overtaken(session, digits) == [2, 4], "3 brought what is live now"
        retract(session, digits, [a])
        promoted(session, digits, [b, d])
        assert (overtaken(session, digits), marks(session, digits)) == ([2, 4], {3: "in live"})
        promoted(session, digits, [b, d, e])
        assert overtaken(session, digits) == [2]
        retract(session, digits, [c])
        assert overtaken(session, digits) == [], "nothing that it brought is there any more"


def test_what_waits_is_what_may_go_live_and_is_newer_along_branches_and_long_lines(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "EVERY", 4)
    drawn = Random(1)
    with database.writing() as session:
        digits = model(session)
        ids = [batch(session, digits).id for _ in range(8)]
        made = list[Version]()
        for _ in range(40):
            parent = drawn.choice([None, *made[-6:]])
            changed = {*(parent.learned if parent else ())} ^ {*drawn.sample(ids, drawn.randint(1, 2))}
            new = held(session, digits, sorted(changed))
            more, less = versions.difference(parent.learned if parent else (), new.learned)
            new.parent_id, new.more, new.less = parent.id if parent else None, more, less
            if drawn.random() < 0.1:  # as rows are that are older than those columns
                new.whole, new.more, new.less = list(new.learned), None, None
            made.append(new)
        retract(session, digits, ids[:2])
        session.flush()
        clean = {v.number for v in made if not versions.retracted_in(session, v)}
        assert len(clean) in range(5, 30)
        assert {*marks(session, digits)} == clean
        live = next(v for v in made[10:] if v.number in clean and v.learned)
        deployments.promote(session, digits, live, "looked at it", by="operator")
        newer = {number for number in clean if number > live.number}
        assert {number for number, mark in marks(session, digits).items() if mark == "waits"} <= newer
        assert newer <= {*marks(session, digits)}
        passed = {*overtaken(session, digits)}
        assert passed & clean
        assert max(passed) < live.number
        assert (passed & clean) | {*marks(session, digits)} == clean - {live.number}


def says(version: Version, rows: int, outcome: Outcome = Outcome.PASS) -> None:
    """Makes its report say that so many rows are surely "a", one of which has another label."""
    one = {"confident": rows, "conflicts": 1, "expected": 0.1}
    evidence = {"a": one, "never in conflict": {**one, "conflicts": 0}}
    batch = {"familiar": rows, "conflicts": 1, "evidence": evidence}
    version.report = {"gate": {"outcome": outcome}, "batch": batch}


def counted(session: Session, base: Version, newest: Sequence[str] = (), most: int = 100) -> list[tuple[int, int]]:
    """(the version before, rows) of each batch that counts."""
    shown = lineage.shown(session, base, newest, most)
    assert all(([*of.evidence], of.conflicts) == (["a"], 1) for of in shown)
    return [(of.version, of.evidence["a"]["confident"]) for of in shown if of.rows == of.evidence["a"]["confident"]]


def test_what_batches_showed_is_that_of_the_line_and_of_what_was_held_beside_it(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        a, b, c, d, e = (batch(session, digits).id for _ in range(5))
        first = promoted(session, digits, [a])
        second = promoted(session, digits, [a, b])
        says(second, 2)
        for k, brought in enumerate((c, c, d), start=3):
            stopped = held(session, digits, sorted([a, b, brought]))
            session.get_one(Update, stopped.update_id).batches = [brought]
            says(stopped, k, Outcome.UNDECIDED)
        assert counted(session, first) == []
        assert counted(session, second) == [(1, 2), (2, 4), (2, 5)], "the same batch again counts once"
        assert counted(session, second, [d]) == [(1, 2), (2, 4)]
        assert counted(session, second, most=2) == [(2, 4), (2, 5)]
        third = promoted(session, digits, [a, b, e])
        says(third, 6)
        assert counted(session, third) == [(1, 2), (2, 4), (2, 5), (2, 6)]
        retract(session, digits, [d])
        assert counted(session, third) == [(1, 2), (2, 4), (2, 6)]
        says(third, 6, Outcome.UNDECIDED)
        assert counted(session, third) == [], "what a person accepted is no conflict"
