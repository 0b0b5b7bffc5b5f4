"""Compares a challenger with what serves: both answer rows kept back for choosing, and a paired test decides.

Neither has learned those rows: an exact version answers by the head of its learning folds alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import torch

from service.learning.data.rows import Floats, Ints, Rows, bounded
from service.learning.exact.solve import Head
from service.learning.exact.weighted_data import WeightedData
from service.learning.ledger.batch_weights import weights_of
from service.learning.ledger.feature_space import Space, feature_blocks
from service.learning.ledger.ledger import Ledger
from service.learning.method import Data
from service.learning.network.checkpoint import Checkpoint, ExactHead
from service.learning.network.network import build
from service.learning.number_heads.equations import NumberHead
from service.learning.run import Run

DOUBT = 0.05
"""Largest chance that it was luck."""


@dataclass(frozen=True)
class Comparison(ABC):
    """How a challenger and a champion did on the same rows: a number of each, and `p`, the chance of so clear a win
    where there is no difference."""

    rows: int
    champion: float
    challenger: float
    p: float

    @property
    @abstractmethod
    def won(self) -> bool:
        """Whether the challenger is better by more than a margin, and not by luck."""

    @abstractmethod
    def sentence(self, name: str, champion: str = "what serves") -> str:
        """Says how both did, and what it takes to win."""


def kept_for_choosing(data: Data, batches: Collection[str] | None = None) -> Rows:
    """The selecting rows of history and batch, bounded by class and source; batches: of these alone. Reads the
    history."""
    kept = Rows.concat([data.kept(), data.batch])
    chosen = kept.selecting if batches is None else kept.selecting & kept.in_batches(batches)
    return bounded(kept.take(chosen), by_source=True)


def outputs_unselected(
    version: Checkpoint, rows: Rows, data: Data, run: Run, solve: Callable[[ExactHead, Ledger], Head | NumberHead]
) -> Iterator[tuple[Ints, Floats]]:
    """Columns of a version for some of the rows at a time, without the rows that choose: of an exact version by what
    `solve` makes of its ledger; a trained one never learned them."""
    network, exact = build(version), version.layout.exact
    head = None
    if exact is not None:
        head = solve(exact, WeightedData(data, Space.of(version), weights_of(version)).ledger)
    for places, h in feature_blocks(network, rows.inputs):
        run.check()
        if head is not None:
            yield places, h.double().numpy() @ head.weight.T + head.bias
        else:
            with torch.no_grad():
                yield places, network.logits(h).double().numpy()
