"""Publication: one transaction, by the owner alone, with the verdict that the state of things asks for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from service.contract.enums import Expect, Outcome, Promotion, UpdateKind, UpdateState
from service.errors import CorruptArtifact, Incomplete, LeaseLost
from service.registry import batches, deployments, leases, models, updates, versions
from service.registry.sql.tables import Batch, Deployment, LedgerEntry, Model, Update, Version
from service.registry.updates import Order
from service.runtime import Runtime
from service.storage.artifacts import SHARDS, model_area
from service.web.catalogue.said import said
from service.worker.parent.assign import assignment
from service.worker.parent.publish import finish_empty, publish
from tests.registry.facts import learn, live, model, retract, roll_back
from tests.worker.sample_updates import SPACE, claimed, entry, result, store_batch, with_batches


@pytest.fixture
def ids(runtime: Runtime) -> list[str]:
    return with_batches(runtime, 3)


def order(runtime: Runtime, names: list[str]) -> Update:
    with runtime.database.writing() as session:
        learn(session, models.get(session, "digits"), names)
    return claimed(runtime)


def learned(runtime: Runtime, new: list[str], known: list[str], seed: int = 0) -> Update:
    """An update that has gone live."""
    update = order(runtime, new)
    assert publish(runtime, update.id, update.fence, result(runtime, [*known, *new], seed=seed)) == "promoted"
    return update


def rows_of(session: Session, update: Update) -> tuple[Update, Model]:
    return session.get_one(Update, update.id), session.get_one(Model, update.model_id)


def serving(runtime: Runtime) -> int | None:
    return runtime.live.serving_version("digits")


def test_the_store_is_asked_for_several_things_at_once(
    runtime: Runtime, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    update, has, asked, second = order(runtime, ids), runtime.store.has, list[str](), threading.Event()

    def slow(area: str, digest: str) -> bool:
        asked.append(digest)
        if len(asked) > 1:
            second.set()
        return second.wait(60.0) and has(area, digest)

    made = result(runtime, ids)
    monkeypatch.setattr(runtime.store, "has", slow)
    assert publish(runtime, update.id, update.fence, made) == "promoted"
    assert len(asked) == len(made.shards) + len(made.entries) + 1


def test_a_version_that_passed_is_recorded_live_and_served_with_everything_it_names(
    runtime: Runtime, ids: list[str]
) -> None:
    update = order(runtime, ids[:1])
    made = result(runtime, ids[:1])
    assert publish(runtime, update.id, update.fence, made) == "promoted"
    assert serving(runtime) == 1
    with runtime.database.reading() as session:
        row, digits = rows_of(session, update)
        version = models.live(session, digits)
        assert (version.number, [*version.learned], version.parent_id) == (1, ids[:1], None)
        assert (version.update_id, row.version_id, row.state, row.verdict) == (
            row.id,
            version.id,
            "succeeded",
            "promoted",
        )
        assert (row.method, row.learned_rows, row.exam_rows) == ({"name": "ridge"}, 6, 2)
        assert session.get(LedgerEntry, (ids[0], SPACE)) is not None
        moved = session.query(Deployment).one()
        assert (moved.version_id, moved.kind, moved.by) == (version.id, "promote", deployments.BY_GATE)
        assert [e.kind for e in updates.events(session, row.id)] == ["queued", "claimed", "succeeded"]


@pytest.mark.parametrize(
    ("outcome", "promotion", "verdict"),
    [
        (Outcome.FAIL, Promotion.AUTO, "rejected"),
        (Outcome.UNDECIDED, Promotion.AUTO, "held"),
        (Outcome.PASS, Promotion.MANUAL, "held"),
    ],
)
def test_a_version_that_may_not_go_live_is_kept_aside(
    runtime: Runtime, ids: list[str], outcome: Outcome, promotion: Promotion, verdict: str
) -> None:
    learned(runtime, ids[:1], [])
    with runtime.database.writing() as session:
        models.get(session, "digits").promotion = promotion
    update = order(runtime, ids[1:2])
    assert publish(runtime, update.id, update.fence, result(runtime, ids[:2], outcome, seed=1)) == verdict
    assert serving(runtime) == 1
    with runtime.database.reading() as session:
        row, digits = rows_of(session, update)
        assert (live(session, digits), row.verdict, row.state) == (1, verdict, "succeeded")
        assert [*versions.get(session, digits, 2).learned] == sorted(ids[:2])
        assert batches.state(session.get_one(Batch, ids[1])) == "pending"


def test_a_rejection_that_blames_the_batch_makes_it_rejected_until_it_passes(runtime: Runtime, ids: list[str]) -> None:
    learned(runtime, ids[:1], [])
    for blames, state in [(True, "rejected"), (False, "pending")]:
        update = order(runtime, ids[1:2])
        publish(runtime, update.id, update.fence, result(runtime, ids[:2], Outcome.FAIL, blames, seed=1))
        with runtime.database.reading() as session:
            assert batches.state(session.get_one(Batch, ids[1])) == state


def test_after_a_rollback_meanwhile_the_version_is_superseded(runtime: Runtime, ids: list[str]) -> None:
    learned(runtime, ids[:1], [])
    learned(runtime, ids[1:2], ids[:1], seed=1)
    update = order(runtime, ids[2:])
    with runtime.database.writing() as session:
        digits = models.lock(session, update.model_id)
        roll_back(session, digits)
        digits.promotion = Promotion.AUTO
    assert publish(runtime, update.id, update.fence, result(runtime, ids, seed=2)) == "superseded"
    with runtime.database.reading() as session:
        row, digits = rows_of(session, update)
        assert live(session, digits) == 1
        assert row.verdict == "superseded"
        why = (versions.by_id(session, row.version_id or 0).report or {})["gate"]["why"]
        assert why.startswith(
            "Set aside: version 2 stopped being live while this was learning. Learn it again on version 1."
        )
        waiting = [b.id for b in batches.pending(session, digits)]
        assert waiting == ids[1:]


def test_whoever_lost_the_lease_publishes_nothing(runtime: Runtime, ids: list[str]) -> None:
    update = order(runtime, ids[:1])
    with runtime.database.writing() as session:
        session.get_one(Update, update.id).lease_until = 0.0
    with runtime.database.writing() as session:
        leases.rescue(session, 3)
    again = claimed(runtime, "w2")
    made = result(runtime, ids[:1])
    for refused in (publish, finish_empty):
        with pytest.raises(LeaseLost):
            refused(runtime, update.id, update.fence, *([made] if refused is publish else []))
    with runtime.database.reading() as session:
        assert session.query(Version).count() == 0
    assert serving(runtime) is None
    assert publish(runtime, again.id, again.fence, made) == "promoted"
    with pytest.raises(LeaseLost):
        publish(runtime, again.id, again.fence, made)
    with runtime.database.reading() as session:
        assert session.query(Version).count() == 1


@pytest.mark.parametrize("which", ["shard", "entry", "bits"])
def test_bytes_that_are_gone_meanwhile_are_noticed_before_the_version_is_a_fact(
    runtime: Runtime, ids: list[str], which: str
) -> None:
    update = order(runtime, ids[:1])
    made = result(runtime, ids[:1], Outcome.FAIL)
    assert made.bits is not None
    digest = {"shard": made.shards[0].digest, "entry": made.entries[0].digest, "bits": made.bits}[which]
    runtime.store.delete(SHARDS if which == "shard" else model_area(1), digest)
    with pytest.raises(CorruptArtifact, match="missing"):
        publish(runtime, update.id, update.fence, made)
    with runtime.database.reading() as session:
        assert session.query(Version).count() == 0
        assert rows_of(session, update)[0].state == "running"


def test_a_version_that_lacks_an_entry_of_what_it_learned_is_not_published(runtime: Runtime, ids: list[str]) -> None:
    learned(runtime, ids[:1], [])
    update = order(runtime, ids[1:])
    made = result(runtime, ids, seed=1, entries=[entry(runtime, ids[1])])
    with pytest.raises(Incomplete, match=ids[2]):
        publish(runtime, update.id, update.fence, made)
    with runtime.database.reading() as session:
        assert session.query(Version).count() == 1
        assert session.get(LedgerEntry, (ids[1], SPACE)) is None
        assert rows_of(session, update)[0].state == "running"
    whole = made.model_copy(update={"entries": [entry(runtime, b) for b in ids[1:]]})
    assert publish(runtime, update.id, update.fence, whole) == "promoted", "the base's entry is there already"


def test_a_batch_that_is_retracted_while_it_is_learned_has_the_update_learn_again(
    runtime: Runtime, ids: list[str]
) -> None:
    update = order(runtime, ids[:2])
    with runtime.database.writing() as session:
        retract(session, models.get(session, "digits"), ids[:1])
    assert publish(runtime, update.id, update.fence, result(runtime, ids[:2])) is None
    with runtime.database.reading() as session:
        row, _ = rows_of(session, update)
        assert (row.state, row.attempts) == ("queued", 0)
        assert session.query(Version).count() == 0
    assert claimed(runtime).kind == "retract"


def test_a_retraction_whose_base_moved_is_queued_again_and_never_superseded(runtime: Runtime, ids: list[str]) -> None:
    learned(runtime, ids[:1], [])
    learned(runtime, ids[1:2], ids[:1], seed=1)
    with runtime.database.writing() as session:
        retract(session, models.get(session, "digits"), ids[1:2])
    update = claimed(runtime)
    with runtime.database.writing() as session:
        roll_back(session, models.lock(session, update.model_id))
    made = result(runtime, ids[:1], seed=2)
    assert publish(runtime, update.id, update.fence, made) is None
    again = claimed(runtime)
    assert (again.id, again.attempts) == (update.id, 1)
    assert publish(runtime, again.id, again.fence, made) == "promoted"
    assert serving(runtime) == 3


def test_a_retraction_goes_live_by_order_although_the_gate_and_the_mode_would_not(
    runtime: Runtime, ids: list[str]
) -> None:
    learned(runtime, ids[:2], [])
    with runtime.database.writing() as session:
        digits = models.get(session, "digits")
        digits.promotion = Promotion.MANUAL
        retract(session, digits, ids[:1])
    update = claimed(runtime)
    assert publish(runtime, update.id, update.fence, result(runtime, ids[1:2], Outcome.FAIL, seed=1)) == "promoted"
    with runtime.database.reading() as session:
        digits = models.get(session, "digits")
        assert live(session, digits) == 2
        assert session.query(Deployment).order_by(Deployment.id.desc()).first().by == deployments.BY_ORDER  # type: ignore[union-attr]


def test_two_retractions_that_wait_for_one_another_both_end(runtime: Runtime, ids: list[str]) -> None:
    learned(runtime, ids, [])
    with runtime.database.writing() as session:
        digits = models.get(session, "digits")
        retract(session, digits, ids[:1])
        retract(session, digits, ids[1:2])
    for left, seed in [(ids[1:], 1), (ids[2:], 2)]:
        update = claimed(runtime)
        assert publish(runtime, update.id, update.fence, result(runtime, left, seed=seed)) == "promoted"
    with runtime.database.reading() as session:
        assert session.query(Update).filter(Update.state != UpdateState.SUCCEEDED).count() == 0


def test_an_archived_model_publishes_nothing(runtime: Runtime, ids: list[str]) -> None:
    update = order(runtime, ids[:1])
    with runtime.database.writing() as session:
        models.archive(session, models.get(session, "digits"))
    assert publish(runtime, update.id, update.fence, result(runtime, ids[:1])) is None
    with runtime.database.reading() as session:
        assert rows_of(session, update)[0].state == "cancelled"
        assert session.query(Version).count() == 0


def test_nothing_left_to_learn_is_a_success_without_version_and_verdict(runtime: Runtime, ids: list[str]) -> None:
    update = order(runtime, ids[:1])
    finish_empty(runtime, update.id, update.fence)
    with runtime.database.reading() as session:
        row, _ = rows_of(session, update)
        assert (row.state, row.verdict, row.version_id) == ("succeeded", None, None)
        assert row.why.startswith("Nothing was left to learn")
    learned(runtime, ids[:2], [])
    again = order(runtime, ids[:1])
    finish_empty(runtime, again.id, again.fence)
    with runtime.database.reading() as session:
        held = "These rows are learned already: version 1, which is live, holds them."
        assert rows_of(session, again)[0].why == held
    with runtime.database.writing() as session:
        asked = Order(UpdateKind.LEARN, ids[:1], {"name": "ridge"}, 7, expect=Expect.RELABEL, device="cpu")
        updates.enqueue(session, models.get(session, "digits"), asked, "somebody")
    other = claimed(runtime)
    finish_empty(runtime, other.id, other.fence)
    with runtime.database.reading() as session:
        why = rows_of(session, other)[0].why
    assert why == f"{held} What was said of them now (method, expect, seed and device) did nothing."
    assert "今回の指定（method, expect, seed and device）" in said(why, "ja")


class PowerCut(BaseException):
    """The process ends here."""


@pytest.mark.parametrize(("point", "committed"), [("before_commit", False), ("after_commit", True)])
def test_power_cut_around_the_commit_shows_all_or_nothing(
    runtime: Runtime, ids: list[str], monkeypatch: pytest.MonkeyPatch, point: str, committed: bool
) -> None:
    update = order(runtime, ids[:1])

    def cut(reached: str) -> None:
        if reached == point:
            raise PowerCut

    monkeypatch.setattr(runtime, "crash", cut)
    with pytest.raises(PowerCut):
        publish(runtime, update.id, update.fence, result(runtime, ids[:1]))
    with runtime.database.reading() as session:
        row, digits = rows_of(session, update)
        assert (row.state == "succeeded") == committed
        assert (live(session, digits) == 1) == committed
        assert session.query(Version).count() == session.query(Deployment).count() == committed


def test_how_a_file_was_read_is_said_where_the_batch_before_of_its_source_was_read_otherwise(runtime: Runtime) -> None:
    read, other, twice = "Cells are parted by tabs.", "x is left out.", "All rows are in batch bat_1, too."
    sent: list[tuple[list[tuple[str | None, list[str] | None]], list[str]]] = [
        ([("a", [read]), (None, [read])], [read]),
        ([("a", [read]), ("a", [other, read])], [other]),
        ([("a", [twice, other])], [twice]),
        ([("a", [twice, other]), (None, [read])], [twice]),
        ([(None, None), (None, [read])], [read]),
    ]
    ids, known = with_batches(runtime, sum(len(brought) for brought, _ in sent)), list[str]()
    for seed, (brought, due) in enumerate(sent):
        new = ids[len(known) : len(known) + len(brought)]
        with runtime.database.writing() as session:
            for batch_id, (source, notes) in zip(new, brought, strict=True):
                batch = session.get_one(Batch, batch_id)
                batch.source, batch.notes = source, notes
        learned(runtime, new, known, seed)
        known += new
        with runtime.database.reading() as session:
            assert models.live(session, models.get(session, "digits")).report["batch"]["notes"] == due


def test_as_many_statements_are_asked_however_many_batches_the_model_and_the_update_have(runtime: Runtime) -> None:
    counts = []
    for name, known, new in (("few", 2, 1), ("many", 9, 5)):
        with runtime.database.writing() as session:
            area = model_area(model(session, name).id)
            ids = [store_batch(runtime, session, name, seed=k).id for k in range(known + new)]
        for some, all_ in ((ids[:known], ids[:known]), (ids[known:], ids)):
            with runtime.database.writing() as session:
                learn(session, models.get(session, name), some)
            update = claimed(runtime)
            made = result(runtime, all_, seed=len(all_), area=area)
            with counted() as asked:
                with runtime.database.reading() as session:
                    assert assignment(runtime, session, update) is not None
                assert publish(runtime, update.id, update.fence, made) == "promoted"
        counts.append(len(asked))
    assert counts[0] == counts[1]


@contextmanager
def counted() -> Iterator[list[str]]:
    """Collects the statements that are run meanwhile."""
    asked: list[str] = []
    listening = Engine, "before_cursor_execute", lambda *call: asked.append(call[2])
    event.listen(*listening)
    yield asked
    event.remove(*listening)
