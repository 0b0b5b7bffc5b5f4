"""Compares a challenger with what serves: both answer rows kept back for choosing, and a paired test decides.

Neither has learned those rows: an exact version answers by the head of its learning folds alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from service.learning.data.rows import Floats, Ints, Rows, bounded
from service.learning.exact.ridge_solver import solved_as
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
from service.learning.statistics import Paired, at_least

MARGIN = 0.01
"""Accuracy that a challenger must win."""
DOUBT = 0.05
"""Largest chance that it was luck."""


@dataclass(frozen=True)
class Bout(ABC):
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


class ClassBout(Bout):
    """Accuracy of both."""

    @property
    def won(self) -> bool:
        return self.challenger - self.champion > MARGIN and self.p < DOUBT

    def sentence(self, name: str, champion: str = "what serves") -> str:
        return (
            f"{name} answers {self.challenger:.3f} of {self.rows} rows kept back for choosing, {champion} "
            f"{self.champion:.3f} (p = {self.p:.2g}); it takes more than {MARGIN:g} and p < {DOUBT:g} to win."
        )


def compare(champion: Checkpoint, challenger: Checkpoint, data: Data, run: Run) -> ClassBout:
    """Compares both on the selecting rows of history and batch, bounded by class and source. Reads the history."""
    kept = Rows.concat([data.kept(), data.batch])
    rows = bounded(kept.take(kept.selecting), by_source=True)
    if not len(rows):
        return ClassBout(0, 0.0, 0.0, 1.0)
    right = [_columns(version, rows, data, run) == rows.codes(version.classes) for version in (champion, challenger)]
    paired = Paired.of(*right)
    luck = at_least(paired.better, paired.worse + paired.better, 0.5)
    return ClassBout(len(rows), float(right[0].mean()), float(right[1].mean()), luck)


def _columns(version: Checkpoint, rows: Rows, data: Data, run: Run) -> Ints:
    """Returns the column that a version answers each row with. -> [n]"""

    def solve(exact: ExactHead, ledger: Ledger) -> Head:
        return solved_as(exact, ledger.learn, ledger.shift).aligned(version.classes)

    columns = np.zeros(len(rows), np.int64)
    for places, outputs in outputs_unselected(version, rows, data, run, solve):
        columns[places] = outputs.argmax(1)
    return columns


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
