"""Erasure: tombstones with the end of the retraction, all bytes of the rows gone, made up for after a crash."""

from __future__ import annotations

import pytest

from service.errors import Erased
from service.registry import ledger, models, versions
from service.registry.tables import Batch, LedgerEntry, Version
from service.runtime import Runtime
from service.storage.artifacts import SHARDS, model_area
from service.worker import erasure
from service.worker.publish import finish_empty, publish
from tests.registry.facts import learn, model, retract, version
from tests.worker.made import claimed, result, store_batch

AREA = model_area(1)


@pytest.fixture
def ids(runtime: Runtime) -> list[str]:
    """Version 1 learned one batch, version 2, live, that and a second; both have entries."""
    with runtime.database.writing() as session:
        model(session)
        ids = [store_batch(runtime, session, seed=k).id for k in range(2)]
        for batch_id in ids:
            ledger.add(session, batch_id, "5" * 64, runtime.store.put(AREA, b"features of " + batch_id.encode()), 8)
    for k in range(2):
        with runtime.database.writing() as session:
            learn(session, models.get(session, "digits"), ids[k : k + 1])
        update = claimed(runtime)
        publish(runtime, update.id, update.fence, result(runtime, ids[: k + 1], seed=k))
    runtime.cache.put(AREA, "c" * 64, b"sums")
    return ids


def taken_back(runtime: Runtime, ids: list[str], seed: int = 9) -> None:
    """The second batch is retracted and erased; the bytes are still there."""
    with runtime.database.writing() as session:
        retract(session, models.get(session, "digits"), ids[1:], erase=True)
    update = claimed(runtime)
    assert publish(runtime, update.id, update.fence, result(runtime, ids[:1], seed=seed)) == "promoted"


def stored(runtime: Runtime, area: str) -> set[str]:
    return {digest for found, digest, _ in runtime.store.names() if found == area}


def test_the_tombstones_are_set_when_the_retraction_ends(runtime: Runtime, ids: list[str]) -> None:
    taken_back(runtime, ids)
    with runtime.database.reading() as session:
        digits = models.get(session, "digits")
        assert [b.erased_at is not None for b in session.query(Batch).order_by(Batch.id)] == [False, True]
        assert [v.erased_at is not None for v in session.query(Version).order_by(Version.number)] == [
            False,
            True,
            False,
        ]
        assert versions.get(session, digits, 2).report is None
        with pytest.raises(Erased):
            versions.present(session, digits, 2)
        assert erasure.unfinished(session) == [digits.id]


def test_every_byte_made_of_the_rows_goes_and_nothing_else(runtime: Runtime, ids: list[str]) -> None:
    with runtime.database.reading() as session:
        kept_batch, gone_batch = session.query(Batch).order_by(Batch.id)
        first, second = session.query(Version).order_by(Version.number)
        entries = {e.batch_id: e.digest for e in session.query(LedgerEntry)}
    taken_back(runtime, ids)
    erasure.finish(runtime, 1)
    rows_left, shards_left = stored(runtime, AREA), stored(runtime, SHARDS)
    assert {kept_batch.stored_digest, entries[ids[0]], first.bits} <= rows_left
    assert not rows_left & {gone_batch.stored_digest, entries[ids[1]], second.bits}
    firsts, seconds = ({s["digest"] for s in v.shards} for v in (first, second))
    assert firsts <= shards_left
    assert not shards_left & (seconds - firsts)
    assert runtime.cache.get(AREA, "c" * 64) is None
    assert runtime.live.find("digits", 2) is None
    with runtime.database.reading() as session:
        assert erasure.unfinished(session) == []
        assert session.get_one(Batch, ids[1]).stored_digest is None
        assert [e.batch_id for e in session.query(LedgerEntry)] == [ids[0]]
    erasure.finish(runtime, 1)
    assert stored(runtime, SHARDS) == shards_left


def test_bytes_that_another_version_names_stay(runtime: Runtime, ids: list[str]) -> None:
    """The version without the batch answered as the one before, bit by bit."""
    taken_back(runtime, ids, seed=1)
    erasure.finish(runtime, 1)
    with runtime.database.reading() as session:
        live = models.live(session, models.get(session, "digits"))
    assert live is not None
    assert {s["digest"] for s in live.shards} <= stored(runtime, SHARDS)
    assert live.bits in stored(runtime, AREA)


def test_a_batch_that_was_never_live_is_erased_from_the_versions_that_were_set_aside(
    runtime: Runtime, ids: list[str]
) -> None:
    with runtime.database.writing() as session:
        digits = models.get(session, "digits")
        bad = store_batch(runtime, session, seed=7).id
        aside = version(session, digits, [*ids, bad]).id
        retract(session, digits, [bad], erase=True)
    update = claimed(runtime)
    finish_empty(runtime, update.id, update.fence)
    with runtime.database.reading() as session:
        assert erasure.unfinished(session) == [1]
        assert session.get_one(Version, aside).erased_at is not None
    erasure.finish(runtime, 1)
    with runtime.database.reading() as session:
        assert session.get_one(Batch, bad).stored_digest is None
        assert models.live(session, models.get(session, "digits")).number == 2  # type: ignore[union-attr]
