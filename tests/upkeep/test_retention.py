"""Learned rows leave the disk as their model's retention says; what is left is named, whole, and enough to go on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.contract.enums import Retention
from service.contract.requests import PatchModel
from service.errors import Erased
from service.learning.data.memory import remember
from service.learning.data.rows import FeatureRows, Rows
from service.learning.data.serialization import pack_rows, unpack_rows
from service.learning.ledger.entry import SummedEntry, unpack_entry
from service.learning.ledger.sums import Sums
from service.registry import aliases, batches, deployments, models, versions
from service.registry.rows import ledger
from service.registry.sql.tables import Batch, LedgerEntry, Update
from service.runtime import Runtime
from service.storage.artifacts import SHARDS, exam_area, model_area
from service.upkeep import gc, retention
from service.worker.parent import erasure
from tests.making import make_version
from tests.registry.facts import learn, model, promoted
from tests.updating import make_rows

AREA = model_area(1)
ROWS = 30
SECRET = b"secret"


def arrive(runtime: Runtime, seed: int, numbers: bool = False) -> str:
    """A batch with its rows and an entry in the store; -> its id. The target of a row of numbers is its first input."""
    batch_id = batches.new_batch_id()
    inputs = np.random.default_rng(seed).integers(-90, 90, (ROWS, 3))
    rows = make_rows(batch_id, inputs.astype(np.float32), [""] * ROWS if numbers else list("abc") * 10, SECRET)
    if numbers:
        rows = replace(rows, targets=inputs[:, :1].astype(np.float64))
    with runtime.database.writing() as session:
        arrival = batches.Arrival(
            id=batch_id,
            digest=f"{seed:064x}",
            stored_digest=runtime.store.put(AREA, pack_rows(rows)),
            rows=ROWS,
            unlabelled=0,
            label_counts=rows.counts(),
            folds={},
            lent=[],
            source=None,
            again=True,
        )
        batches.accept(session, models.get(session, "digits"), arrival)
        entry = rows.with_features(inputs.astype(np.int16))
        ledger.add(session, batch_id, "5" * 64, runtime.store.put(AREA, pack_rows(entry)), ROWS)
    return batch_id


def known(runtime: Runtime, seeds: range, numbers: bool = False, **fields: Any) -> list[str]:
    """Batches that the live version learned."""
    with runtime.database.writing() as session:
        model(session, **fields)
    ids = [arrive(runtime, seed, numbers) for seed in seeds]
    with runtime.database.writing() as session:
        promoted(session, models.get(session, "digits"), ids)
    return ids


def rows_of(runtime: Runtime, batch_id: str) -> Rows | None:
    with runtime.database.reading() as session:
        digest = session.get_one(Batch, batch_id).stored_digest
    return unpack_rows(runtime.store.get(AREA, digest)) if digest is not None else None


def entry_of(runtime: Runtime, batch_id: str) -> FeatureRows | SummedEntry:
    with runtime.database.reading() as session:
        digest = session.get_one(LedgerEntry, (batch_id, "5" * 64)).digest
    return unpack_entry(runtime.store.get(AREA, digest))


def stored(runtime: Runtime) -> set[str]:
    return {digest for area, digest, _ in runtime.store.names() if area == AREA}


def test_without_retention_nothing_goes(runtime: Runtime) -> None:
    ids = known(runtime, range(2))
    before = stored(runtime)
    assert retention.settle(runtime, 1) == 0
    assert stored(runtime) == before
    assert [len(rows_of(runtime, b) or ()) for b in ids] == [ROWS, ROWS]


def test_of_none_sums_are_left_and_rows_that_judge_and_select(runtime: Runtime) -> None:
    ids = known(runtime, range(2), retention="none")
    before = [entry_of(runtime, b) for b in ids]
    runtime.cache.put(exam_area(AREA), "c" * 64, b"rows that judge")
    assert retention.settle(runtime, 1) == 2
    assert [rows_of(runtime, b) for b in ids] == [None, None]
    for old, batch_id in zip(before, ids, strict=True):
        new = entry_of(runtime, batch_id)
        assert isinstance(old, FeatureRows)
        assert isinstance(new, SummedEntry)
        assert new.all.digest("5" * 64) == Sums.of(old).digest("5" * 64)
    with runtime.database.reading() as session:
        named = set(session.scalars(LedgerEntry.__table__.select().with_only_columns(LedgerEntry.digest)))
    assert stored(runtime) == named, "everything else is gone at once"
    assert runtime.cache.get(exam_area(AREA), "c" * 64) is None
    assert (retention.settle(runtime, 1), retention.unfinished(runtime)) == (0, [])
    assert gc.collect(runtime, dry_run=True).deleted == []


def test_rows_of_numbers_that_are_kept_keep_their_targets(runtime: Runtime) -> None:
    [batch_id] = known(runtime, range(1), True, retention="exemplars", memory_rows=6)
    before = rows_of(runtime, batch_id)
    retention.settle(runtime, 1)
    left = rows_of(runtime, batch_id)
    assert len(left) == 6 + before.judging.sum()
    assert left.names == ("",)
    assert left.targets.tolist() == left.inputs[:, :1].tolist()


def test_of_exemplars_the_memory_and_the_judges_are_left_and_later_batches_make_room(runtime: Runtime) -> None:
    ids = known(runtime, range(1), retention="exemplars", memory_rows=6)
    every = [rows_of(runtime, b) for b in ids]
    retention.settle(runtime, 1)
    ids.append(arrive(runtime, 7))
    every.append(rows_of(runtime, ids[-1]))
    with runtime.database.writing() as session:
        promoted(session, models.get(session, "digits"), ids)
    assert retention.settle(runtime, 1) >= 1
    whole = Rows.concat([rows for rows in every if rows is not None])
    left = Rows.concat([rows for b in ids if (rows := rows_of(runtime, b)) is not None])
    judges = whole.take(whole.judging)
    memory = remember(whole.take(whole.learning), 6)
    wanted = {(int(h), k) for rows in (judges, memory) for h, k in zip(rows.hashes, rows.label_names(), strict=True)}
    assert {(int(h), k) for h, k in zip(left.hashes, left.label_names(), strict=True)} == wanted
    with runtime.database.reading() as session:
        assert sum(session.get_one(Batch, b).kept_rows for b in ids) == len(left) == len(wanted)


def test_a_batch_that_is_kept_whole_keeps_its_entry_too(runtime: Runtime) -> None:
    [only] = known(runtime, range(1), retention="exemplars", memory_rows=1000)
    with runtime.database.writing() as session:
        session.get_one(Batch, only).trusted = None
    before = stored(runtime)
    retention.settle(runtime, 1)
    kept = rows_of(runtime, only)
    assert len(kept) == int((kept.judging | kept.learning).sum())
    if len(kept) == ROWS:
        assert stored(runtime) == before


def test_exemplars_go_when_nothing_is_to_be_kept_any_more(runtime: Runtime) -> None:
    ids = known(runtime, range(2), retention="exemplars", memory_rows=6)
    retention.settle(runtime, 1)
    assert any(rows_of(runtime, b) for b in ids)
    with runtime.database.writing() as session:
        models.patch(session, models.get(session, "digits"), PatchModel(retention=Retention.NONE))
    assert retention.settle(runtime, 1) == 2
    assert [rows_of(runtime, b) for b in ids] == [None, None]


def test_an_update_that_comes_in_between_keeps_the_rows(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    [only] = known(runtime, range(1), retention="none")

    def order(point: str) -> None:
        if point == "before_rows_go":
            with runtime.database.writing() as session:
                learn(session, models.get(session, "digits"), [only])

    monkeypatch.setattr(runtime, "crash", order)
    assert retention.settle(runtime, 1) == 0
    assert len(rows_of(runtime, only) or ()) == ROWS
    assert isinstance(entry_of(runtime, only), FeatureRows)


def test_a_stop_between_two_batches_leaves_the_rest_for_later(runtime: Runtime) -> None:
    known(runtime, range(3), retention="none")
    answers = iter([False, True])
    assert retention.settle(runtime, 1, lambda: next(answers)) == 1
    assert retention.settle(runtime, 1) == 2


def test_a_batch_whose_rows_are_gone_can_still_be_erased(runtime: Runtime) -> None:
    first, second = known(runtime, range(2), retention="none")
    retention.settle(runtime, 1)
    with runtime.database.writing() as session:
        digits = models.get(session, "digits")
        order = learn(session, digits, [second])
        order.batches = [second]
        erasure.mark(session, order)
    with runtime.database.reading() as session:
        assert erasure.unfinished(session) == [1]
    erasure.finish(runtime, 1)
    with runtime.database.reading() as session:
        assert erasure.unfinished(session) == []
        [left] = session.query(LedgerEntry)
        assert left.batch_id == first
        assert stored(runtime) == {left.digest}


def test_parts_of_versions_that_are_kept_no_longer_go_and_their_reports_stay(runtime: Runtime) -> None:
    with runtime.database.writing() as session:
        digits = model(session, keep_versions=2)
    numbers = [make_version(runtime, seed=seed) for seed in range(7)]
    with runtime.database.writing() as session:
        digits = models.get(session, "digits")
        for number in numbers:
            versions.get(session, digits, number).report = {"batch": {}}
        aliases.put(session, digits, "stable", 2, "somebody", 9)
        deployments.roll_back(session, digits, "why", 4, "somebody")
        running = session.get_one(Update, learn(session, digits).id)
        running.base_version_id = versions.get(session, digits, 3).id
        imported = versions.get(session, digits, 1)
        imported.update_id = None
    before = {digest for _, digest, _ in runtime.store.names(SHARDS)}
    retention.remove_versions(runtime)
    with runtime.database.reading() as session:
        digits = models.get(session, "digits")
        gone = [number for number in numbers if versions.get(session, digits, number).erased_at is not None]
        assert gone == [], "1 is imported, 2 has an alias, 3 is learned on, 4 is live, 5 was before, 6 and 7 new"
    with runtime.database.writing() as session:
        session.get_one(Update, running.id).base_version_id = None
        aliases.delete(session, models.get(session, "digits"), "stable")
    retention.remove_versions(runtime)
    with runtime.database.reading() as session:
        digits = models.get(session, "digits")
        with pytest.raises(Erased, match="The parts of version 3 of digits were removed"):
            versions.present(session, digits, 3)
        assert versions.get(session, digits, 3).report == {"batch": {}}
        left = {part["digest"] for number in (1, 4, 5, 6, 7) for part in versions.get(session, digits, number).shards}
    assert left < before
    assert {digest for _, digest, _ in runtime.store.names(SHARDS)} == left
