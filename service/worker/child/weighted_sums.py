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
from service.worker.child.model_store import Shelf


class Weighing:
    """Over the shelf of a model: `known` are the batches of the base, `new` those of the update."""

    def __init__(
        self, shelf: Shelf, known: Sequence[str], new: Sequence[str], sources: Mapping[str, str] | None, run: Run
    ) -> None:
        self._shelf, self._known, self._new, self._run = shelf, list(known), new, run
        self._sources = dict(sources or {})
        self.made: dict[str, Ledger] = {}
        """Sums of all that a version knows, by name: what the cache should keep."""

    def weighted_batches(self, weights: BatchWeights, own: bool = True) -> Weighted:
        """Every batch by id with its weight; without `own` those of the update weigh nothing."""
        batches = [*self._known, *self._new]
        return weights.weighted(batches, lambda batch: self._sources.get(batch, ""), () if own else self._new)

    def sums(self, space: Space, decay: float, weighted: Weighted, keep: bool = False) -> Ledger:
        """Of these batches. What was summed before the update is the start, where the new batches come last."""
        found = self._summed(space, decay, weighted, len(weighted) - len(self._new))
        if keep:
            self.made[self._name(space, decay, weighted)] = found
        return found

    def entry(self, space: Space) -> Callable[[str], FeatureRows]:
        """Rounded features of a batch."""
        return lambda batch: self._shelf.entry(batch, space, self._run)

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
        found = []
        for k in range(max(1, len(weighted) - last), len(weighted)):
            self._run.check()
            name = f"{self._name(space, decay, weighted[: k + 1])}{key}"
            name = self._shelf.name("tested", name, learned=())
            cached = self._shelf.cache.get(self._shelf.area, name)
            if cached is not None:
                found.append(float(json.loads(cached)))
                continue
            entry = self.entry(space)(weighted[k][0])
            before = self._summed(space, decay, weighted[:k], k - 1).all
            found.append(score(before, entry) if before.mass and len(entry) else 0.0)
            self._shelf.cache.put(self._shelf.area, name, json.dumps(found[-1]).encode())
        return found

    def recent_exam(self, batches: int, shape: tuple[int, ...]) -> Rows:
        """Trusted rows of the last batches of the base that are kept, bounded a class and source: raw inputs."""
        last = self._known[-batches:]

        def read() -> Rows:
            kept = [self._shelf.batch(b) for b in last if b in self._shelf.rows]
            return bounded(Rows.concat([rows.take(rows.judging) for rows in kept])) if kept else Rows.empty(shape)

        rows = self._shelf.memory.recall(self._shelf.name("recent exam", "", learned=last), read)
        assert isinstance(rows, Rows)
        return rows if len(rows) else Rows.empty(shape)

    def recent_features(self, batches: int, space: Space) -> FeatureRows:
        """The same rows with rounded features, and those that were deleted."""
        last = self._known[-batches:]

        def read() -> FeatureRows:
            entries = [self.entry(space)(b) for b in last]
            return bounded(FeatureRows.concat([FeatureRows.none(space.width), *(e.take(e.judging) for e in entries)]))

        rows = self._shelf.memory.recall(self._shelf.name("recent exam", space.id, learned=last), read)
        assert isinstance(rows, FeatureRows)
        return rows

    def _summed(self, space: Space, decay: float, weighted: Weighted, before: int) -> Ledger:
        """By Horner's rule from the first `before` batches, where their sums are at hand or can be."""
        name = self._name(space, decay, weighted)

        def make() -> Ledger:
            cached = self._shelf.cache.get(self._shelf.area, name)
            if cached is not None:
                return Ledger.unpack(cached)
            start, rest = Ledger.empty(space), weighted
            if 0 < before < len(weighted):
                start, rest = self._summed(space, decay, weighted[:before], 0), weighted[before:]
            self._run.check()
            return add_up(start, decay, rest, lambda batch: self._shelf.adds(batch, space, self._run))

        found = self._shelf.memory.recall(name, make)
        assert isinstance(found, Ledger)
        return found

    def _name(self, space: Space, decay: float, weighted: Weighted) -> str:
        return self._shelf.name(
            "weighted", space.id, repr(decay), learned=[f"{batch} {weight!r}" for batch, weight in weighted]
        )
