"""Merged ledgers are central training: the same digest and the same bits of the served head, in any order, and after
one is taken back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.contract.targets.class_target import ClassTarget
from service.contract.targets.number_target import NumberTarget
from service.errors import MethodRefused
from service.learning.data.rows import Known, Rows, rows_of
from service.learning.data.serialization import pack_rows
from service.learning.ledger import sums
from service.learning.ledger.batch_weights import BatchWeights
from service.learning.ledger.exchange import entry_of
from service.learning.ledger.feature_space import Space
from service.learning.methods import METHODS
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import UNWATCHED, Run
from service.learning.update import learn
from service.storage.artifacts import model_area
from service.storage.cache import Cache
from service.storage.local import LocalArtifacts
from service.worker.child.data.model_store import ModelStore
from service.worker.child.data.remembered import Memory
from service.worker.child.data.stored_data import StoredData
from tests.learning.exact_help import SECRET, VECTOR, labelled
from tests.updating import make_rows
from tests.worker.sample_updates import assignment

AREA = model_area(1)
METHOD = {"lift": "none", "alpha": 0.1, "decay": 1.0}
NUMBERS = NumberTarget(kind="number", range=(-8, 8))


class Sites:
    """Rows of three sites, `bat_0` to `bat_2`, which nobody shares; what a site sends of its own is `bat_0m` to
    `bat_2m`."""

    def __init__(self, folder: Path, numbers: bool = False) -> None:
        self.store, self.cache = LocalArtifacts(folder / "store"), Cache(folder / "cache", 2**30)
        self.target = NUMBERS if numbers else ClassTarget()
        rows = {f"bat_{k}": self._rows(k) for k in range(3)}
        self.counts = {f"{name}{m}": len(of) for name, of in rows.items() for m in ("", "m")}
        self.digests = {name: self.store.put(AREA, pack_rows(of)) for name, of in rows.items()}
        self.entries: dict[tuple[str, str], str] = {}
        for name in rows:
            space = Space.of(self.learned([], [name]))
            sums = self.data([], [name]).grown(space).all
            self.entries[f"{name}m", space.id] = self.store.put(AREA, entry_of(sums).pack())

    def _rows(self, k: int) -> Rows:
        """60 rows; each site has a class that no other has."""
        x, y = labelled(60, classes=3, seed=k)
        if self.target.kind == "class":
            return make_rows(f"bat_{k}", x, [f"only {k}" if name == "class 2" else name for name in y], SECRET)
        targets = (x @ np.arange(1, 6) - 7 + k)[:, None].astype(np.float64)
        return rows_of(f"bat_{k}", x, [""] * 60, SECRET, Known(targets=targets))

    def data(self, known: Sequence[str], new: Sequence[str]) -> StoredData:
        """As an update finds it whose process has just begun."""
        merged = [name for name in self.counts if name.endswith("m")]
        kept = {name: 0 if name in merged else rows for name, rows in self.counts.items()}
        facts = {"input": VECTOR, "target": self.target, "counts": self.counts, "kept": kept, "merged": merged}
        learning = assignment("ridge").model_copy(update={**facts, "rows": self.digests})
        model_store = ModelStore(self.store, self.cache, learning, Memory(), UNWATCHED)
        model_store.entries = self.entries
        return StoredData(model_store, known, new)

    def learned(self, known: Sequence[str], new: Sequence[str], base: Checkpoint | None = None) -> Checkpoint:
        ridge = METHODS["ridge"]
        return learn(base, self.data(known, new), ridge, ridge.Params(**METHOD), Run()).checkpoint

    def chain(self, names: Sequence[str]) -> Checkpoint:
        """The last version of updates that learn one of these each."""
        base: Checkpoint | None = None
        for k, name in enumerate(names):
            base = self.learned(names[:k], [name], base)
        assert base is not None
        return base

    def facts(self, version: Checkpoint, names: Sequence[str]) -> tuple[str, dict[str, Any]]:
        """The digest of a version that learned these, and the bits of its served head by class."""
        head = version.parts["head.0"]
        bits = [(w.tobytes(), b.tobytes()) for w, b in zip(head["weight"].numpy(), head["bias"].numpy(), strict=True)]
        digest = self.data(names, []).ledger(Space.of(version)).digest
        return digest, dict(zip(version.outputs, bits, strict=True))


@pytest.fixture(params=["classes", "numbers"])
def sites(tmp_path: Path, request: pytest.FixtureRequest) -> Sites:
    return Sites(tmp_path, request.param == "numbers")


def test_a_merge_beyond_what_sums_hold_is_refused_with_a_remedy_of_its_own(
    sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = sites.learned([], ["bat_0"])
    largest = sites.data(["bat_0"], []).ledger(Space.of(base)).all.G.diagonal().max()
    monkeypatch.setattr(sums, "LARGEST_SUM", 1.5 * largest)
    with pytest.raises(MethodRefused, match=r"^Merged, the sums of 120 rows pass 2\^53, .* Merge fewer ledgers; or"):
        sites.learned(["bat_0"], ["bat_1m"], base)


@given(data=st.data())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_merged_is_centrally_trained(sites: Sites, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(3)))[: data.draw(st.integers(2, 3))]
    here, *elsewhere = order
    merged = [f"bat_{here}", *(f"bat_{k}m" for k in elsewhere)]
    central = [f"bat_{k}" for k in data.draw(st.permutations(order))]
    assert sites.facts(sites.chain(merged), merged) == sites.facts(sites.chain(central), central)
    out = data.draw(st.sampled_from(merged[1:]))
    left = [name for name in merged if name != out]
    never = [name for name in central if name != out.removesuffix("m")]
    without = sites.learned(left, [], sites.chain(merged))
    assert sites.facts(without, left) == sites.facts(sites.chain(never), never)
    assert all(part == "scale" or by == frozenset(left) for part, by in without.learned.items() if part != "values")


def test_a_merge_says_what_it_learned_and_brings_no_row(sites: Sites) -> None:
    base = sites.learned([], ["bat_0"])
    data = sites.data(["bat_0"], ["bat_1m"])
    assert (len(data.batch), data.batch.batches, data.merged_rows, data.known_rows) == (0, ("bat_1m",), 60, 60)
    version = sites.learned(["bat_0"], ["bat_1m"], base)
    assert version.learned["head.0"] == {"bat_0", "bat_1m"}
    assert len(data.grown(Space.of(version)).exam) == len(data.ledger(Space.of(version)).exam)
    later = sites.data(["bat_0", "bat_1m"], ["bat_2"])
    assert (later.known_rows, later.kept_rows, later.merged_rows) == (120, 60, 0)
    assert data.merged
    assert later.merged
    assert not sites.data(["bat_0"], ["bat_2"]).merged
    assert len(later.exam) == len(data.exam), "rows that are here judge on"


def test_where_batches_fade_a_merged_one_counts_by_when_it_came(sites: Sites) -> None:
    space, weights = Space.of(sites.learned([], ["bat_0"])), BatchWeights(decay=0.5)
    merged = sites.data(["bat_0", "bat_1m"], ["bat_2"]).weighted(space, weights).all.sorted()
    central = sites.data(["bat_0", "bat_1"], ["bat_2"]).weighted(space, weights).all.sorted()
    assert merged.classes == central.classes
    assert all(np.array_equal(getattr(merged, name), getattr(central, name)) for name in ("G", "Q", "n"))
