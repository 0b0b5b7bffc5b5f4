"""Compares a challenger of classes with what serves, by accuracy."""

from __future__ import annotations

import numpy as np

from service.learning.data.rows import Ints, Rows
from service.learning.evaluation.challenge import DOUBT, Comparison, kept_for_choosing, outputs_unselected
from service.learning.exact.ridge_solver import solved_as
from service.learning.exact.solve import Head
from service.learning.ledger.ledger import Ledger
from service.learning.method import Data
from service.learning.network.checkpoint import Checkpoint, ExactHead
from service.learning.run import Run
from service.learning.statistics import Paired, at_least
from service.learning.wording import chance

MARGIN = 0.01
"""Accuracy that a challenger must win."""


class ClassComparison(Comparison):
    @property
    def won(self) -> bool:
        return self.challenger - self.champion > MARGIN and self.p < DOUBT

    def sentence(self, name: str, champion: str = "what serves") -> str:
        return (
            f"{name} answers {self.challenger:.3f} of {self.rows} rows kept back for choosing, {champion} "
            f"{self.champion:.3f} ({chance(self.p)}); it takes more than {MARGIN:g} and p < {DOUBT:g} to win."
        )


def compare(champion: Checkpoint, challenger: Checkpoint, data: Data, run: Run) -> ClassComparison:
    """Compares both on the selecting rows of history and batch. Reads the history."""
    rows = kept_for_choosing(data)
    if not len(rows):
        return ClassComparison(0, 0.0, 0.0, 1.0)
    right = [_columns(version, rows, data, run) == rows.codes(version.classes) for version in (champion, challenger)]
    paired = Paired.of(*right)
    luck = at_least(paired.better, paired.worse + paired.better, 0.5)
    return ClassComparison(len(rows), float(right[0].mean()), float(right[1].mean()), luck)


def _columns(version: Checkpoint, rows: Rows, data: Data, run: Run) -> Ints:
    """Returns the column that a version answers each row with. -> [n]"""

    def solve(exact: ExactHead, ledger: Ledger) -> Head:
        return solved_as(exact, ledger.learn, ledger.shift).aligned(version.classes)

    columns = np.zeros(len(rows), np.int64)
    for places, outputs in outputs_unselected(version, rows, data, run, solve):
        columns[places] = outputs.argmax(1)
    return columns
