"""Chooses the strength of a head: the alpha with the least squared error on rows that it did not learn, from sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from service.learning.exact.ridge_solver import DEFAULT_ALPHA, TIE
from service.learning.ledger.sums import Sums
from service.learning.number_heads.equations import NumberEquations, NumberHead, NumberMoments, number_head
from service.learning.run import UNWATCHED, Run

NUMBER_ALPHAS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""The grid of the strength, in units of each feature's own variance. Noisy targets want 1 to 10."""


@dataclass(frozen=True, eq=False)
class StrengthChoice:
    """The alpha that was chosen, what makes the head of the learning rows with it, and the mean squared error of each
    alpha that was tried, in units, over the k numbers; none where no rows could tell."""

    alpha: float
    head: Callable[[], NumberHead]
    errors: dict[float, float] = field(default_factory=dict)


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
    equations, truth = NumberEquations(learn, numbers, shift), NumberMoments.of(select, numbers)
    heads: dict[float, NumberHead] = {}
    errors: dict[float, float] = {}

    def error(alpha: float) -> float:
        run.check()
        heads[alpha] = equations.solve(alpha)
        errors[alpha] = float(truth.squared_errors(heads[alpha], shift).mean())
        return errors[alpha]

    middle = (len(grid) - 1) // 2
    error(grid[middle])
    larger, smaller = [*range(middle + 1, len(grid))], [*range(middle - 1, -1, -1)]
    for way in (larger, smaller):
        before = errors[grid[middle]]
        for k in way:
            if error(grid[k]) > before * (1 + TIE):
                break
            before = errors[grid[k]]
        if before < errors[grid[middle]]:
            break
    least = min(errors.values())
    best = max(alpha for alpha, value in errors.items() if value <= least * (1 + TIE))
    return StrengthChoice(best, lambda: heads[best], dict(sorted(errors.items())))
