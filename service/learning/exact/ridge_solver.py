"""Ridge as a solver; its strength alpha is chosen from a grid on sums of rows that the head did not learn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from service.contract.inputs import InputSpec
from service.contract.tables import TableInput
from service.learning.data.rows import FeatureRows
from service.learning.exact.discriminants import blended, blended_out_of_fold, compared, with_discriminants
from service.learning.exact.out_of_fold import LeftOut, lda_out_of_fold, ridge_out_of_fold
from service.learning.exact.solve import Head, RidgeEquations, solve_lda, solve_ridge, solved_once
from service.learning.exact.solver import Fitted, Name
from service.learning.ledger.moments import Moments
from service.learning.ledger.sums import Sums
from service.learning.network.checkpoint import ExactHead
from service.learning.run import UNWATCHED, Run

ALPHAS = (1e-4, 1e-3, 1e-2, 1e-1, 0.3)
"""The grid of the ridge's strength, in units of each feature's own variance. Squared error asks for 1 where rows are
few; answers are better with 0.3: by 0.3 points on average over ten feature sets."""
DEFAULT_ALPHA = 1e-2
"""Alpha until there are rows to choose on."""
TIE = 1e-6
"""Scores so near to the best (relative) are equal: the larger alpha wins, so that rounding chooses nothing."""
MANY = 3
"""Rows a feature from which on the search starts below the middle of the grid: that many need less shrinkage."""
NEAR = 0.1
"""The smallest alpha wins whose score is at most this much worse (relative): squared error asks for more shrinkage than
the answers do, most of all where classes are many."""
TABLE_ALPHAS = (1e-3, 1e-2, 1e-1, 0.3, 1.0, 3.0, 10.0)
"""The grid on tables, whose few classes are noisy: there the least squared error ranks best, and a head that is nearly
as good by it ranks far worse. With this grid and no leniency AUC was 0.006 to 0.026 higher on five tables."""


@dataclass(frozen=True)
class Alphas:
    """Strengths to choose from, ascending, and how much worse (relative) a smaller one may be and still win."""

    grid: Sequence[float] = ALPHAS
    near: float = NEAR


USUAL, OF_TABLES = Alphas(), Alphas(TABLE_ALPHAS, 0.0)


def alphas_of(spec: InputSpec) -> Alphas:
    return OF_TABLES if isinstance(spec, TableInput) else USUAL


@dataclass(frozen=True, eq=False)
class AlphaChoice:
    """The alpha that was chosen, the head of the learning rows with it, and the score of every alpha that was tried."""

    alpha: float
    head: Head
    scores: dict[float, float]


def choose_alpha(
    learn: Sums, select: Sums, shift: int, prior: float, alphas: Alphas = USUAL, run: Run = UNWATCHED
) -> AlphaChoice:
    """Chooses the alpha of a head of `learn` (folds 3-9) by its squared error on `select` (fold 2).

    From the middle of the grid, or one below it where rows are many (`MANY`), larger ones are tried while the error
    falls, then smaller ones while they are nearly as good as the best (`near`), of which the smallest wins; where all
    that were tried are equal within 1e-6, the largest.
    From sums alone, so a pure function of them. With a grid of one, or where the two share no class, nothing is tried:
    the one alpha, or 1e-2.
    """
    grid, shared = alphas.grid, set(learn.classes) & set(select.classes)
    if len(grid) == 1 or not shared:
        alpha = grid[0] if len(grid) == 1 else DEFAULT_ALPHA
        return AlphaChoice(alpha, solve_ridge(learn, shift, alpha, prior), {})
    ridge, truth = RidgeEquations(Moments.of(learn, prior)), Moments.of(select, prior)
    heads: dict[float, Head] = {}

    def error(alpha: float) -> float:
        run.check()
        heads[alpha] = head = ridge.solve(alpha)
        return truth.squared_error(head.weight, head.bias, head.classes)

    first = len(grid) // 2 - (learn.mass >= MANY * learn.width)
    scores = _searched(error, alphas, first)
    best = _best(scores, alphas.near)
    return AlphaChoice(best, solved_once(learn, shift, best, prior, lambda: heads[best]), scores)


def solved_as(exact: ExactHead, sums: Sums, shift: int) -> Head:
    """Solves sums as a version says that its own head was solved. Raises MethodRefused."""
    if exact.method == "lda":
        head = solve_lda(sums, shift, exact.prior)
    else:
        head = Ridge(exact.prior, discriminants=exact.method == "both").solve(sums, shift, exact.alpha)
    return head.moved(sums, exact.log_share)


def _searched(error: Callable[[float], float], alphas: Alphas, first: int) -> dict[float, float]:
    """Returns the error of each alpha that had to be tried, by alpha; `first`: place of the one to start from."""
    grid, low, high = alphas.grid, first, first
    scores = {grid[low]: error(grid[low])}
    while high + 1 < len(grid):
        scores[grid[high + 1]] = error(grid[high + 1])
        if scores[grid[high + 1]] > scores[grid[high]] * (1 + TIE):
            break
        high += 1
    while low and scores[grid[low]] <= min(scores.values()) * (1 + alphas.near):
        low -= 1
        scores[grid[low]] = error(grid[low])
    return dict(sorted(scores.items()))


def _best(scores: Mapping[float, float], near: float) -> float:
    least = min(scores.values())
    tied = [alpha for alpha, score in scores.items() if score <= least * (1 + TIE)]
    if len(tied) == len(scores):
        return max(tied)
    return min(alpha for alpha, score in scores.items() if score <= least * (1 + near))


@dataclass(frozen=True)
class Ridge:
    """(G_b + alpha D) W = [pi_1 mu_1 ... pi_C mu_C], alpha from `alphas`; with `discriminants` those beside it, unless
    `fit` finds ridge alone surely better."""

    prior: float
    alphas: Alphas = USUAL
    discriminants: bool = False

    @property
    def name(self) -> Name:
        return "both" if self.discriminants else "ridge"

    def fit(self, learn: Sums, select: Sums, selected: FeatureRows, shift: int, run: Run) -> Fitted:
        choice = choose_alpha(learn, select, shift, self.prior, self.alphas, run)
        if not self.discriminants:
            return Fitted(choice.head, self, choice.alpha, choice.scores)
        both = with_discriminants(choice.head, learn, shift)
        test = compared(choice.head, both, selected, shift)
        if test is not None and test.surely:
            return Fitted(choice.head, replace(self, discriminants=False), choice.alpha, choice.scores, test)
        return Fitted(both, self, choice.alpha, choice.scores, test)

    def solve(self, sums: Sums, shift: int, alpha: float | None) -> Head:
        alpha = self._usual if alpha is None else alpha
        head = solve_ridge(sums, shift, alpha, self.prior)
        return with_discriminants(head, sums, shift) if self.discriminants else head

    def out_of_fold(
        self, total: Sums, entry: FeatureRows, shift: int, alpha: float | None, run: Run
    ) -> tuple[Head, Iterator[LeftOut]]:
        alpha = self._usual if alpha is None else alpha
        head, answers = ridge_out_of_fold(total, entry, shift, alpha, self.prior, run)
        if not self.discriminants:
            return head, answers
        other, other_answers = lda_out_of_fold(total, entry, shift, 0.0, run)
        return blended(head, other, total, shift), blended_out_of_fold(answers, other_answers)

    @property
    def _usual(self) -> float:
        """The alpha until one was chosen."""
        return self.alphas.grid[0] if len(self.alphas.grid) == 1 else DEFAULT_ALPHA
