"""How strong the ridge is: alpha, chosen from a grid on sums of rows that the head did not learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from service.learning.moments import Moments
from service.learning.solve import Head, RidgeEquations, in_features, solve_ridge
from service.learning.sums import Sums

ALPHAS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""The grid of the ridge's strength, in units of each feature's own variance."""
DEFAULT_ALPHA = 1e-2
"""Used until there are rows to choose on."""
TIE = 1e-6
"""Scores so near to the best (relative) are equal: the larger alpha wins, so that rounding chooses nothing."""
NEAR = 0.1
"""With more rows than features the smallest alpha wins whose score is at most this much worse (relative): squared error
asks for more shrinkage than the answers do. Measured on eight data sets of 100 to 18,000 rows: at most 0.5 points of
accuracy lost, 1 to 5 gained where classes are many."""


@dataclass(frozen=True, eq=False)
class Choice:
    """The alpha that was chosen, the head of the learning rows with it, and the score of every alpha that was tried."""

    alpha: float
    head: Head
    scores: dict[float, float]


def choose_alpha(
    learn: Sums,
    select: Sums,
    shift: int,
    prior: float,
    grid: Sequence[float] = ALPHAS,
    check: Callable[[], None] = lambda: None,
) -> Choice:
    """Solves `learn` (folds 3-9) with every alpha of the grid and takes the least squared error on `select` (fold 2).

    From sums alone, so a pure function of them. Ties within 1e-6 go to the larger alpha; then, with more learning rows
    than features, the smallest alpha that is nearly as good (`NEAR`) is taken. With a grid of one, or where the two
    share no class, nothing is tried: the one alpha, or 1e-2.
    """
    shared = set(learn.classes) & set(select.classes)
    if len(grid) == 1 or not shared:
        alpha = grid[0] if len(grid) == 1 else DEFAULT_ALPHA
        return Choice(alpha, solve_ridge(learn, shift, alpha, prior), {})
    ridge, truth = RidgeEquations(Moments.of(learn, prior)), Moments.of(select, prior)
    heads: dict[float, Head] = {}
    for alpha in grid:
        check()
        heads[alpha] = ridge.solve(alpha)
    scores = {alpha: truth.squared_error(head.weight, head.bias, head.classes) for alpha, head in heads.items()}
    best = _best(scores, learn.mass > learn.width)
    return Choice(best, in_features(heads[best], learn, shift), scores)


def _best(scores: Mapping[float, float], many_rows: bool) -> float:
    least = min(scores.values())
    tied = [alpha for alpha, score in scores.items() if score <= least * (1 + TIE)]
    if many_rows and len(tied) < len(scores):
        return min(alpha for alpha, score in scores.items() if score <= least * (1 + NEAR))
    return max(tied)
