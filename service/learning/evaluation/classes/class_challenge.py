"""Compares a challenger of classes with what serves, by accuracy."""

from __future__ import annotations

import numpy as np

from service.learning.data.rows import Ints, Rows
from service.learning.evaluation.challenge import DOUBT, Comparison, kept_for_choosing, outputs_unlearned
from service.learning.exact.ridge_solver import solved_as
from service.learning.exact.solve import Head
from service.learning.ledger.sums import Sums
from service.learning.network.checkpoint import Checkpoint, ExactHead
from service.learning.run import Run
from service.learning.statistics import Paired, at_least
from service.learning.update_data import Data
from service.learning.wording import chance

MARGIN = 0.01
"""Accuracy that a challenger must win."""


class ClassComparison(Comparison):
    @property
    def won(self) -> bool:
        return self.challenger - self.champion > MARGIN and self.p < DOUBT

    def sentence(self, name: str, champion: str = "what serves") -> str:
        return (
            f"{name} answers {self.challenger:.3f} of {self.rows} {self.which}, {champion} {self.champion:.3f} "
            f"({chance(self.p)}); it takes more than {MARGIN:g} and p < {DOUBT:g} to win."
        )


def compare(
    champion: Checkpoint, challenger: Checkpoint, data: Data, run: Run, later: Rows | None = None
) -> ClassComparison:
    """Compares both on the selecting rows of history and batch, or on `later` rows of known classes. Reads the
    history."""
    rows = kept_for_choosing(data) if later is None else later.take(later.codes([*data.kept().counts()]) >= 0)
    if not len(rows):
        return ClassComparison(0, 0.0, 0.0, 1.0)
    by_later = later is not None
    columns = (_columns(version, rows, data, run, by_later) for version in (champion, challenger))
    right = [own == rows.codes(version.classes) for own, version in zip(columns, (champion, challenger), strict=True)]
    paired = Paired.of(*right)
    luck = at_least(paired.better, paired.worse + paired.better, 0.5)
    return ClassComparison(len(rows), float(right[0].mean()), float(right[1].mean()), luck, by_later)


def _columns(version: Checkpoint, rows: Rows, data: Data, run: Run, later: bool) -> Ints:
    """Returns the column that a version answers each row with. -> [n]"""

    def solve(exact: ExactHead, sums: Sums, shift: int) -> Head:
        return solved_as(exact, sums, shift).aligned(version.classes)

    columns = np.zeros(len(rows), np.int64)
    for places, outputs in outputs_unlearned(version, rows, data, run, solve, later):
        columns[places] = outputs.argmax(1)
    return columns
