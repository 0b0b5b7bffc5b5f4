"""The live pointer: promote, roll back, refuse; and any sequence of moves against a small model in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from service.contract.enums import DisputeState, Promotion, Verdict
from service.contract.reports.class_report import Dispute as Disputed
from service.errors import Conflict, Erased, LiveMoved
from service.registry import batches, deployments, disputes, models, standing, versions
from service.registry.rows import stopped, unlearned
from service.registry.sql.database import Database
from service.registry.sql.engines import open_database
from service.registry.sql.tables import Batch, Deployment, Dispute, Update
from service.web.catalogue.said import said as spoken
from tests.registry.facts import batch, live, model, promoted, roll_back, version


def walked(session: Session) -> list[tuple[str, int | None, int]]:
    """(kind, from, to) of every deployment, oldest first; every model of these tests numbers its versions from 1."""
    rows = session.scalars(select(Deployment).order_by(Deployment.id))
    return [
        (
            row.kind,
            versions.by_id(session, row.previous_id).number if row.previous_id else None,
            versions.by_id(session, row.version_id).number,
        )
        for row in rows
    ]


def test_a_rollback_restores_what_was_live_before_and_names_the_promotion_it_undoes(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        promoted(session, digits)
        promoted(session, digits)
        undone = roll_back(session, digits)
        assert live(session, digits) == 1
        assert walked(session) == [("promote", None, 1), ("promote", 1, 2), ("rollback", 2, 1)]
        last_promotion = session.scalars(select(Deployment).where(Deployment.id == undone.undoes)).one()
        assert versions.by_id(session, last_promotion.version_id).number == 2


def test_repeated_rollbacks_walk_back_and_never_toggle(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        for _ in range(4):
            promoted(session, digits)
        seen = [roll_back(session, digits) and live(session, digits) for _ in range(3)]
        assert seen == [3, 2, 1]
        with pytest.raises(Conflict, match="no version before"):
            roll_back(session, digits)
        assert live(session, digits) == 1


def test_a_rollback_after_a_promotion_by_hand_undoes_that_promotion(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        first, second = promoted(session, digits), promoted(session, digits)
        roll_back(session, digits)
        deployments.promote(session, digits, second, "it was fine", by="operator")
        assert live(session, digits) == 2
        roll_back(session, digits)
        assert live(session, digits) == first.number
        with pytest.raises(Conflict):
            roll_back(session, digits)


def test_a_model_that_never_went_live_has_nothing_to_go_back_to(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        version(session, digits)
        with pytest.raises(Conflict):
            roll_back(session, digits)


def test_rolling_back_to_a_version_undoes_every_promotion_since(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        for _ in range(4):
            promoted(session, digits)
        roll_back(session, digits, to=2)
        assert live(session, digits) == 2
        assert walked(session)[4:] == [("rollback", 4, 3), ("rollback", 3, 2)]
        roll_back(session, digits)
        assert live(session, digits) == 1


@pytest.mark.parametrize("to", [2, 4, 9])
def test_a_version_that_is_not_on_the_way_back_is_refused(database: Database, to: int) -> None:
    """2 was never live, 4 is live now, 9 is not there."""
    with database.writing() as session:
        digits = model(session)
        promoted(session, digits)
        version(session, digits)
        promoted(session, digits)
        promoted(session, digits)
        with pytest.raises(Conflict, match="deployments"):
            roll_back(session, digits, to=to)
        assert live(session, digits) == 4


def test_a_rollback_makes_promotion_manual(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        promoted(session, digits)
        promoted(session, digits)
        assert digits.promotion == Promotion.AUTO
        roll_back(session, digits)
        assert digits.promotion == Promotion.MANUAL


def test_a_refused_rollback_changes_nothing(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        promoted(session, digits)
        with pytest.raises(Conflict):
            roll_back(session, digits)
        assert digits.promotion == Promotion.AUTO
        assert len(walked(session)) == 1


def test_the_move_says_which_batches_it_leaves_out(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        a, b, c = (batch(session, digits).id for _ in range(3))
        promoted(session, digits, [a])
        promoted(session, digits, [a, b])
        promoted(session, digits, [a, b, c])
        undone = roll_back(session, digits, to=1)
        assert undone.left_out == [b]
        answer = deployments.rolled_back(session, digits, undone, before=3)
        assert (answer.live_version, answer.previous_version, answer.promotion) == (1, 3, "manual")
        assert answer.left_out == sorted([b, c])


def test_a_version_with_a_retracted_batch_is_refused_with_the_nearest_clean_one(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        a, b = batch(session, digits), batch(session, digits)
        promoted(session, digits, [a.id])
        promoted(session, digits, [a.id, b.id])
        promoted(session, digits, [a.id, b.id])
        promoted(session, digits, [a.id])
        b.retracted_at = 1.0
        with pytest.raises(Conflict) as refused:
            roll_back(session, digits, to=3)
        assert refused.value.members == {"nearest_clean": 1, "to": 1}
        assert b.id in refused.value.detail
        with pytest.raises(Conflict) as refused:
            deployments.promote(session, digits, versions.get(session, digits, 2), "again", by="operator")
        assert refused.value.members == {"nearest_clean": 1}
        assert live(session, digits) == 4
        asked = list[str]()
        event.listen(session.connection(), "before_cursor_execute", lambda *said: asked.append(said[2]))
        _, passed = deployments.roll_back(session, digits, "bad", None, "operator")
        assert (passed, live(session, digits)) == ([3, 2], 1)
        walks = [statement for statement in asked if "undoes" in statement and statement.startswith("SELECT")]
        assert len(walks) == 2, "the first step alone, and all of them once"
        deployments.promote(session, digits, versions.get(session, digits, 4), "it was good", by="operator")
        a.retracted_at = 1.0
        with pytest.raises(Conflict, match="Version 1 learned batch"):
            roll_back(session, digits)
        assert live(session, digits) == 4


def test_a_version_that_was_stopped_is_not_named_and_what_waits_is(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        a, b, other = (batch(session, digits) for _ in range(3))
        bad = promoted(session, digits, [a.id])
        rejected = version(session, digits, [b.id])
        session.get_one(Update, rejected.update_id).verdict = Verdict.REJECTED
        a.retracted_at, b.rejected_by = 1.0, rejected.update_id
        with pytest.raises(Conflict) as refused:
            versions.require_clean(session, digits, bad)
        assert refused.value.members == {"nearest_clean": None}
        how = '1 batch of 4 rows waits to be learned: POST {"batches": "pending"} to /v1/models/digits/updates.'
        assert refused.value.detail.endswith(f"No other good version is without it. {how}")
        assert other.id in {waits.id for waits in batches.pending(session, digits)}
        deployments.promote(session, digits, rejected, "it is good", by="operator")
        assert versions.nearest_clean(session, digits, bad.number) == rejected.number


def test_of_batches_that_were_stopped_together_nobody_knows_which_is_bad(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        bad, good, ready = (batch(session, digits) for _ in range(3))
        for learned, outcome in (([bad.id], "undecided"), ([bad.id, good.id], "undecided"), ([ready.id], "pass")):
            made = version(session, digits, learned)
            made.report = {"gate": {"outcome": outcome}}
            session.get_one(Update, made.update_id).verdict = Verdict.HELD
        ids = [bad.id, good.id, ready.id]
        assert stopped.by(session, ids) == {bad.id: 2, good.id: 2, ready.id: 3}
        assert stopped.alone(session, ids) == {bad.id: 1}
        shown = batches.resources_of(session, digits, [bad, good, ready])
        assert [(one.stopped, one.stopped_alone, one.is_doubtful) for one in shown] == [
            (2, 1, True),
            (2, None, False),
            (3, None, False),
        ]


def test_what_the_gate_stopped_and_what_was_refuted_is_not_counted_among_what_waits(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        fresh, held, wrong, ready = (batch(session, digits) for _ in range(4))
        each = {of.id: version(session, digits, [of.id]) for of in (held, wrong, ready)}
        each[ready.id].report = {"gate": {"outcome": "pass"}}
        for of in each.values():
            session.get_one(Update, of.update_id).verdict = Verdict.HELD
        disputed = session.get_one(Update, each[wrong.id].update_id)
        disputes.open_all(session, digits, disputed, [Disputed(class_="3", suggested="8", rows=4, source=None)])
        [dispute] = session.scalars(select(Dispute))
        disputes.settle_by_hand(session, dispute, DisputeState.REFUTED, "operator", "looked")
        every = unlearned.how_to_learn(session, digits)
        assert every == (
            f' 1 batch of 4 rows waits to be learned: POST {{"batches": ["{fresh.id}"]}} to /v1/models/digits/updates.'
            ' 1 batch of 4 rows passed every check and waits for you: POST {"version": 3} to '
            "/v1/models/digits/deployments."
            " 1 batch of 4 rows was stopped by the gate: the report of version 1 says what to do."
            " The labels of 1 batch of 4 rows were refuted: correct its rows, or take it back."
        )
        counted = unlearned.counted(session, [digits.id])[digits.id]
        assert (counted.batches, counted.rows, counted.stopped, counted.refuted) == (4, 16, 1, 1)
        assert counted.sentence == "Of 4 batches that wait 1 was stopped by the gate and 1 was refuted by a dispute."
        fresh.retracted_at = held.retracted_at = ready.retracted_at = 1.0
        assert unlearned.counted(session, [digits.id])[digits.id].refuted == 1
        only = unlearned.how_to_learn(session, digits)
        assert only == " The labels of 1 batch of 4 rows were refuted: correct its rows, or take it back."
        assert spoken(every.strip(), "ja")


def test_no_version_is_clean_once_everything_was_retracted(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        a = batch(session, digits)
        first = promoted(session, digits, [a.id])
        a.retracted_at = 1.0
        with pytest.raises(Conflict, match="No other good version is without it") as refused:
            versions.require_clean(session, digits, first)
        assert refused.value.members == {"nearest_clean": None}
        now = batch(session, digits)
        now.corrects = a.id
        now.in_live = True
        with pytest.raises(Conflict, match=f"learned batch {a.id}, which was corrected") as refused:
            versions.require_clean(session, digits, first)
        how = (
            f"To undo the correction, correct the rows once more: POST /v1/models/digits/batches/{now.id}/corrections."
        )
        assert refused.value.detail.endswith(how)


def test_an_erased_version_cannot_go_live(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        promoted(session, digits)
        gone = version(session, digits)
        gone.erased_at = 1.0
        with pytest.raises(Erased):
            deployments.promote(session, digits, gone, "?", by="operator")


def test_a_rollback_passes_over_versions_that_are_gone(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        made = [promoted(session, digits) for _ in range(4)]
        made[1].erased_at = made[2].erased_at = 1.0
        assert deployments.way_back_to(session, digits, None) == 1
        roll_back(session, digits)
        assert live(session, digits) == 1
        deployments.promote(session, digits, made[3], "it was fine", by="operator")
        made[0].erased_at = 1.0
        with pytest.raises(Erased, match="No other one is there") as refused:
            roll_back(session, digits, to=1)
        assert refused.value.members == {"nearest_clean": None}, "the live one is no remedy"
        with pytest.raises(Conflict, match="erased or removed"):
            roll_back(session, digits)
        assert live(session, digits) == 4


def test_an_ordered_retraction_goes_live_although_another_batch_is_still_to_be_taken_back(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        a, b = batch(session, digits), batch(session, digits)
        promoted(session, digits, [a.id, b.id])
        a.retracted_at = b.retracted_at = 1.0
        without_a = version(session, digits, [b.id])
        with pytest.raises(Conflict):
            deployments.promote(session, digits, without_a, "by hand", by="operator")
        deployments.promote(session, digits, without_a, "ordered", by=deployments.BY_ORDER)
        assert live(session, digits) == 2


def test_the_live_version_cannot_be_promoted_again(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        first = promoted(session, digits)
        with pytest.raises(Conflict, match="live already"):
            deployments.promote(session, digits, first, "again", by="operator")


def test_compare_and_set_tells_which_version_is_live(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        with pytest.raises(LiveMoved) as refused:
            models.check_live(session, digits, 1)
        assert refused.value.members == {"live_version": None}
        promoted(session, digits)
        models.check_live(session, digits, 1)
        models.check_live(session, digits, None)
        with pytest.raises(LiveMoved) as refused:
            models.check_live(session, digits, 7)
        assert refused.value.members == {"live_version": 1}


def test_promoted_versions_come_newest_first_each_once_and_only_those_still_there(database: Database) -> None:
    with database.writing() as session:
        digits = model(session)
        first, second, third = (promoted(session, digits) for _ in range(3))
        deployments.promote(session, digits, first, "again", by="operator")
        second.erased_at = 1.0
        assert standing.promoted(session, digits, deployments.BY_GATE) == [first.id, third.id]
        roll_back(session, digits)
        assert standing.promoted(session, digits, deployments.BY_GATE) == [third.id, first.id], (
            "what was undone does not count"
        )


class Moves(RuleBasedStateMachine):
    """Random moves of the pointer. The model in memory: what each version learned, and the way back as a stack."""

    fresh: Callable[[], str]

    def __init__(self) -> None:
        super().__init__()
        self.database = open_database(self.fresh())
        self.writing = self.database.writing()
        self.session = self.writing.__enter__()
        self.digits = model(self.session)
        self.learned: dict[int, frozenset[str]] = {}
        self.retracted: set[str] = set()
        self.way: list[tuple[int | None, int]] = []
        self.live: int | None = None
        self.promotion = Promotion.AUTO
        self.history = 0

    def clean(self, number: int) -> bool:
        return not self.learned[number] & self.retracted

    def number(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.learned)), label="version")

    @rule()
    def learn(self) -> None:
        """A version with one batch more than the live one, kept aside."""
        base = self.learned[self.live] if self.live else frozenset[str]()
        learned = base | {batch(self.session, self.digits).id}
        made = version(self.session, self.digits, sorted(learned))
        assert made.number == len(self.learned) + 1
        self.learned[made.number] = learned

    @precondition(lambda self: self.learned)
    @rule(data=st.data())
    def promote(self, data: st.DataObject) -> None:
        number = self.number(data)
        target = versions.get(self.session, self.digits, number)
        allowed = self.clean(number) and number != self.live
        try:
            deployments.promote(self.session, self.digits, target, "better", by="operator")
        except Conflict:
            assert not allowed
            return
        assert allowed
        self.way.append((self.live, number))
        self.live = number
        self.history += 1

    @rule()
    def back(self) -> None:
        self._back(1 if self.way and self.way[-1][0] is not None else 0, to=None)

    @precondition(lambda self: self.learned)
    @rule(data=st.data())
    def back_to(self, data: st.DataObject) -> None:
        number = self.number(data)
        newest_first = [previous for previous, _ in reversed(self.way)]
        self._back(newest_first.index(number) + 1 if number in newest_first else 0, to=number)

    def _back(self, steps: int, to: int | None) -> None:
        target = self.way[-steps][0] if steps else None
        allowed = target is not None and self.clean(target)
        try:
            roll_back(self.session, self.digits, to)
        except Conflict:
            assert not allowed
            return
        assert allowed
        del self.way[-steps:]
        self.live, self.promotion = target, Promotion.MANUAL
        self.history += steps

    @precondition(lambda self: self.learned)
    @rule(data=st.data())
    def retract(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(frozenset[str]().union(*self.learned.values()))), label="batch")
        self.retracted.add(name)
        self.session.get_one(Batch, name).retracted_at = 1.0

    @rule()
    def resume(self) -> None:
        self.digits.promotion = self.promotion = Promotion.AUTO

    @invariant()
    def the_pointer_is_where_the_model_says(self) -> None:
        assert live(self.session, self.digits) == self.live
        assert self.digits.promotion == self.promotion

    @invariant()
    def the_history_is_a_chain(self) -> None:
        rows: Sequence[Deployment] = self.session.scalars(select(Deployment).order_by(Deployment.id)).all()
        assert len(rows) == self.history
        assert [row.previous_id for row in rows] == [None, *[row.version_id for row in rows]][: len(rows)]

    def teardown(self) -> None:
        self.session.rollback()
        self.writing.__exit__(None, None, None)
        self.database.close()


def test_any_sequence_of_moves_agrees_with_a_model_in_memory(
    fresh_database: Callable[[Path], str], tmp_path: Path
) -> None:
    folders = (folder for k in count() if not (folder := tmp_path / str(k)).mkdir())
    machine = type("MovesInADatabase", (Moves,), {"fresh": staticmethod(lambda: fresh_database(next(folders)))})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=20,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
