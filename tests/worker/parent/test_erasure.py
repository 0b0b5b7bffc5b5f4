"""Erasure: tombstones with the end of the retraction, all bytes of the rows gone, made up for after a crash."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.contract.enums import UpdateKind
from service.errors import Busy, Conflict, Erased
from service.registry import batches, models, updates, versions
from service.registry.callers import audit, idempotency
from service.registry.callers.actor import WORKER, Actor, act_as
from service.registry.rows import ledger
from service.registry.sql.tables import Batch, LedgerEntry, Update, Version
from service.runtime import Runtime
from service.storage.artifacts import SHARDS, model_area
from service.worker.parent import erasure
from service.worker.parent.publish import finish_empty, give_up, publish
from tests.registry.facts import learn, model, retract, version
from tests.worker.sample_updates import claimed, entry, result, store_batch

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
    act_as(Actor("key_1", "from-till-7"))
    with runtime.database.writing() as session:
        retract(session, models.get(session, "digits"), ids[1:], erase=True)
    act_as(WORKER)
    update = claimed(runtime)
    assert publish(runtime, update.id, update.fence, result(runtime, ids[:1], seed=seed)) == "promoted"


def stored(runtime: Runtime, area: str) -> set[str]:
    return {digest for stored_area, digest, _ in runtime.store.names() if stored_area == area}


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
        erased = [row for row in audit.page(session, 100, None)[0] if row.action == "batch.erased"]
        assert [(row.subject, row.by, row.request_id) for row in erased] == [(ids[1], "worker", "from-till-7")]
    erasure.finish(runtime, 1)
    assert stored(runtime, SHARDS) == shards_left


def test_a_version_that_was_removed_loses_its_report_of_erased_rows_too(runtime: Runtime, ids: list[str]) -> None:
    with runtime.database.writing() as session:
        digits = models.get(session, "digits")
        removed = versions.get(session, digits, 2)
        removed.erased_at, removed.shards, removed.report = 1.0, [], {"batch": {}}
    taken_back(runtime, ids)
    with runtime.database.reading() as session:
        removed = versions.get(session, models.get(session, "digits"), 2)
        assert (removed.report, removed.erased_at) == (None, 1.0)


def test_bytes_that_another_version_names_stay(runtime: Runtime, ids: list[str]) -> None:
    """The version without the batch answered as the one before, bit by bit."""
    taken_back(runtime, ids, seed=1)
    erasure.finish(runtime, 1)
    with runtime.database.reading() as session:
        live = models.live(session, models.get(session, "digits"))
    assert {s["digest"] for s in live.shards} <= stored(runtime, SHARDS)
    assert live.bits in stored(runtime, AREA)


def test_a_batch_that_was_never_live_is_erased_from_the_versions_that_were_set_aside(
    runtime: Runtime, ids: list[str]
) -> None:
    with runtime.database.writing() as session:
        digits = models.get(session, "digits")
        bad, waits = (store_batch(runtime, session, seed=seed) for seed in (7, 8))
        aside, bad, rows = version(session, digits, [*ids, bad.id]).id, bad.id, waits.rows
        retract(session, digits, [bad], erase=True)
    update = claimed(runtime)
    finish_empty(runtime, update.id, update.fence)
    with runtime.database.reading() as session:
        why = session.get_one(Update, update.id).why
        assert why is not None
        assert f"no new version was needed. 1 batch of {rows} rows waits to be learned: POST" in why
        assert erasure.unfinished(session) == [1]
        assert session.get_one(Version, aside).erased_at is not None
    erasure.finish(runtime, 1)
    with runtime.database.reading() as session:
        assert session.get_one(Batch, bad).stored_digest is None
        assert models.live(session, models.get(session, "digits")).number == 2  # type: ignore[union-attr]


def test_what_no_row_names_goes_also_where_it_is_young(runtime: Runtime, ids: list[str]) -> None:
    """Of an update that was given up, of an arrival that became no batch, of a process that died while it wrote."""
    left = [(area, runtime.store.put(area, b"features of a batch")) for area in (AREA, SHARDS)]
    elsewhere = runtime.store.put(model_area(2), b"features of another model")
    died, older = (runtime.settings.store_folder / "tmp" / name for name in (f"{AREA}.{'0' * 32}", "1" * 32))
    writing = runtime.settings.store_folder / "tmp" / f"{model_area(2)}.{'0' * 32}"
    for path in (died, older, writing):
        path.write_bytes(b"features of a batch")
    taken_back(runtime, ids)
    erasure.finish(runtime, 1)
    assert not [name for name in left if runtime.store.has(*name)]
    assert runtime.store.has(model_area(2), elsewhere)
    assert [path.exists() for path in (died, older, writing)] == [False, False, True]


@pytest.mark.sqlite
def test_nothing_tells_the_content_of_what_is_erased(runtime: Runtime, ids: list[str]) -> None:
    """Not the database either, where rows have moved from page to page, nor its log."""
    with runtime.database.writing() as session:
        digits = models.get(session, "digits")
        more = [store_batch(runtime, session, seed=100 + k).id for k in range(60)]
        attempt = idempotency.Attempt("somebody", "key", "POST", "/v1/models/digits/batches", "b" * 64)
        idempotency.record(session, attempt, 201, {"batch": more[0]})
        merged = replace(attempt, key="merged", path="/v1/models/digits/merges", body_hash="e5" * 32)
        idempotency.record(session, merged, 202, {"batch": more[1]})
        path = f"/v1/models/digits/batches/{ids[0]}/corrections"
        corrected = replace(attempt, key="corrected", path=path, body_hash="f5" * 32)
        idempotency.record(session, corrected, 202, {"batch": more[2]})
        failed = updates.enqueue(session, digits, updates.Order(UpdateKind.LEARN, [more[3]]), "key")
        failed.error = {"title": "This method cannot do that here", "detail": "The target 88123.125 is too large."}
        updates.cancelled(session, failed, **failed.error)
        other = replace(attempt, key="other", body_hash="d" * 64)
        idempotency.record(session, other, 201, {"batch": ids[0]})
    for batch_id in more:  # each grows a little later, as if it had been learned
        with runtime.database.writing() as session:
            grown = session.get_one(Batch, batch_id)
            grown.trusted = {"exam": list(range(80)), "selected": list(range(40))}
            grown.target_summary = [{"rows": 8, "mean": 2.5, "std": 1.25, "min": -77123.125, "max": 77123.125}]
            grown.values = {"town": {"Nowhere-on-Sea": 8}}
            grown.notes = ['Letters are read as Windows-1252, as in "Hidden-on-Sea"; else say another encoding.']
            aside = version(session, models.get(session, "digits"), [*ids, batch_id]) if batch_id == more[0] else None
            if aside is not None:
                aside.report = {"batch": {"new_values": {"town": [{"value": "Nowhere-on-Sea", "rows": 8, "near": []}]}}}
    with runtime.database.writing() as session:
        rows = [session.get_one(Batch, batch_id) for batch_id in [*ids[1:], *more]]
        names = {name for batch in rows for name in (batch.digest, batch.stored_digest)}
        second = versions.get(session, digits, 2)
        names |= {second.bits, *(s["digest"] for s in second.shards)}
        names |= {each.body_hash for each in (attempt, merged, corrected)}
        names |= {e.digest for e in session.query(LedgerEntry) if e.batch_id == ids[1]}
        names -= {s["digest"] for s in versions.get(session, digits, 1).shards}
        names |= {"77123.125", "Nowhere-on-Sea", "88123.125", "Hidden-on-Sea"}
        retract(session, digits, more, erase=True)
    update = claimed(runtime)
    finish_empty(runtime, update.id, update.fence)
    taken_back(runtime, ids)
    erasure.finish(runtime, 1)
    log = runtime.settings.database_file.with_name("tsuika.db-wal")
    content = runtime.settings.database_file.read_bytes() + log.read_bytes()
    assert not [name for name in names if name is not None and name.encode() in content]
    with runtime.database.reading() as session:
        shown = batches.resources_of(session, models.get(session, "digits"), [session.get_one(Batch, more[0])])[0]
        assert (shown.state, shown.digest, shown.lent, shown.target_summary) == ("erased", None, [], None)
        again = replace(attempt, body_hash="c" * 64)
        assert idempotency.recorded(session, again) == idempotency.Recorded(201, {"batch": more[0]})
        with pytest.raises(Conflict):
            idempotency.recorded(session, replace(other, body_hash="c" * 64))
        of_failed = updates.resources_of(session, [updates.find(session, failed.id)])[0]
        assert of_failed.error.title == "This method cannot do that here"
        assert [event.kind for event in updates.events(session, failed.id, 0)] == ["queued", "cancelled"]


def test_a_batch_is_erased_once_the_last_of_it_is_gone(
    runtime: Runtime, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy() -> None:
        raise Busy("The database is being read; try again.")

    def state() -> str:
        with runtime.database.reading() as session:
            return batches.state(session.get_one(Batch, ids[1]))

    taken_back(runtime, ids)
    with monkeypatch.context() as patched:
        patched.setattr(runtime.database, "scrub", busy)
        with pytest.raises(Busy):
            erasure.finish(runtime, 1)
    assert state() == "retracted"
    with runtime.database.reading() as session:
        assert erasure.unfinished(session) == [1]
    erasure.finish(runtime, 1)
    assert state() == "erased"


def test_what_an_update_stored_goes_with_it_when_it_is_given_up(runtime: Runtime, ids: list[str]) -> None:
    """It learned a batch that is to be erased: it is queued again, and its bytes are nobody's."""
    before = {area: stored(runtime, area) for area in (AREA, SHARDS)}
    with runtime.database.writing() as session:
        learn(session, models.get(session, "digits"), [store_batch(runtime, session, seed=7).id])
    update = claimed(runtime)
    kept = stored(runtime, AREA) - before[AREA]
    [bad] = update.batches
    made = result(runtime, [*ids, bad], seed=8, entries=[entry(runtime, bad)])
    with runtime.database.writing() as session:
        retract(session, models.get(session, "digits"), [bad], erase=True)
    assert publish(runtime, update.id, update.fence, made) is None
    give_up(runtime, update.model_id, made)
    assert stored(runtime, AREA) == before[AREA] | kept
    assert stored(runtime, SHARDS) == before[SHARDS]


def test_what_an_earlier_version_erased_is_made_whole(runtime: Runtime, ids: list[str]) -> None:
    """It kept the digest of the batch, and what updates that were given up had left."""
    left = runtime.store.put(AREA, b"features of a batch")
    with runtime.database.writing() as session:
        batch = session.get_one(Batch, ids[1])
        batch.retracted_at = batch.erased_at = 1.0
        batch.stored_digest, batch.kept_rows = None, 0
        assert erasure.unfinished(session) == [1]
    erasure.finish(runtime, 1)
    with runtime.database.reading() as session:
        assert erasure.unfinished(session) == []
        assert session.get_one(Batch, ids[1]).digest == ""
    assert not runtime.store.has(AREA, left)
