"""Decays are tested batch by batch, one step after another, in whatever process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from service.contract.inputs import Architecture
from service.learning.data.rows import FeatureRows, Rows
from service.learning.data.serialization import pack_rows
from service.learning.ledger.batch_weights import BatchWeights
from service.learning.ledger.sums import Sums
from service.learning.run import UNWATCHED
from service.storage.artifacts import model_area
from service.storage.cache import Cache
from service.storage.local import LocalArtifacts
from service.worker.child.data.model_store import ModelStore
from service.worker.child.data.remembered import Memory
from service.worker.child.data.stored_data import StoredData
from tests.learning.exact_help import SECRET, VECTOR, labelled, space
from tests.learning.memory_data import MemoryData
from tests.updating import make_rows
from tests.worker.sample_updates import assignment

AREA, BATCHES = model_area(1), 20
WEIGHTS = [BatchWeights(decay, {"odd": 0.5, "none": 0}) for decay in (1.0, 0.9, 0.5)]


def rows_of(k: int) -> Rows:
    x, y = labelled(12, seed=k)
    return make_rows(f"bat_{k:02d}", x, y, SECRET, ["even", "odd", "none"][k % 3])


def score(before: Sums, entry: FeatureRows) -> list[float]:
    """Two numbers that all sums and all rows decide."""
    return [float(before.G.sum() / before.mass + entry.inputs.sum()), float(before.mass)]


class Process:
    """One that learns batch after batch; `files`: what a process before it left."""

    def __init__(self, files: Path) -> None:
        files.mkdir(exist_ok=True)
        self.cache, self.memory, self.entries = Cache(files / "cache", 2**30), Memory(), dict[tuple[str, str], str]()
        self.store = LocalArtifacts(files / "store")
        self.parts = [rows_of(k) for k in range(BATCHES)]
        self.rows = {rows.batches[0]: self.store.put(AREA, pack_rows(rows)) for rows in self.parts}

    def scores(self, known: int) -> list[list[list[float]]]:
        """Of the last four batches, when the update brings the one after the known."""
        return self.data(known).tested(space(), WEIGHTS, 4, "key", score)

    def data(self, known: int) -> StoredData:
        sources = {rows.batches[0]: rows.sources[0] for rows in self.parts}
        counts = dict.fromkeys(sources, 12)
        given = {"input": VECTOR, "rows": self.rows, "counts": counts, "kept": counts, "sources": sources}
        learning = assignment("ridge").model_copy(update=given)
        model_store = ModelStore(self.store, self.cache, learning, self.memory, UNWATCHED)
        model_store.entries = self.entries
        ids = sorted(sources)
        return StoredData(model_store, ids[:known], ids[known : known + 1])


def test_scores_are_those_of_sums_made_from_scratch_and_cost_a_step(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(tmp_path)
    for known in range(1, BATCHES):
        read.clear()
        scores = process.scores(known)
        assert len(read) <= 2, "the batch, and the one before it"
        expected = MemoryData(VECTOR, Architecture(), process.parts[:known], process.parts[known])
        for ours, theirs in zip(scores, expected.tested(space(), WEIGHTS, 4, "key", score), strict=True):
            assert np.array(ours) == pytest.approx(np.array(theirs))
    another = Process(tmp_path)
    process.memory = Memory()
    read.clear()
    assert another.scores(BATCHES - 1) == process.scores(BATCHES - 1), "scores are remembered"
    assert not read
    monkeypatch.setattr(another.cache, "get", _without_scores(another.cache))
    read.clear()
    assert another.scores(BATCHES - 1) == process.scores(BATCHES - 1), "bits do not depend on where sums were taken up"
    assert len(set(read)) < BATCHES, "sums go on from those in the cache"


def test_a_head_with_another_decay_goes_on_from_the_sums_by_which_it_was_tested(
    tmp_path: Path, read: list[str]
) -> None:
    process = Process(tmp_path / "tested")
    for known in range(1, 13):
        process.scores(known)
    read.clear()
    switched = process.data(12)
    sums = switched._weighted.sums(space(), 0.5, switched.weighted_batches(WEIGHTS[2]))
    assert read == ["bat_12"]
    scratch = Process(tmp_path / "another").data(12).weighted(space(), WEIGHTS[2])
    for group in ("judge", "select", "learn"):
        assert np.array_equal(getattr(sums, group).G, getattr(scratch, group).G), "to the bit"


def _without_scores(cache: Cache) -> Callable[[str, str], bytes | None]:
    get = cache.get

    def larger(area: str, name: str) -> bytes | None:
        data = get(area, name)
        return data if data is not None and len(data) > 1000 else None

    return larger
