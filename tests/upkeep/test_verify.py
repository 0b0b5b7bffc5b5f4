"""A certificate holds as long as every stored entry is what it was, and not when one of them was changed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from sqlalchemy import update

from service.errors import Conflict, CorruptArtifact, Erased, NotFound
from service.learning.batch import Rows, make_rows
from service.learning.serialization import pack, pack_rows
from service.learning.sums import Sums
from service.registry import batches, ledger, models, versions
from service.registry.tables import LedgerEntry, Version
from service.runtime import Runtime
from service.storage.artifacts import SHARDS, model_area
from service.upkeep.verify import verify
from tests.registry.facts import arrival, learn, made, model

SPACE = "5" * 64


def entry(k: int) -> Rows:
    """Rounded features of eight rows."""
    random = np.random.default_rng(k)
    inputs = random.integers(-100, 100, (8, 3))
    rows = make_rows(f"b{k}", inputs.astype(np.float32), list("abababba"), b"secret")
    return rows.with_inputs(inputs.astype(np.int16))


@dataclass
class Facts:
    """A version of the ledger's head that learned two batches."""

    area: str
    entries: list[Rows]
    digests: list[str]
    batch_ids: list[str]
    shard: str
    recorded: str


@pytest.fixture
def facts(runtime: Runtime) -> Facts:
    with runtime.database.writing() as session:
        digits = model(session)
        area, entries = model_area(digits.id), [entry(1), entry(2)]
        digests, ids = [], []
        for rows in entries:
            digests.append(runtime.store.put(area, pack_rows(rows)))
            batch, _ = batches.accept(session, digits, arrival("d" * 64, again=True))
            ids.append(batch.id)
            ledger.add(session, batch.id, SPACE, digests[-1], len(rows))
        recorded = (Sums.of(entries[0]) + Sums.of(entries[1])).digest(SPACE)
        shard = runtime.store.put(SHARDS, b"head")
        parts = [{"part": "head", "digest": shard, "bytes": 4, "learned": ids}]
        facts = replace(made(ids, SPACE), ledger_digest=recorded, shards=parts)
        versions.add(session, digits, learn(session, digits, ids), None, facts)
    return Facts(area, entries, digests, ids, shard, recorded)


def test_the_recorded_digest_is_recomputed_from_the_entries(runtime: Runtime, facts: Facts) -> None:
    found = verify(runtime, "digits", 1)
    assert found.holds
    assert (found.recorded, found.recomputed) == (facts.recorded, facts.recorded)
    assert (found.rows, found.batches, found.shards) == (16, 2, 1)


@pytest.mark.parametrize("change", ["a feature", "a label", "a row left out", "a row twice"])
def test_an_entry_that_was_replaced_is_noticed(runtime: Runtime, facts: Facts, change: str) -> None:
    """Somebody changed what was learned, and made every digest but the certificate's fit."""
    rows = facts.entries[1]
    if change == "a feature":
        inputs = rows.inputs.copy()
        inputs[3, 1] += 1
        rows = rows.with_inputs(inputs)
    elif change == "a label":
        labels = rows.labels.copy()
        labels[0] = 1 - labels[0]
        rows = replace(rows, labels=labels)
    else:
        rows = rows.take(np.arange(1, 8) if change == "a row left out" else np.array([0, *range(8)]))
    forged = runtime.store.put(facts.area, pack_rows(rows))
    with runtime.database.writing() as session:
        where = LedgerEntry.batch_id == facts.batch_ids[1]
        session.execute(update(LedgerEntry).where(where).values(digest=forged))
    found = verify(runtime, "digits", 1)
    assert not found.holds
    assert found.recorded == facts.recorded != found.recomputed


def test_an_entry_whose_bytes_were_damaged_is_refused(runtime: Runtime, facts: Facts) -> None:
    digest = facts.digests[0]
    path = runtime.settings.store_folder / facts.area / digest[:2] / digest[2:]
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(CorruptArtifact, match="damaged"):
        verify(runtime, "digits", 1)


@pytest.mark.parametrize("which", ["entry", "shard"])
def test_missing_bytes_are_told_as_such(runtime: Runtime, facts: Facts, which: str) -> None:
    runtime.store.delete(*((facts.area, facts.digests[0]) if which == "entry" else (SHARDS, facts.shard)))
    with pytest.raises(CorruptArtifact, match="missing"):
        verify(runtime, "digits", 1)


def test_a_version_without_a_ledger_says_why_there_is_nothing_to_verify(runtime: Runtime, facts: Facts) -> None:
    with runtime.database.writing() as session:
        session.execute(update(Version).values(ledger_digest=None, feature_space=None))
    with pytest.raises(Conflict, match="no digest"):
        verify(runtime, "digits", 1)


def test_a_version_whose_entries_are_gone_from_the_registry_is_a_conflict(runtime: Runtime, facts: Facts) -> None:
    with runtime.database.writing() as session:
        ledger.erase(session, facts.batch_ids[:1])
    with pytest.raises(Conflict, match="never summed"):
        verify(runtime, "digits", 1)


def test_a_version_from_which_everything_was_taken_back_holds_the_digest_of_no_rows(
    runtime: Runtime, facts: Facts
) -> None:
    with runtime.database.writing() as session:
        digits = models.get(session, "digits")
        judge = runtime.store.put(SHARDS, pack({"weight": np.zeros((0, 3), np.float32)}))
        parts = [{"part": "judge", "digest": judge, "bytes": 4, "learned": []}]
        empty = replace(made([], SPACE), ledger_digest=Sums.empty(3).digest(SPACE), shards=parts)
        versions.add(session, digits, learn(session, digits, []), None, empty)
    found = verify(runtime, "digits", 2)
    assert found.holds
    assert (found.rows, found.batches) == (0, 0)


def test_an_unknown_model_or_version_is_not_found_and_an_erased_one_is_told(runtime: Runtime, facts: Facts) -> None:
    for name, number in (("letters", 1), ("digits", 9)):
        with pytest.raises(NotFound):
            verify(runtime, name, number)
    with runtime.database.writing() as session:
        session.execute(update(Version).values(erased_at=1.0))
    with pytest.raises(Erased):
        verify(runtime, "digits", 1)
