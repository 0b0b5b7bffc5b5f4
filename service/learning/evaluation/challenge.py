"""Compares a challenger with what serves: both answer rows that neither has learned, and a paired test decides.

These are rows kept back for choosing, which an exact version answers by the head of its learning folds alone; or rows
that came later than all that both have learned. Kept-back rows lie among rows of the same days that were learned, which
flatters a network: on the weather it made 0.58 to 0.76 of the exact head's error on them, 1.01 to 1.27 on the newest
tenth of the rows, and 0.98 to 2.4 on the weeks after. The newest rows alone are of few days, and may be luck: on prices
of electricity a network made 0.80 of the error there, and 1.00 afterwards. So a challenger must win on both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from service.learning.data.rows import Floats, Ints, Rows, bounded
from service.learning.exact.solve import Head
from service.learning.exact.weighted_data import WeightedData
from service.learning.ledger.batch_weights import weights_of
from service.learning.ledger.feature_space import Space, feature_blocks
from service.learning.ledger.sums import Sums
from service.learning.network.checkpoint import VALUES, Checkpoint, ExactHead
from service.learning.network.network import build
from service.learning.number_heads.equations import NumberHead
from service.learning.run import Run
from service.learning.update_data import Data

DOUBT = 0.05
"""Largest chance that it was luck."""
LATER = 0.1
"""Share of the rows that are later ones: as many as are kept back for choosing."""


@dataclass(frozen=True)
class Comparison(ABC):
    """How a challenger and a champion did on the same rows: a number of each, and `p`, the chance of so clear a win
    where there is no difference. later: these rows came after all that both learned."""

    rows: int
    champion: float
    challenger: float
    p: float
    later: bool = False

    @property
    @abstractmethod
    def won(self) -> bool:
        """Whether the challenger is better by more than a margin, and not by luck."""

    @abstractmethod
    def sentence(self, name: str, champion: str = "what serves") -> str:
        """Says how both did, and what it takes to win."""

    @property
    def which(self) -> str:
        return "rows that came later" if self.later else "rows kept back for choosing"


def earlier_batches(rows: Mapping[str, int]) -> list[str]:
    """Batches of a model without the newest, which have a tenth of the rows or more. rows: of each batch, in order"""
    so_far = np.cumsum([*rows.values()])
    return [batch for batch, n in zip(rows, so_far, strict=True) if n <= (1 - LATER) * so_far[-1]]


def kept_for_choosing(data: Data, batches: Collection[str] | None = None) -> Rows:
    """The selecting rows of history and batch, bounded by class and source; batches: of these alone. Reads the
    history."""
    kept = Rows.concat([data.kept(), data.batch])
    chosen = kept.selecting if batches is None else kept.selecting & kept.in_batches(batches)
    return bounded(kept.take(chosen), by_source=True)


def outputs_unlearned(
    version: Checkpoint,
    rows: Rows,
    data: Data,
    run: Run,
    solve: Callable[[ExactHead, Sums, int], Head | NumberHead],
    later: bool,
) -> Iterator[tuple[Ints, Floats]]:
    """Columns of a version for some of the rows at a time, that it has not learned: of an exact version by what `solve`
    makes of the sums of the learning folds, or of all data where the rows came `later`, and of their shift."""
    network, exact, inputs = build(version), version.layout.exact, rows.inputs
    head = None
    if exact is not None:
        ledger = WeightedData(data, Space.of(version), weights_of(version)).ledger
        head = solve(exact, ledger.all if later else ledger.learn, ledger.shift)
    if later and VALUES in version.parts:  # as where it serves
        inputs = np.where(version.learned_values().unknown(inputs), np.nan, inputs)
    for places, h in feature_blocks(network, inputs):
        run.check()
        if head is not None:
            yield places, h.double().numpy() @ head.weight.T + head.bias
        else:
            with torch.no_grad():
                yield places, network.logits(h).double().numpy()
