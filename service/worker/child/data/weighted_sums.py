"""Weighted sums of what the store holds, remembered by the batches in them, so that a new batch is one step more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from service.learning.data.rows import FeatureRows
from service.learning.ledger.batch_weights import BatchWeights, Weighted, add_up
from service.learning.ledger.feature_space import Space
from service.learning.ledger.ledger import Ledger
from service.worker.child.data.model_store import ModelStore
from service.worker.child.data.remembered import Listing

CACHED_EVERY = 8
"""Batches after which sums are written to the cache again: what a new process must add up at most."""
LOOKED_BACK = 16
"""Last batches that sums may lack which others go on from."""


class WeightedSums:
    """Weighted sums over a model: `known` are the batches of the base, `new` those of the update."""

    def __init__(self, model_store: ModelStore, known: Sequence[str], new: Sequence[str]) -> None:
        self._store, self._known, self._new = model_store, list(known), new
        self.made: dict[str, Ledger] = {}
        """Sums of everything that a version learned, by name."""
        self.due: set[str] = set()
        """Names of those that the cache should keep: every few batches, and where others of this decay were not at
        hand."""

    def weighted_batches(self, weights: BatchWeights, own: bool = True) -> Weighted:
        """Every batch by id with its weight; without `own` those of the update weigh nothing."""
        batches = [*self._known, *self._new]
        sources = self._store.facts(batches).sources if weights.sources else {}
        return weights.weighted(batches, lambda batch: sources.get(batch, ""), () if own else self._new)

    def sums(self, space: Space, decay: float, weighted: Weighted, keep: bool = False) -> Ledger:
        of = Listing.of(texts_of(weighted), LOOKED_BACK + len(self._new))
        names = self._store.remembered.names("weighted", space.id, repr(decay), of=of)
        ledger = self._summed(space, decay, weighted, names)
        if keep:
            name = names[len(weighted)]
            self.made[name] = ledger
            if len(weighted) % CACHED_EVERY == 0:
                self.due.add(name)
        return ledger

    def entry(self, space: Space) -> Callable[[str], FeatureRows]:
        """A function to the rounded features of a batch."""
        return lambda batch: self._store.entry(batch, space)

    def _summed(self, space: Space, decay: float, weighted: Weighted, names: Mapping[int, str]) -> Ledger:
        """Sums these batches by Horner's rule, from the sums of the most first ones that memory or cache has.

        Those of the known batches are held: an update asks for sums with its own batches and without them. names: n ->
        the name of the sums of the first n
        """
        name = names[len(weighted)]

        def make() -> Ledger:
            start, n = at_hand(self._store, space, len(weighted), names)
            if not n:
                self.due.add(name)
            if n < len(self._known) < len(weighted):
                start, n = self._summed(space, decay, weighted[: len(self._known)], names), len(self._known)
            self._store.run.check()
            return add_up(start, decay, weighted[n:], lambda batch: self._store.added(batch, space))

        return self._store.remembered.memory.recall(name, make)


def at_hand(store: ModelStore, space: Space, batches: int, names: Mapping[int, str]) -> tuple[Ledger, int]:
    """Sums of the most first batches that memory or cache has, and their number; a decay that was not used in the last
    updates begins with none. names: see `WeightedSums`"""
    near = {n: names[n] for n in range(max(batches - LOOKED_BACK, 0) + 1, batches + 1)}
    sums, n = store.remembered.latest(near, Ledger)
    return (Ledger.empty(space) if sums is None else sums), n


def texts_of(batches: Weighted) -> list[str]:
    """The batches with their weights, as names of sums have them."""
    return [f"{batch} {weight!r}" for batch, weight in batches]
