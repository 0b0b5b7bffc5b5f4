"""What a claimed update is given to do: the batches that are left, on the base of the claim; or the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.orm import Session

from service.contract.enums import UpdateKind, UpdateState
from service.errors import Conflict
from service.registry import deployments, models, states, updates, versions
from service.registry.rows import ledger
from service.registry.sql.tables import Batch, Model, Update, Version
from service.runtime import Runtime
from service.worker.assignment import Assignment, BatchFacts, Step
from service.worker.parent import assign
from service.worker.parent.assign import assignment
from service.worker.parent.plan import replay
from tests.registry.facts import learn, made, promoted, retract, roll_back, version
from tests.worker.sample_updates import claimed, with_batches

RIDGE, TUNE = {"name": "ridge"}, {"name": "fine_tune", "epochs": 3}


@pytest.fixture
def ids(runtime: Runtime) -> list[str]:
    return with_batches(runtime, 4)


def test_what_its_sender_expects_goes_with_an_update_and_its_challenger(runtime: Runtime, ids: list[str]) -> None:
    with runtime.database.writing() as session:
        digits = models.get(session, "digits")
        update = learn(session, digits, ids[:1])
        update.expect = "relabel"
        assert updates.challenge(session, digits, update, RIDGE, "why").expect == "relabel"
    with runtime.database.reading() as session:
        order = assignment(runtime, session, claimed(runtime))
    assert order.expected


def ordered(runtime: Runtime, names: Sequence[str], kind: UpdateKind = UpdateKind.LEARN) -> Assignment | None:
    with runtime.database.writing() as session:
        digits = models.get(session, "digits")
        (learn if kind is UpdateKind.LEARN else retract)(session, digits, names)
    update = claimed(runtime)
    with runtime.database.reading() as session:
        return assignment(runtime, session, update)


def test_a_first_update_has_no_base_and_all_its_batches(runtime: Runtime, ids: list[str]) -> None:
    request = ordered(runtime, ids[:2])
    assert (request.base, request.start, request.removed) == (None, None, [])
    assert [step.batches for step in request.steps] == [ids[:2]]
    assert request.counts == dict.fromkeys(ids[:2], 8)
    assert set(request.rows) == set(ids[:2])


def test_a_brief_assignment_tells_of_the_latest_batches_of_the_base_and_counts_the_rows_of_all(
    runtime: Runtime, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assign, "LATEST", 1)
    with runtime.database.writing() as session:
        digits = models.get(session, "digits")
        version = promoted(session, digits, ids[:3])
        version.report, version.feature_space = None, None
        for batch_id in ids[:3]:
            ledger.add(session, batch_id, "5" * 64, "6" * 64, 8)
        ledger.add(session, ids[0], "7" * 64, "8" * 64, 8)
        lacking = session.get_one(Batch, ids[0])
        lacking.kept_rows = 5
        learn(session, digits, ids[3:])
    update = claimed(runtime)
    with runtime.database.reading() as session:
        request, whole = (assignment(runtime, session, update, brief) for brief in (True, False))
    assert request.known == (24, 21, 0)
    assert request.entered == ["5" * 64], "one in which all of its batches have an entry"
    assert list(request.counts) == ids[2:]
    assert list(request.rows) == ids[2:]
    assert request.entries == {"5" * 64: {ids[2]: "6" * 64}}
    assert list(whole.counts) == ids
    answer = assign.history(runtime, request)
    assert answer == BatchFacts(**{name: getattr(whole, name) for name in BatchFacts.model_fields})


def test_batches_that_the_base_holds_or_that_were_retracted_are_skipped(runtime: Runtime, ids: list[str]) -> None:
    with runtime.database.writing() as session:
        digits = models.get(session, "digits")
        promoted(session, digits, ids[:1]).report = None
        ledger.add(session, ids[0], "5" * 64, "6" * 64, 8)
        ledger.add(session, ids[3], "5" * 64, "7" * 64, 8)
        update = learn(session, digits, ids[:3])
        session.flush()
        session.get_one(Batch, ids[2]).retracted_at = 1.0
    row = claimed(runtime)
    assert row.id == update.id
    with runtime.database.reading() as session:
        request = assignment(runtime, session, row)
    assert (request.base.number, request.base.learned) == (1, ids[:1])
    assert [step.batches for step in request.steps] == [ids[1:2]]
    assert request.entries == {"5" * 64: {ids[0]: "6" * 64}}


@pytest.mark.parametrize(("place", "sent"), [(1, {"city": ["Nara", "Osaka", "Oska"]}), (3, {})])
def test_values_that_were_brought_are_sent_of_columns_with_new_ones_alone(
    runtime: Runtime, ids: list[str], place: int, sent: dict[str, list[str]]
) -> None:
    brought = [{"city": {"Osaka": 4}, "plan": {"a": 4}}, {"city": {"Oska": 1, "Osaka": 3}, "plan": {"a": 4}}]
    columns = [{"name": name, "kind": "category"} for name in ("city", "plan")]
    with runtime.database.writing() as session:
        digits = models.get(session, "digits")
        digits.input = {"kind": "table", "columns": columns}
        promoted(session, digits, ids[:1]).report = None
        for batch_id, values in zip(ids, [*brought, {"city": {"Nara": 8}}, {"plan": {"a": 8}}], strict=True):
            session.get_one(Batch, batch_id).values = values
    request = ordered(runtime, [ids[place]])
    assert request.vocabulary == sent


def test_on_a_cluster_an_exact_head_over_vectors_takes_no_gpu(runtime: Runtime, ids: list[str]) -> None:
    def device(method: str, ray: str | None) -> str:
        runtime.settings = runtime.settings.model_copy(update={"ray": ray, "device": "cuda"})
        with runtime.database.writing() as session:
            digits = models.get(session, "digits")
            order = updates.Order(UpdateKind.LEARN, ids[:1], {"name": method})
            update = updates.enqueue(session, digits, order, by="somebody")
            made = assignment(runtime, session, update)
            assert made is not None
            return made.device

    asked = [device(method, ray) for method in ("ridge", "auto", "retrain") for ray in (None, "auto")]
    assert asked == ["cuda", "cpu", "cuda", "cpu", "cuda", "cuda"]


def test_nothing_is_left_when_the_base_holds_everything(runtime: Runtime, ids: list[str]) -> None:
    with runtime.database.writing() as session:
        promoted(session, models.get(session, "digits"), ids[:2]).report = None
    assert ordered(runtime, ids[:2]) is None


@pytest.mark.parametrize("with_a_version", [True, False])
def test_a_retraction_of_what_live_never_learned_has_nothing_to_do(
    runtime: Runtime, ids: list[str], with_a_version: bool
) -> None:
    if with_a_version:
        with runtime.database.writing() as session:
            promoted(session, models.get(session, "digits"), ids[:1]).report = None
    assert ordered(runtime, ids[1:2], UpdateKind.RETRACT) is None


def test_learning_on_a_version_whose_retraction_ended_badly_is_refused(runtime: Runtime, ids: list[str]) -> None:
    with runtime.database.writing() as session:
        digits = models.get(session, "digits")
        promoted(session, digits, ids[:1]).report = None
        retract(session, digits, ids[:1]).state = UpdateState.FAILED
    with pytest.raises(Conflict, match="Retry the retraction"):
        ordered(runtime, ids[1:2])


def test_the_gate_looks_back_at_spaced_ages_and_on_what_a_person_promoted(runtime: Runtime, ids: list[str]) -> None:
    with runtime.database.writing() as session:
        digits = models.get(session, "digits")
        for k in range(40):
            made_ = promoted(session, digits, ids[:1]) if k != 20 else version(session, digits, ids[:1])
            made_.bits, made_.report = f"{k:064d}", None
            if k == 20:
                deployments.promote(session, digits, made_, "looks fine", by="operator")
    request = ordered(runtime, ids[1:2])
    assert [b.version for b in request.lineage.bits] == [1, 9, 21, 25, *range(31, 41)]
    assert request.lineage.bits[-1].digest == f"{39:064d}"


class Lineage:
    """Versions one after another, each by a method, each promoted; `exact` heads are functions of the sums."""

    def __init__(self, session: Session, digits: Model) -> None:
        self.session, self.digits = session, digits

    def step(
        self,
        learned: Sequence[str],
        method: dict[str, Any],
        kind: UpdateKind = UpdateKind.LEARN,
        lift_by: Sequence[str] = (),
        backbone_by: Sequence[str] = (),
        requested: dict[str, Any] | None = None,
    ) -> Version:
        requested = None if kind is UpdateKind.RETRACT else requested or method
        order = updates.Order(kind, learned, requested, seed=len(learned))
        update = updates.enqueue(self.session, self.digits, order, by="somebody")
        states.advance(self.session, update, UpdateState.RUNNING, "claimed")
        update.method = method
        exact = {"method": "ridge"} if method["name"] == "ridge" else None
        parts = {"scale": lift_by, "lift.0": lift_by, "head.0": learned, "backbone.0": backbone_by}
        shards = [{"part": p, "digest": "d" * 64, "bytes": 1, "learned": list(by)} for p, by in parts.items()]
        facts = replace(made(learned), layout={"exact": exact}, shards=shards)
        version = versions.add(self.session, self.digits, update, self.digits.live_version_id, facts)
        states.advance(self.session, update, UpdateState.SUCCEEDED, "succeeded")
        deployments.promote(self.session, self.digits, version, "", deployments.BY_ORDER)
        return version


@pytest.fixture
def lineage(runtime: Runtime, ids: list[str]) -> Any:
    with runtime.database.writing() as session:
        yield Lineage(session, models.get(session, "digits"))
        session.rollback()


def plan(replayed: tuple[Version | None, list[Step]]) -> tuple[int | None, list[tuple[list[str], str, int]]]:
    start, steps = replayed
    return start.number if start else None, [(s.batches, s.method["name"], s.seed) for s in steps]


def test_an_exact_head_subtracts_also_what_decided_its_lift(lineage: Lineage, ids: list[str]) -> None:
    a, b, _, _ = ids
    lineage.step([a], RIDGE, lift_by=[a])
    live = lineage.step([a, b], RIDGE, lift_by=[a])
    assert plan(replay(lineage.session, live, [a])) == (2, [([], "ridge", 2)])


def test_a_step_knows_that_auto_chose_its_method_also_after_a_retraction(lineage: Lineage, ids: list[str]) -> None:
    a, b, c, _ = ids
    lineage.step([a], RIDGE)
    lineage.step([a, b], RIDGE, requested={"name": "auto"})
    live = lineage.step([a, b, c], RIDGE, UpdateKind.RETRACT)
    assert [step.by_auto for step in replay(lineage.session, live, [b])[1]] == [True]
    live = lineage.step([a, b, c], RIDGE)
    assert [step.by_auto for step in replay(lineage.session, live, [b])[1]] == [False]


def test_corrected_rows_are_learned_in_the_one_solution_or_last_and_again_by_later_replays(
    lineage: Lineage, ids: list[str]
) -> None:
    a, b, c, d = ids
    live = lineage.step([a], RIDGE)
    assert plan(replay(lineage.session, live, [a], [c])) == (1, [([c], "ridge", 1)])
    lineage.step([a], TUNE, backbone_by=[a])
    live = lineage.step([a, b], {"name": "si"}, backbone_by=[a, b])
    assert plan(replay(lineage.session, live, [b], [c])) == (2, [([], "fine_tune", 1), ([c], "si", 2)])
    live = lineage.step([a, c], {"name": "si"}, UpdateKind.RETRACT, backbone_by=[a, c])
    lineage.session.get_one(Update, live.update_id).adds = [c]
    live = lineage.step([a, c, d], TUNE, backbone_by=[a, c, d])
    assert plan(replay(lineage.session, live, [d])) == (4, [([], "si", 2)])
    assert plan(replay(lineage.session, live, [a]))[1][-2:] == [([c], "si", 2), ([d], "fine_tune", 3)]


def test_an_exact_head_on_a_backbone_that_learned_the_batch_is_replayed(lineage: Lineage, ids: list[str]) -> None:
    a, b, c, _ = ids
    lineage.step([a], TUNE, backbone_by=[a])
    lineage.step([a, b], TUNE, backbone_by=[a, b])
    live = lineage.step([a, b, c], RIDGE, backbone_by=[a, b])
    assert plan(replay(lineage.session, live, [c])) == (3, [([], "ridge", 3)])
    assert plan(replay(lineage.session, live, [b])) == (1, [([c], "ridge", 3)])
    assert plan(replay(lineage.session, live, [a])) == (None, [([b], "fine_tune", 2), ([c], "ridge", 3)])


def test_a_trained_lineage_is_replayed_from_the_last_version_without_the_batch(
    lineage: Lineage, ids: list[str]
) -> None:
    a, b, c, d = ids
    lineage.step([a], TUNE)
    lineage.step([a, b], TUNE)
    live = lineage.step([a, b, c, d], TUNE)
    assert plan(replay(lineage.session, live, [b])) == (1, [([c, d], "fine_tune", 4)])
    assert plan(replay(lineage.session, live, [c])) == (2, [([d], "fine_tune", 4)])
    assert plan(replay(lineage.session, live, [a, d])) == (None, [([b], "fine_tune", 2), ([c], "fine_tune", 4)])
    assert plan(replay(lineage.session, live, ids)) == (None, [])


def test_batches_are_replayed_in_the_order_in_which_they_were_learned(lineage: Lineage, ids: list[str]) -> None:
    a, b, c, d = ids
    lineage.step([a], TUNE)
    live = lineage.step([d, b, a, c], TUNE)
    assert plan(replay(lineage.session, live, [b])) == (1, [([d, c], "fine_tune", 4)])


def test_when_nothing_was_learned_since_the_version_before_is_the_answer(lineage: Lineage, ids: list[str]) -> None:
    a, b, _, _ = ids
    lineage.step([a], TUNE)
    live = lineage.step([a, b], TUNE)
    assert plan(replay(lineage.session, live, [b])) == (1, [([], "fine_tune", 1)])


def test_an_earlier_retraction_in_the_lineage_is_no_step(lineage: Lineage, ids: list[str]) -> None:
    a, b, c, _ = ids
    lineage.step([a], TUNE)
    lineage.step([a, b], TUNE)
    lineage.step([a], TUNE, UpdateKind.RETRACT)
    live = lineage.step([a, c], TUNE)
    assert plan(replay(lineage.session, live, [a])) == (None, [([c], "fine_tune", 2)])
    assert plan(replay(lineage.session, live, [c])) == (3, [([], "fine_tune", 1)])


def test_after_everything_was_taken_back_the_lineage_begins_there(lineage: Lineage, ids: list[str]) -> None:
    a, b, c, _ = ids
    lineage.step([a], TUNE)
    lineage.step([], TUNE, UpdateKind.RETRACT)
    lineage.step([b], TUNE)
    live = lineage.step([b, c], TUNE)
    assert plan(replay(lineage.session, live, [b])) == (2, [([c], "fine_tune", 2)])
    assert plan(replay(lineage.session, live, [b, c])) == (2, [])


def test_a_version_that_was_rolled_back_is_not_part_of_the_lineage(lineage: Lineage, ids: list[str]) -> None:
    a, b, c, _ = ids
    lineage.step([a], TUNE)
    lineage.step([a, b], TUNE)
    roll_back(lineage.session, lineage.digits)
    live = lineage.step([a, c], TUNE)
    assert plan(replay(lineage.session, live, [a])) == (None, [([c], "fine_tune", 2)])
    assert lineage.session.query(Update).filter(Update.model_id == lineage.digits.id).count() == 3
