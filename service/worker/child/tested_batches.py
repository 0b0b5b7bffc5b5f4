"""Scores of the last batches, each by the sums of those before it, for several decays at once.

The sums before a batch are one step of Horner's rule from those before the last one. They are held in memory, and every
few batches in the cache: so a test costs one step a decay, however long the history is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from service.learning.data.rows import FeatureRows
from service.learning.data.serialization import pack, unpack
from service.learning.ledger.batch_weights import Weighted
from service.learning.ledger.entry import sums_of
from service.learning.ledger.feature_space import Space
from service.learning.ledger.sums import Sums, square, triangle
from service.worker.child.model_store import ModelStore

CACHED_EVERY = 8
"""Batches after which sums are written to the cache again: what a new process must add up at most."""

Score = Callable[[Sums, FeatureRows], list[float]]


class TestedBatches:
    """Tests, then trains, over the batches of a model in one feature space; sums alone, without bounded rows."""

    __test__ = False

    def __init__(self, model_store: ModelStore, space: Space) -> None:
        self._store, self._space = model_store, space

    def scores(
        self, decays: Sequence[float], batches: Weighted, last: int, key: str, score: Score
    ) -> dict[float, list[list[float]]]:
        """`score` of each of the last batches that weigh something, by each decay; remembered under `key`.

        batches: all of them by id, also those that weigh nothing.
        """
        tests = [k for k, (_, weight) in enumerate(batches) if weight and k][-last:]
        scores: dict[float, list[list[float]]] = {decay: [] for decay in decays}
        for k in tests:
            self._store.run.check()
            names = {decay: self._name("tested", decay, batches[: k + 1], key) for decay in decays}
            cached = {decay: self._store.cache.get(self._store.area, name) for decay, name in names.items()}
            known = {decay: _scores(data) for decay, data in cached.items() if data is not None}
            if missing := [decay for decay in decays if decay not in known]:
                entry = self._store.entry(batches[k][0], self._space)
                for decay, before in self._before(missing, batches[:k]).items():
                    known[decay] = score(before, entry) if before.mass > 0 and len(entry) else []
                    self._store.cache.put(self._store.area, names[decay], json.dumps(known[decay]).encode())
            for decay in decays:
                scores[decay].append(known[decay])
        return scores

    def _before(self, decays: Sequence[float], batches: Weighted) -> dict[float, Sums]:
        """Sums of every row of these batches for each decay, from the longest run of first batches that is at hand."""
        at_hand = {decay: self._at_hand(decay, batches) for decay in decays}
        sums = {decay: start for decay, (start, _) in at_hand.items()}
        for k in range(min(n for _, n in at_hand.values()), len(batches)):
            batch, weight = batches[k]
            behind = [decay for decay, (_, n) in at_hand.items() if n <= k]
            self._store.run.check()
            own = sums_of(self._store.adds(batch, self._space)) if weight else None
            for decay in behind:
                aged = sums[decay].scaled(decay)
                sums[decay] = aged + own.scaled(weight) if own is not None else aged
        for decay, (_, n) in at_hand.items():
            if n < len(batches):
                self._hold(decay, batches, n, sums[decay])
        return sums

    def _at_hand(self, decay: float, batches: Weighted) -> tuple[Sums, int]:
        """Sums of the most first batches that memory or cache has, and the number of those batches."""
        for n in range(len(batches), max(len(batches) - CACHED_EVERY, 1) - 1, -1):
            name = self._name("before", decay, batches[:n])
            held = self._store.memory.held(name, Sums)
            if held is not None:
                return held, n
            cached = self._store.cache.get(self._store.area, name) if n % CACHED_EVERY == 0 else None
            if cached is not None:
                return _unpacked(cached), n
        return Sums.empty(self._space.width), 0

    def _hold(self, decay: float, batches: Weighted, before: int, sums: Sums) -> None:
        """Holds sums in the place of those that they go on from, which were of the first `before` batches."""
        name = self._name("before", decay, batches)
        self._store.memory.drop(self._name("before", decay, batches[:before]))
        self._store.memory.hold(name, sums)
        if len(batches) % CACHED_EVERY == 0:
            self._store.cache.put(self._store.area, name, _packed(sums))

    def _name(self, what: str, decay: float, batches: Weighted, key: str = "") -> str:
        learned = [f"{batch} {weight!r}" for batch, weight in batches]
        return self._store.name(what, self._space.id, repr(decay), key, learned=learned)


def _scores(data: bytes) -> list[float]:
    """Scores as the cache has them; one that an earlier release wrote stands alone."""
    scores = json.loads(data)
    return [float(score) for score in scores] if isinstance(scores, list) else [float(scores)]


def _packed(sums: Sums) -> bytes:
    return pack({"G": triangle(sums.G), "Q": sums.Q, "n": sums.n}, {"classes": sums.classes})


def _unpacked(data: bytes) -> Sums:
    tensors, meta = unpack(data)
    Q = tensors["Q"]
    return Sums(tuple(meta["classes"]), square(tensors["G"], len(Q)), Q, tensors["n"])
