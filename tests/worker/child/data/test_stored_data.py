"""Sums in memory and in the cache: written every few updates, and what the cache lacks is summed from the entries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.learning.data.rows import FeatureRows
from service.learning.data.serialization import pack_rows
from service.learning.ledger.batch_weights import BatchWeights
from service.learning.ledger.entry import SummedEntry
from service.learning.run import UNWATCHED
from service.storage.artifacts import exam_area, model_area
from service.storage.cache import Cache
from service.storage.local import LocalArtifacts
from service.worker.child.data import model_store, stored_data
from service.worker.child.data.model_store import ModelStore
from service.worker.child.data.remembered import Memory
from service.worker.child.data.stored_data import StoredData
from tests.learning.exact_help import SECRET, VECTOR, labelled, space
from tests.learning.number_streams import number_rows
from tests.updating import make_rows
from tests.worker.sample_updates import assignment

AREA = model_area(1)


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return Data(tmp_path)


class Data:
    """Nine batches of 20 rows, as updates that learn one after another find them, each one published. `memory`: of the
    process · `entries`: those that are recorded."""

    def __init__(self, folder: Path) -> None:
        self.store, self.cache, self.memory = LocalArtifacts(folder / "store"), Cache(folder / "cache", 2**30), Memory()
        self.rows, self.entries = {}, dict[tuple[str, str], str]()
        for k in range(9):
            x, y = labelled(20, seed=k)
            self.rows[f"bat_{k}"] = self.store.put(AREA, pack_rows(make_rows(f"bat_{k}", x, y, SECRET)))

    def of(self, known: int, new: int) -> StoredData:
        ids = sorted(self.rows)
        counts = dict.fromkeys(ids, 20)
        facts = {"input": VECTOR, "rows": self.rows, "counts": counts, "kept": counts}
        learning = assignment("ridge").model_copy(update=facts)
        model_store = ModelStore(self.store, self.cache, learning, self.memory, UNWATCHED)
        model_store.entries = self.entries
        return StoredData(model_store, ids[:known], ids[known : known + new])

    def learned(self, known: int, new: int = 1) -> int:
        """How many things an update gives the cache."""
        update = self.of(known, new)
        keep = update.remember(space())
        for name, thing in keep.items():
            update._store.remembered.keep(name, thing)
        return len(keep)


def test_sums_are_cached_once_enough_is_new_and_a_new_process_sums_the_rest(
    data: Data, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_data, "UNSAVED_LEAST", 1024)
    assert [data.learned(k) for k in range(7)] == [0, 0, 0, 2, 0, 0, 0], "of four batches"
    warm = data.of(7, 1)
    expected, exam = warm.grown(space()), warm.exam
    data.memory = Memory()
    read.clear()
    cold = data.of(7, 1)
    assert cold.grown(space()).digest == expected.digest
    assert read == ["bat_4", "bat_5", "bat_6", "bat_7"], "the others' sums are in the cache"
    assert sorted(zip(cold.exam.batch, cold.exam.row, strict=True)) == sorted(zip(exam.batch, exam.row, strict=True))
    assert np.array_equal(np.sort(cold.exam.inputs, 0), np.sort(exam.inputs, 0))
    assert data.learned(7) == 2, "what had to be summed anew is cached next time"


def test_a_decay_that_is_new_sums_the_known_batches_once(data: Data, read: list[str]) -> None:
    """An update asks for sums with its own batch and without it; a decay that was never used begins with none."""
    weights, update = BatchWeights(0.5), data.of(8, 1)
    update.grown(space())
    read.clear()
    both = [update.weighted(space(), weights, own=own).all for own in (True, False)]
    assert [read.count(f"bat_{k}") for k in range(4)] == [1, 1, 1, 1], "of the later ones rows are asked for, too"
    for own, held in zip((True, False), both, strict=True):
        data.memory = Memory()
        anew = data.of(8, 1).weighted(space(), weights, own=own).all
        assert np.array_equal(held.G, anew.G)
        assert np.array_equal(held.Q, anew.Q)


def test_sums_of_the_last_batch_are_held_where_targets_are_numbers(data: Data) -> None:
    """Weighted heads, and the tests of the next update, go on from them; entries are read where rows that select are
    asked for."""
    for k, name in enumerate(data.rows):
        x, _ = labelled(20, seed=k)
        data.rows[name] = data.store.put(AREA, pack_rows(number_rows(name, x, x[:, 0])))
    weights, update = BatchWeights(0.5), data.of(8, 1)
    grown, weighted = update.grown(space()), update.weighted(space(), weights, selecting=False)
    assert isinstance(update._store.added("bat_8", space()), SummedEntry)
    data.memory = Memory()
    cold = data.of(8, 1)
    assert isinstance(cold._store.added("bat_8", space()), FeatureRows)
    assert cold.ledger(space()).with_entry(cold.entry(space())).pack() == grown.pack()
    data.memory = Memory()
    anew = data.of(8, 1).weighted(space(), weights)
    assert np.array_equal(anew.all.G, weighted.all.G)
    assert len(anew.selected) > len(weighted.selected) == 0


@pytest.mark.parametrize(("new", "held_bytes", "reads"), [(1, 0, 1), (3, 2**20, 1), (3, 0, 2)])
def test_one_read_of_a_new_batch_serves_rows_and_features(
    data: Data, monkeypatch: pytest.MonkeyPatch, new: int, held_bytes: int, reads: int
) -> None:
    """Of several that are too much to be held together, features are made from another read."""
    monkeypatch.setattr(model_store, "HELD_BYTES", held_bytes)
    for name in [*data.rows][-new:]:
        x, y = labelled(20, seed=int(name[-1]))
        data.rows[name] = data.store.put(AREA, pack_rows(make_rows(name, x, y, SECRET), x[:2] + 1))
    expected = data.of(9 - new, new)
    entry = expected.entry(space())
    got, get = list[str](), LocalArtifacts.get

    def reading(store: LocalArtifacts, area: str, digest: str) -> bytes:
        got.append(digest)
        return get(store, area, digest)

    monkeypatch.setattr(LocalArtifacts, "get", reading)
    data.entries, data.memory = {}, Memory()
    update = data.of(9 - new, new)
    rows, without = update.batch, update.unlabelled
    assert pack_rows(update.entry(space())) == pack_rows(entry)
    assert [got.count(data.rows[name]) for name in [*data.rows][-new:]] == [reads] * new
    assert (len(rows), len(without)) == (20 * new, 2 * new)
    assert pack_rows(rows, without) == pack_rows(expected.batch, expected.unlabelled)


def test_without_a_cache_everything_is_summed(data: Data) -> None:
    assert data.learned(0, 8) == 2, "eight batches, however small"
    before = data.of(8, 1).grown(space()).digest
    data.cache.forget(AREA)
    data.cache.forget(exam_area(AREA))
    data.memory = Memory()
    assert data.of(8, 1).grown(space()).digest == before
    assert data.learned(8) == 2


def test_sums_of_an_update_that_was_not_published_are_made_with_entries_again(data: Data) -> None:
    assert data.learned(0, 8) == 2, "the cache has them"
    digest, made = data.of(8, 1).ledger(space()).digest, dict(data.entries)
    for known, memory in [(8, data.memory), (8, Memory()), (0, Memory())]:
        data.entries, data.memory = {}, memory
        data.of(known, 8 - known).grown(space())
        assert data.entries == made
    assert data.of(8, 1).ledger(space()).digest == digest


def test_entries_that_are_swept_while_an_update_learns_are_stored_again(data: Data) -> None:
    """An erasure sweeps what no row names yet; what was made in another space is dropped."""
    learning = data.of(0, 2)
    model_store, other = learning._store, replace(space(), id="9" * 64)
    learning.grown(space())
    learning.entry(other)
    assert not model_store.restore(space())
    made = {entry.digest for entry in model_store.made if entry.space == space().id}
    for entry in model_store.made:
        data.store.delete(AREA, entry.digest)
    assert model_store.restore(space())
    assert {entry.digest for entry in model_store.made} == made
    assert all(data.store.has(AREA, digest) for digest in made)
