"""Compares a challenger of numbers with what serves, by mean errors."""

from __future__ import annotations

import numpy as np

from service.learning.data.rows import Floats, Rows
from service.learning.evaluation.challenge import DOUBT, Comparison, kept_for_choosing, outputs_unlearned
from service.learning.evaluation.context import still_counting
from service.learning.ledger.sums import Sums
from service.learning.network.checkpoint import Checkpoint, ExactHead
from service.learning.number_heads.equations import NumberHead, number_head
from service.learning.run import Run
from service.learning.statistics import signed_rank
from service.learning.update_data import Data
from service.learning.wording import chance

MARGIN = 0.02
"""Part of the mean error that a challenger must save."""


class NumberComparison(Comparison):
    """Mean errors of both, in the targets' own unit; of several numbers over the champion's."""

    @property
    def won(self) -> bool:
        return self.challenger < (1 - MARGIN) * self.champion and self.p < DOUBT

    def sentence(self, name: str, champion: str = "what serves") -> str:
        return (
            f"{name} is off by {self.challenger:.4g} on {self.rows} {self.which}, {champion} by {self.champion:.4g} "
            f"({chance(self.p)}); it takes more than {MARGIN:.0%} less and p < {DOUBT:g} to win."
        )


def compare_numbers(
    champion: Checkpoint, challenger: Checkpoint, data: Data, run: Run, later: Rows | None = None
) -> NumberComparison:
    """Compares both on the selecting rows of history and batch that still count for the champion, for which it reads
    the history, or on `later` rows."""
    by_later = later is not None
    rows = kept_for_choosing(data, still_counting(champion, data)) if later is None else later
    if not len(rows):
        return NumberComparison(0, 0.0, 0.0, 1.0)
    values = (_values(version, rows, data, run, by_later) for version in (champion, challenger))
    before, after = (np.abs(own - rows.targets) for own in values)
    usual = before.mean(0) if before.shape[1] > 1 else np.ones(1)
    before, after = ((errors / np.where(usual > 0, usual, 1.0)).mean(1) for errors in (before, after))
    luck = signed_rank(before - after)
    return NumberComparison(len(rows), float(before.mean()), float(after.mean()), luck, by_later)


def _values(version: Checkpoint, rows: Rows, data: Data, run: Run, later: bool) -> Floats:
    """What a version answers, as targets. -> [n, k]"""
    grid = version.layout.numbers
    assert grid is not None, "versions of numbers have their grid"

    def solve(exact: ExactHead, sums: Sums, shift: int) -> NumberHead:
        assert exact.alpha is not None, "an exact head of numbers has its strength"
        return number_head(sums, grid.size, shift, exact.alpha)

    answers = np.zeros((len(rows), grid.size))
    for places, outputs in outputs_unlearned(version, rows, data, run, solve, later):
        answers[places] = outputs
    return grid.targets(grid.value(version.layout.within_reach(answers)), rows.inputs)
