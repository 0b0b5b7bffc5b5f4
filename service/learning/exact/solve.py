"""Closed-form heads from exact sums: tempered ridge and linear discriminant analysis.

Ridge with random features: McDonnell et al., "RanPAC", NeurIPS 2023; Zhuang et al., "ACIL", NeurIPS 2022; here in the
Gram form and with a tempered prior. LDA from the same sums: Hayes and Kanan, "Deep SLDA", CVPR workshops 2020;
shrinkage: Chen et al., "Shrinkage Algorithms for MMSE Covariance Estimation" (OAS), 2010.

A head is a pure function of its sums: classes are solved in the order of their names and put back, so the columns have
the same bits on one machine however the rows arrived. All of it is float64; no inverse is formed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np

from service.errors import MethodRefused
from service.learning.data.rows import Array, Floats
from service.learning.ledger.moments import Moments, add_square, oas_shrinkage
from service.learning.ledger.sums import Sums

ABSENT = -1e9
"""Score of a class that the head has never seen."""

_SOLVED: WeakKeyDictionary[Sums, dict[tuple[int, float | None, float], Head]] = WeakKeyDictionary()
"""Heads of sums that are still held, by shift, alpha (None: discriminants) and prior: the method, its judge, the choice
of a lift and the learning curve solve the same ones."""


@dataclass(frozen=True, eq=False)
class Head:
    """Scores of a row = weight h + bias, one a class. weight [C, M], bias [C] float64, h in feature units."""

    classes: tuple[str, ...]
    weight: Floats
    bias: Floats

    def logits(self, features: Array) -> Floats:
        """Scores rows. [n, M] -> [n, C] float64"""
        return np.asarray(features, np.float64) @ self.weight.T + self.bias

    def moved(self, sums: Sums, log_share: float) -> Head:
        """Returns the head of these rows whose scores have `gains`."""
        return replace(self, bias=self.bias + gains(self.classes, sums, log_share)) if log_share else self

    def aligned(self, classes: Sequence[str]) -> Head:
        """Returns the columns of these classes in that order; a class that the head does not know scores -1e9."""
        if tuple(classes) == self.classes:
            return self
        weight, bias = np.zeros((len(classes), self.weight.shape[1])), np.full(len(classes), ABSENT)
        at = {name: k for k, name in enumerate(self.classes)}
        for k, name in enumerate(classes):
            if name in at:
                weight[k], bias[k] = self.weight[at[name]], self.bias[at[name]]
        return Head(tuple(classes), weight, bias)


def gains(classes: Sequence[str], sums: Sums, log_share: float) -> Floats:
    """Returns log_share times the logarithm of each class's share of rows, among which it has some. -> [C]"""
    counts = dict(zip(sums.classes, sums.n, strict=True))
    return log_share * np.log([counts[name] / sums.mass for name in classes])


class RidgeEquations:
    """The equations of one prior, solved for any alpha: (B + alpha D) w_k = pi_k (mu_k - mu), the bias eliminated.

    With G_b = S_w + sum_k pi_k mu_k mu_k' over h = [features; 1] and mu = sum_k pi_k mu_k, the bias row of G_b is
    [mu', 1]; taking it out leaves B = S_w + sum_k pi_k (mu_k - mu)(mu_k - mu)', and b_k = pi_k - mu' w_k.
    """

    def __init__(self, moments: Moments) -> None:
        self.moments = moments
        self.centre = moments.means @ moments.prior
        self._centred = moments.means - self.centre[:, None]
        self.target = self._centred * moments.prior
        self._half = moments.half()
        add_square(self._half, self._centred * np.sqrt(moments.prior), 1.0)

    def factor(self, alpha: float, last: bool = False) -> Floats:
        """Returns L of (B + alpha D) = L L' on and below the diagonal; what is above means nothing. `last` uses the
        equations up. Raises MethodRefused."""
        left = self._half if last else self._half.copy("F")
        return cholesky(left, alpha * self.moments.variance, alpha)

    def head(self, factor: Floats) -> Head:
        """Returns the head in grid units."""
        weight = substitute(factor, self.target).T
        return Head(self.moments.classes, weight, self.moments.prior - weight @ self.centre)

    def solve(self, alpha: float, last: bool = False) -> Head:
        """Solves for one alpha, in grid units."""
        return self.head(self.factor(alpha, last))


def solve_ridge(sums: Sums, shift: int, alpha: float, prior: float) -> Head:
    """Solves the ridge head of these rows: columns in the order of `sums.classes`, those without rows left out.

    `prior`: tau of pi_k ~ n_k^tau, 0 uniform, 1 counted (then it is plain ridge on all rows). No rows: no columns.
    Raises MethodRefused where alpha is too small for float64.
    """
    if not sums.mass:
        return Head((), np.zeros((0, sums.width)), np.zeros(0))
    return solved_once(
        sums, shift, alpha, prior, lambda: RidgeEquations(Moments.of(sums, prior)).solve(alpha, last=True)
    )


def solved_once(sums: Sums, shift: int, alpha: float | None, prior: float, solve: Callable[[], Head]) -> Head:
    """Returns the head of these rows, by `solve` in grid units the first time; alpha None: discriminants."""
    solved, key = _SOLVED.setdefault(sums, {}), (shift, alpha, prior)
    if key not in solved:
        solved[key] = in_features(solve(), sums, shift)
    return solved[key]


def solve_lda(sums: Sums, shift: int, prior: float = 0.0) -> Head:
    """Solves discriminants: score_k = mu_k' L h - mu_k' L mu_k / 2 + log pi_k, L the inverse of S_w shrunk by OAS.

    The shrinkage has a floor of 1e-6 of the mean square feature. With one row a class nothing spreads within classes:
    the spread over all rows stands in for it. No rows: no columns.
    """
    if not sums.mass:
        return Head((), np.zeros((0, sums.width)), np.zeros(0))

    def solve() -> Head:
        moments = Moments.of(sums, prior)
        return lda_head(moments, lda_factor(moments, *lda_shrinkage(sums, moments)))

    return solved_once(sums, shift, None, prior, solve)


def lda_shrinkage(sums: Sums, moments: Moments) -> tuple[float, float]:
    """Returns (a, d): discriminants take a S_w + d I for the spread within classes."""
    freedom = max(sums.mass - float(np.minimum(sums.n, 1).sum()), 0.0)
    shrunk, ridge = _oas(moments.within, freedom) if freedom else (0.0, float(moments.variance.mean()))
    floor = 1e-6 * float(sums.G.diagonal()[:-1].mean()) / sums.mass
    return shrunk, max(ridge, floor) or 1.0


def lda_factor(moments: Moments, shrunk: float, diagonal: float) -> Floats:
    """Returns L of a S_w + d I = L L' on and below the diagonal; what is above means nothing."""
    return cholesky((moments.within * shrunk).T, np.full(len(moments.within), diagonal), diagonal)


def lda_head(moments: Moments, factor: Floats) -> Head:
    """Returns the discriminants in grid units."""
    weight = substitute(factor, moments.means).T
    bias = np.log(moments.prior) - 0.5 * np.einsum("km,mk->k", weight, moments.means)
    return Head(moments.classes, weight, bias)


def _oas(within: Floats, freedom: float) -> tuple[float, float]:
    """Returns (1 - eps, eps tr(S) / M) by the oracle approximating shrinkage."""
    size = max(len(within), 1)
    trace, square = float(np.trace(within)), float(np.vdot(within, within))
    eps = oas_shrinkage(trace, square, size, freedom)
    return 1 - eps, eps * trace / size


def cholesky(left: Floats, diagonal: Floats | float, alpha: float) -> Floats:
    """Factors left + diag in place. left [M, M] Fortran-ordered, its lower triangle, float64 or float32. Raises
    MethodRefused."""
    from scipy.linalg.lapack import get_lapack_funcs  # of no use to a process that only serves

    left.ravel("K")[:: len(left) + 1] += diagonal
    (potrf,) = get_lapack_funcs(("potrf",), (left,))
    factor, failed = potrf(left, lower=True, overwrite_a=True, clean=False) if len(left) else (left, 0)
    if failed:
        raise MethodRefused(f"The equations of the head cannot be solved with alpha {alpha:g}: take a larger one.")
    return np.asarray(factor)


def substitute(factor: Floats, right: Floats) -> Floats:
    """Solves L L' x = right. [M, M], [M, C] -> [M, C]"""
    from scipy.linalg.lapack import get_lapack_funcs

    (potrs,) = get_lapack_funcs(("potrs",), (factor,))
    return np.asarray(potrs(factor, right, lower=True)[0]) if len(factor) else right


def in_features(head: Head, sums: Sums, shift: int) -> Head:
    """Converts a head to feature units, exactly (a power of two), with columns in the order of the sums."""
    solved = frozenset(head.classes)
    order = [name for name in sums.classes if name in solved]
    return Head(head.classes, head.weight * 2.0**shift, head.bias).aligned(order)
