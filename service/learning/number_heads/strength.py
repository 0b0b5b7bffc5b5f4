"""Chooses the strength of a head: the alpha with the least squared error on rows that it did not learn, from sums."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from service.learning.exact.ridge_solver import DEFAULT_ALPHA, TIE
from service.learning.ledger.sums import Sums
from service.learning.number_heads.equations import NumberEquations, NumberHead, NumberMoments, number_head
from service.learning.number_heads.last_errors import STEP
from service.learning.run import UNWATCHED, Run

NUMBER_ALPHAS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""The grid of the strength, in units of each feature's own variance. Noisy targets want 1 to 10."""

REAL = 0.5
"""Part of the error on the last batches that a rise on rows kept back is relative to at least: a wide head is hardly
off on other rows of the days that it knows, and how little says nothing of days to come."""
LEAST_RISE = 0.1
"""Rise on rows kept back that says nothing: they are a tenth of all, and of days that the head knows."""


@dataclass(frozen=True, eq=False)
class StrengthChoice:
    """The alpha that was chosen, what makes the head of the learning rows with it, and the mean squared error of each
    alpha that was tried, in units, over the k numbers; none where no rows could tell."""

    alpha: float
    head: Callable[[], NumberHead]
    errors: dict[float, float] = field(default_factory=dict)


class _Tried:
    """Heads of `learn` by alpha, and the mean squared error of each on `select`, in units, over the k numbers."""

    def __init__(self, learn: Sums, select: Sums, numbers: int, shift: int, run: Run) -> None:
        self._equations, self._truth = NumberEquations(learn, numbers, shift), NumberMoments.of(select, numbers)
        self._shift, self._run = shift, run
        self._heads: dict[float, NumberHead] = {}
        self.errors: dict[float, float] = {}

    def error(self, alpha: float) -> float:
        """Solves one more head, and says its error."""
        self._run.check()
        self._heads[alpha] = self._equations.solve(alpha)
        self.errors[alpha] = float(self._truth.squared_errors(self._heads[alpha], self._shift).mean())
        return self.errors[alpha]

    def chosen(self, alpha: float) -> StrengthChoice:
        """One of the tried ones as the choice."""
        return StrengthChoice(alpha, lambda: self._heads[alpha], dict(sorted(self.errors.items())))


def choose_strength(
    learn: Sums, select: Sums, numbers: int, shift: int, grid: Sequence[float] = NUMBER_ALPHAS, run: Run = UNWATCHED
) -> StrengthChoice:
    """Chooses the alpha of a head of `learn` (folds 3-9) by its squared error on `select` (fold 2); grid ascending.

    From the middle of the grid larger ones are tried while the error falls; where the first of them does not lower it,
    smaller ones. Of equal ones (within 1e-6) the largest wins. With a grid of one, or where either side has no rows,
    nothing is tried: the one, or 1e-2.
    """
    if len(grid) == 1 or learn.mass <= 0 or select.mass <= 0:
        alpha = grid[0] if len(grid) == 1 else DEFAULT_ALPHA
        return StrengthChoice(alpha, lambda: number_head(learn, numbers, shift, alpha))
    tried = _Tried(learn, select, numbers, shift, run)
    errors, middle = tried.errors, (len(grid) - 1) // 2
    tried.error(grid[middle])
    larger, smaller = [*range(middle + 1, len(grid))], [*range(middle - 1, -1, -1)]
    for way in (larger, smaller):
        before = errors[grid[middle]]
        for k in way:
            if tried.error(grid[k]) > before * (1 + TIE):
                break
            before = errors[grid[k]]
        if before < errors[grid[middle]]:
            break
    least = min(errors.values())
    return tried.chosen(max(alpha for alpha, value in errors.items() if value <= least * (1 + TIE)))


@dataclass(frozen=True, eq=False)
class StrengthErrors:
    """Strengths by their mean |error| on the last batches, in units, each batch before it was learned; and how many
    batches that were."""

    errors: Mapping[float, float]
    batches: int

    def choose(self, learn: Sums, select: Sums, numbers: int, shift: int, run: Run = UNWATCHED) -> StrengthChoice:
        """Chooses the alpha with the least error, where what rows of all batches that are kept back (fold 2) lose by it
        counts as one batch more.

        One batch alone, right or wrong, would choose what suits itself, whatever older rows lose: of hotel rooms in
        date order the second week chose 10 in place of 1, which won 2 % on it and lost 27 % on older rows, and
        errors on the first four were 14 % larger.
        """
        if len(self.errors) == 1 or learn.mass <= 0 or select.mass <= 0:
            return choose_strength(learn, select, numbers, shift, (self._best(self.errors),), run)
        tried = _Tried(learn, select, numbers, shift, run)
        kept = {alpha: math.sqrt(max(tried.error(alpha), 0.0)) for alpha in self.errors}
        least = min(kept.values())
        size = max(least, REAL * min(self.errors.values()), STEP)
        lost = {alpha: max((error - least) / size - LEAST_RISE, 0.0) for alpha, error in kept.items()}
        return tried.chosen(self._best({a: e * (1 + lost[a]) ** (1 / self.batches) for a, e in self.errors.items()}))

    def _best(self, errors: Mapping[float, float]) -> float:
        """The alpha with the least error, ties to the larger."""
        least = min(max(error, STEP) for error in errors.values())
        return max(alpha for alpha, error in errors.items() if error <= least * (1 + TIE))
