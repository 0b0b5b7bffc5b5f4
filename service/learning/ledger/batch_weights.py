"""What each batch counts: less with age, and by where it comes from. Weighted sums of the batches' own sums.

Weights other than 0 and 1 make sums of reals, which depend on the order in which they are added: so they are added in
the order of batch ids, by Horner's rule S <- decay S + weight E. From scratch or one batch at a time, in whatever order
the batches were learned, the sums have the same bits; and without a batch they are those of never having seen it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from service.learning.data.rows import SELECT_FOLD, FeatureRows, bounded
from service.learning.ledger.entry import SummedEntry
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums

OTHERS = "*"
"""Stands for every source that is not named."""
FADED = 0.1
"""A batch that counts less than this says nothing of how sure the head may be today."""

Weighted = tuple[tuple[str, float], ...]
"""Batches in the order of their ids, each with its weight apart from its age."""


@dataclass(frozen=True)
class BatchWeights:
    """decay: what a batch counts less with every later batch, (0, 1] · sources: what a source counts, by name.

    A source that is not named counts as "*" does, else 1.
    """

    decay: float = 1.0
    sources: Mapping[str, float] = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """Every row counts once."""
        return self.decay == 1 and all(weight == 1 for weight in self.sources.values())

    @property
    def whole(self) -> bool:
        """Sums stay integers: a row counts once or not at all."""
        return self.decay == 1 and all(weight in (0, 1) for weight in self.sources.values())

    def of(self, source: str) -> float:
        """What a batch of that source counts, age apart."""
        return self.sources.get(source, self.sources.get(OTHERS, 1.0))

    def steps(self, batches: Iterable[str], source: Callable[[str], str], without: Iterable[str] = ()) -> Weighted:
        """The batches by id. Those `without` weigh nothing, but time passes with them, too."""
        named, left_out = any(weight != 1 for weight in self.sources.values()), frozenset(without)
        weighed = (
            (batch, 0.0 if batch in left_out else self.of(source(batch)) if named else 1.0)
            for batch in sorted(set(batches))
        )
        return tuple((batch, weight) for batch, weight in weighed if weight or self.decay < 1)

    def told(self) -> str:
        """For people."""
        aged = [f"a batch counts {self.decay:g} times as much with every later one"] if self.decay < 1 else []
        named = [f'"{name}" counts {weight:g}' for name, weight in sorted(self.sources.items()) if weight != 1]
        return "; ".join([*aged, *named])

    def key(self) -> str:
        """The same text for the same weights."""
        return json.dumps([self.decay, sorted(self.sources.items())])


def add_up(start: Ledger, decay: float, steps: Weighted, entry: Callable[[str], FeatureRows | SummedEntry]) -> Ledger:
    """Horner's rule over the steps: sums alone, see `Ledger.weighted`."""
    ledger = start
    for batch, weight in steps:
        ledger = ledger.weighted(decay, entry(batch) if weight else None, weight)
    return ledger


def aged(decay: float, steps: Weighted) -> dict[str, float]:
    """What each batch counts, its age included."""
    return {batch: weight * decay ** (len(steps) - 1 - k) for k, (batch, weight) in enumerate(steps)}


def weighted_sums(entry: FeatureRows, weight: Mapping[str, float]) -> Sums:
    """Of rows with rounded features, each counted as its batch is."""
    total = Sums.empty(entry.inputs.shape[1])
    for k, batch in enumerate(entry.batches):
        if counts := weight.get(batch, 0.0):
            total = total + Sums.of(entry.take(entry.batch == k)).scaled(counts)
    return total


def with_facts(
    sums: Ledger, grown: Ledger, decay: float, steps: Weighted, entry: Callable[[str], FeatureRows]
) -> Ledger:
    """Weighted sums beside bounded rows: all that judge, and of those that choose the ones that still count."""
    if decay == 1:
        counts = np.array([batch in dict(steps) for batch in grown.selected.batches], bool)
        return replace(sums, exam=grown.exam, selected=grown.selected.take(counts[grown.selected.batch]))
    fresh = [entry(batch) for batch, counts in aged(decay, steps).items() if counts >= FADED]
    selected = FeatureRows.concat(
        [FeatureRows.none(sums.width), *(e.take((e.folds == SELECT_FOLD) & ~e.parted) for e in fresh)]
    )
    return replace(sums, exam=grown.exam, selected=bounded(selected, by_source=True))
