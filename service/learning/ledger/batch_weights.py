"""Weights of batches, by age and by source, and weighted sums of the batches' own sums.

Weights other than 0 and 1 make sums of reals, which depend on the order of addition: so batches are added in the order
of their ids, by Horner's rule S <- decay S + weight E. The sums have the same bits from scratch or one batch at a time,
in whatever order the batches were learned; and without a batch they are those of never having seen it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import repeat

from service.learning.data.rows import SELECT_FOLD, FeatureRows, bounded
from service.learning.ledger.entry import SummedEntry
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums
from service.learning.network.checkpoint import Checkpoint

OTHERS = "*"
"""The name that stands for every source without a weight of its own."""
FADED = 0.1
"""Rows of a batch that counts less than this no longer select."""

Weighted = tuple[tuple[str, float], ...]
"""Batches in the order of their ids, each with the weight of its source."""


@dataclass(frozen=True)
class BatchWeights:
    """decay: the factor by which a batch counts less with every later one, (0, 1] · sources: their weights by name.

    A source that is not named has the weight of "*", else 1.
    """

    decay: float = 1.0
    sources: Mapping[str, float] = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """Whether every row counts once."""
        return self.decay == 1 and all(weight == 1 for weight in self.sources.values())

    @property
    def whole(self) -> bool:
        """Whether sums stay integers: a row counts once or not at all."""
        return self.decay == 1 and all(weight in (0, 1) for weight in self.sources.values())

    def of(self, source: str) -> float:
        return self.sources.get(source, self.sources.get(OTHERS, 1.0))

    def weighted(self, batches: Iterable[str], source: Callable[[str], str], without: Iterable[str] = ()) -> Weighted:
        """Returns the batches by id with their weights. Those `without` weigh nothing, but age the others."""
        named, left_out = any(weight != 1 for weight in self.sources.values()), frozenset(without)
        ordered = sorted(set(batches))
        if not named and not left_out:
            return tuple(zip(ordered, repeat(1.0)))
        weighed = []
        for batch in ordered:
            weight = 1.0
            if batch in left_out:
                weight = 0.0
            elif named:
                weight = self.of(source(batch))
            if weight or self.decay < 1:
                weighed.append((batch, weight))
        return tuple(weighed)

    def sentence(self) -> str:
        aged = [f"a batch counts {self.decay:g} times as much with every later one"] if self.decay < 1 else []
        named = [f'"{name}" counts {weight:g}' for name, weight in sorted(self.sources.items()) if weight != 1]
        return "; ".join([*aged, *named])

    def report(self) -> dict[str, object]:
        return {} if self.plain else {"decay": self.decay, "source_weights": dict(self.sources)}


def weights_of(version: Checkpoint) -> BatchWeights:
    """What batches count for an exact head; all alike for a net."""
    exact = version.layout.exact
    return BatchWeights(exact.decay, exact.source_weights) if exact is not None else BatchWeights()


def add_up(start: Ledger, decay: float, batches: Weighted, entry: Callable[[str], FeatureRows | SummedEntry]) -> Ledger:
    """Sums up the batches by Horner's rule; sums alone, see `Ledger.weighted`."""
    ledger = start
    for batch, weight in batches:
        ledger = ledger.weighted(decay, entry(batch) if weight else None, weight)
    return ledger


def aged(decay: float, batches: Weighted) -> dict[str, float]:
    return (
        dict(batches)
        if decay == 1
        else {batch: weight * decay ** (len(batches) - 1 - k) for k, (batch, weight) in enumerate(batches)}
    )


def weighted_sums(entry: FeatureRows, weight: Mapping[str, float]) -> Sums:
    total = Sums.empty(entry.inputs.shape[1])
    for k, batch in enumerate(entry.batches):
        if batch_weight := weight.get(batch, 0.0):
            total = total + Sums.of(entry.take(entry.batch == k)).scaled(batch_weight)
    return total


def with_bounded_rows(
    sums: Ledger, grown: Ledger, decay: float, batches: Weighted, entry: Callable[[str], FeatureRows]
) -> Ledger:
    """Adds bounded rows to weighted sums: all that judge, and those that select and still count."""
    if decay == 1:
        selected = grown.selected.take(grown.selected.in_batches(dict(batches)))
        return replace(sums, exam=grown.exam, selected=selected)
    fresh = [entry(batch) for batch, weight in aged(decay, batches).items() if weight >= FADED]
    selected = FeatureRows.concat(
        [FeatureRows.none(sums.width), *(e.take((e.folds == SELECT_FOLD) & ~e.parted) for e in fresh)]
    )
    return replace(sums, exam=grown.exam, selected=bounded(selected, by_source=True))
