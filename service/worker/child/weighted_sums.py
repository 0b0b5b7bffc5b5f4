"""Weighted sums of what the store holds, remembered by the batches in them, so that a new batch is one step more."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from service.learning.data.rows import FeatureRows, Rows, bounded
from service.learning.ledger.batch_weights import BatchWeights, Weighted, add_up
from service.learning.ledger.feature_space import Space
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums
from service.learning.run import Run
from service.worker.child.model_store import ModelStore


class WeightedSums:
    """Weighted sums over a model: `known` are the batches of the base, `new` those of the update."""

    def __init__(
        self,
        model_store: ModelStore,
        known: Sequence[str],
        new: Sequence[str],
        sources: Mapping[str, str],
        run: Run,
    ) -> None:
        self._store, self._known, self._new, self._run = model_store, list(known), new, run
        self._sources = sources
        self.made: dict[str, Ledger] = {}
        """Sums of everything that a version learned, by name: what the cache should keep."""

    def weighted_batches(self, weights: BatchWeights, own: bool = True) -> Weighted:
        """Every batch by id with its weight; without `own` those of the update weigh nothing."""
        batches = [*self._known, *self._new]
        return weights.weighted(batches, lambda batch: self._sources.get(batch, ""), () if own else self._new)

    def sums(self, space: Space, decay: float, weighted: Weighted, keep: bool = False) -> Ledger:
        """The sums of these batches. It starts with those from before the update, where the new batches come last."""
        ledger = self._summed(space, decay, weighted, len(weighted) - len(self._new))
        if keep:
            self.made[self._name(space, decay, weighted)] = ledger
        return ledger

    def entry(self, space: Space) -> Callable[[str], FeatureRows]:
        """A function to the rounded features of a batch."""
        return lambda batch: self._store.entry(batch, space, self._run)

    def tested(
        self,
        space: Space,
        decay: float,
        weighted: Weighted,
        last: int,
        key: str,
        score: Callable[[Sums, FeatureRows], float],
    ) -> list[float]:
        """`score` of each of the last batches with the sums of those before it; remembered in the cache."""
        scores = []
        for k in range(max(1, len(weighted) - last), len(weighted)):
            self._run.check()
            name = f"{self._name(space, decay, weighted[: k + 1])}{key}"
            name = self._store.name("tested", name, learned=())
            cached = self._store.cache.get(self._store.area, name)
            if cached is not None:
                scores.append(float(json.loads(cached)))
                continue
            entry = self.entry(space)(weighted[k][0])
            before = self._summed(space, decay, weighted[:k], k - 1).all
            scores.append(score(before, entry) if before.mass and len(entry) else 0.0)
            self._store.cache.put(self._store.area, name, json.dumps(scores[-1]).encode())
        return scores

    def recent_exam(self, batches: int, shape: tuple[int, ...]) -> Rows:
        """Trusted rows of the last batches of the base that are kept, bounded a class and source: raw inputs."""
        last = self._known[-batches:]

        def read() -> Rows:
            kept = [self._store.batch(b) for b in last if b in self._store.rows]
            return bounded(Rows.concat([rows.take(rows.judging) for rows in kept])) if kept else Rows.empty(shape)

        rows = self._store.memory.recall(self._store.name("recent exam", "", learned=last), read)
        return rows if len(rows) else Rows.empty(shape)

    def recent_features(self, batches: int, space: Space) -> FeatureRows:
        """The same rows with rounded features, and those that were deleted."""
        last = self._known[-batches:]

        def read() -> FeatureRows:
            entries = [self.entry(space)(b) for b in last]
            return bounded(FeatureRows.concat([FeatureRows.none(space.width), *(e.take(e.judging) for e in entries)]))

        return self._store.memory.recall(self._store.name("recent exam", space.id, learned=last), read)

    def _summed(self, space: Space, decay: float, weighted: Weighted, before: int) -> Ledger:
        """Sums these batches by Horner's rule, from the sums of the first `before` where those are fewer."""
        name = self._name(space, decay, weighted)

        def make() -> Ledger:
            cached = self._store.cache.get(self._store.area, name)
            if cached is not None:
                return Ledger.unpack(cached)
            start, rest = Ledger.empty(space), weighted
            if 0 < before < len(weighted):
                start, rest = self._summed(space, decay, weighted[:before], 0), weighted[before:]
            self._run.check()
            return add_up(start, decay, rest, lambda batch: self._store.adds(batch, space, self._run))

        return self._store.memory.recall(name, make)

    def _name(self, space: Space, decay: float, weighted: Weighted) -> str:
        return self._store.name(
            "weighted", space.id, repr(decay), learned=[f"{batch} {weight!r}" for batch, weight in weighted]
        )
