"""What the heads of an update are solved from: its rows and the base's in one space, each batch with its weight."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from service.learning.ledger.batch_weights import OTHERS, BatchWeights, aged
from service.learning.ledger.feature_space import Space
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums
from service.learning.update_data import Data


@dataclass(frozen=True, eq=False)
class WeightedData:
    """The data of an update in a feature space, with the weights of its batches. selecting: whether rows are asked for
    that select."""

    data: Data
    space: Space
    weights: BatchWeights
    selecting: bool = True

    @cached_property
    def ledger(self) -> Ledger:
        """Weighted sums of every row, and the bounded rows that judge and select."""
        if self.weights.plain:
            return self.data.grown(self.space)
        return self.data.weighted(self.space, self.weights, selecting=self.selecting)

    @cached_property
    def earlier_ledger(self) -> Ledger:
        """Weighted sums of every row but the update's own."""
        if self.weights.plain:
            return self.data.ledger(self.space)
        return self.data.weighted(self.space, self.weights, own=False, selecting=False)

    def earlier(self) -> Sums:
        """Weighted sums of every row but the update's own, over all folds."""
        return self.data.weighted(self.space, self.weights, own=False, selecting=False).all

    def counts(self) -> dict[str, float]:
        """What a row of each batch counts, the batch's age included."""
        return aged(self.weights.decay, self.data.weighted_batches(self.weights))

    def of_source(self, name: str) -> WeightedData:
        """Returns the data in which the rows of that source alone count, as much as they do here."""
        return replace(self, weights=BatchWeights(self.weights.decay, {name: self.weights.of(name), OTHERS: 0.0}))
