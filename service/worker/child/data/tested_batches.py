"""Scores of the last batches, each by the sums of those before it, for several decays at once.

The sums before a batch are one step of Horner's rule from those before the last one. They are held in memory, and every
few batches in the cache, under the names of those that heads are solved from: so a test costs one step a decay, however
long the history is, and so does a head where another decay is chosen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from service.learning.data.rows import FeatureRows
from service.learning.ledger.batch_weights import Weighted
from service.learning.ledger.entry import summed
from service.learning.ledger.feature_space import Space
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums
from service.worker.child.data.model_store import ModelStore
from service.worker.child.data.remembered import Listing
from service.worker.child.data.weighted_sums import CACHED_EVERY, LOOKED_BACK, at_hand, texts_of

Score = Callable[[Sums, FeatureRows], list[float]]


class TestedBatches:
    """Tests, then trains, over the batches of a model in one feature space; sums alone, without bounded rows.

    batches: all of them by id, also those that weigh nothing.
    """

    __test__ = False

    def __init__(self, model_store: ModelStore, space: Space, batches: Weighted, last: int) -> None:
        self._store, self._space, self._batches = model_store, space, batches
        self._remembered = model_store.remembered
        self._tests = [k for k, (_, weight) in enumerate(batches) if weight and k][-last:]
        back = len(batches) - min(self._tests, default=0) + LOOKED_BACK
        self._listing = Listing.of(texts_of(batches), back)

    def scores(self, decays: Sequence[float], key: str, score: Score) -> dict[float, list[list[float]]]:
        """`score` of each of the last batches that weigh something, by each decay; those of a batch are remembered
        together, under `key`."""
        scores: dict[float, list[list[float]]] = {decay: [] for decay in decays}
        names = self._names("tests", decays, key)
        for k in self._tests:
            self._store.run.check()
            cached = self._remembered.cache.get(self._store.area, names[k + 1])
            if cached is None:
                entry = self._store.entry(self._batches[k][0], self._space)
                before = self._before(decays, k).values()
                known = [score(sums, entry) if sums.mass > 0 and len(entry) else [] for sums in before]
                self._remembered.cache.put(self._store.area, names[k + 1], json.dumps(known).encode())
            else:
                known = json.loads(cached)
            for decay, of_decay in zip(decays, known, strict=True):
                scores[decay].append(of_decay)
        return scores

    def _before(self, decays: Sequence[float], k: int) -> dict[float, Sums]:
        """Sums of every row of the first k batches for each decay, from the longest run of first ones at hand."""
        sums, behind = dict[float, Ledger](), dict[float, int]()
        for decay in decays:
            sums[decay], behind[decay] = self._at_hand(decay, k)
        for place in range(min(behind.values()), k):
            batch, weight = self._batches[place]
            self._store.run.check()
            own = summed(self._store.added(batch, self._space)) if weight else None
            for decay in (decay for decay, n in behind.items() if n <= place):
                sums[decay] = sums[decay].weighted(decay, own, weight)
        for decay, n in behind.items():
            if n < k:
                self._hold(decay, n, k, sums[decay])
        return {decay: replace(ledger).all for decay, ledger in sums.items()}  # what is held holds no total beside it

    def _at_hand(self, decay: float, k: int) -> tuple[Ledger, int]:
        """Sums of the most first batches that memory or cache has, of the first k, and the number of those batches."""
        ids = [batch for batch, weight in self._batches[:k] if weight == decay == 1]
        whole = self._remembered.memory.held(self._remembered.name("ledger", self._space.id, learned=ids), Ledger)
        if whole is not None and len(ids) == k:
            return whole, k
        return at_hand(self._store, self._space, k, self._names("weighted", [decay]))

    def _hold(self, decay: float, before: int, k: int, sums: Ledger) -> None:
        """Holds sums of the first k batches in the place of those that they go on from, of the first `before`."""
        names = self._names("weighted", [decay])
        if before in names:
            self._remembered.memory.drop(names[before])
        self._remembered.memory.hold(names[k], sums)
        if k % CACHED_EVERY == 0:
            self._remembered.keep(names[k], sums)

    def _names(self, what: str, decays: Sequence[float], *key: str) -> dict[int, str]:
        """n -> the name of what is a function of the first n batches, for all n that tests go back to."""
        return self._remembered.names(what, self._space.id, *map(repr, decays), *key, of=self._listing)
