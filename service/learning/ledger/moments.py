"""Moments of the classes from sums: prior, means and the spread within classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from service.learning.data.rows import Floats, Ints, lookup
from service.learning.ledger.sums import Sums

MANY = 1024
"""Classes beyond which no matrix of classes by classes is made."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of the classes in grid units, ordered by name: prior pi [C] · means [M, C] · n [C] rows.

    products: sum h h' over the rows [M, M] · freedom: rows less classes, at least 1.
    """

    classes: tuple[str, ...]
    prior: Floats
    means: Floats
    n: Floats
    products: Floats
    freedom: float
    variance: Floats
    """Variance of each feature over all rows, floored at 1e-6 of its mean: the D of ridge. [M]"""

    @classmethod
    def of(cls, sums: Sums, prior: float) -> Moments:
        """Computes moments with pi_k ~ n_k^prior, of sums that have a mass."""
        ordered = sums.sorted()
        n, rows, q, G = ordered.n, ordered.mass, ordered.Q[:-1], ordered.G[:-1, :-1]
        weight = n**prior
        variance = floored_variance(G.diagonal(), q.sum(1), rows)
        return cls(ordered.classes, weight / weight.sum(), q / n, n, G, freedom_of(n), variance)

    @cached_property
    def within(self) -> Floats:
        """S_w, the spread within classes, symmetric. [M, M]"""
        within: Floats = np.multiply(self.products, 1 / self.freedom, order="C")
        right = self.means * self.n
        from scipy.linalg.blas import dgemm  # of no use to a process that only serves

        dgemm(1.0, right, self.means / -self.freedom, 1.0, within.T, trans_b=True, overwrite_c=True)
        return within

    def half(self) -> Floats:
        """Computes S_w on and below the diagonal; what is above means nothing. -> [M, M] Fortran-ordered"""
        half: Floats = np.multiply(self.products, 1 / self.freedom, order="C").T
        add_square(half, self.means * np.sqrt(self.n / self.freedom), -1.0)
        return half

    def squared_error(self, weight: Floats, bias: Floats, columns: Sequence[str]) -> float:
        """Returns the mean squared error of one-hot targets, classes weighted by pi; weight [C, M] in grid units.

        = tr(W S_w W') + sum_k pi_k |W mu_k + b - e_k|^2: the squared error of the rows behind these sums, each row of
        class k weighted n_k^(prior - 1), with the spread within classes pooled as in the head's own equations.
        """
        own = lookup(self.classes, columns)
        with_column = np.flatnonzero(own >= 0)  # a class without a column has no one-hot target
        if max(len(own), len(columns)) > MANY:
            return self._squared_error_of_many(weight, bias, own[with_column], with_column)
        spread = float(np.sum((weight @ self.products) * weight))
        miss = weight @ self.means
        spread -= float(self.n @ np.sum(miss**2, 0))
        miss += bias[:, None]
        miss[own[with_column], with_column] -= 1
        return spread / self.freedom + float(self.prior @ np.sum(miss**2, 0))

    def _squared_error_of_many(self, weight: Floats, bias: Floats, own: Ints, with_column: Ints) -> float:
        """Computes the squared error without a matrix of classes by classes: |W mu + b - e|^2 multiplied out. own:
        columns of the classes at the places `with_column`."""
        counts = self.n / self.freedom - self.prior
        squares = np.vdot(weight.T @ weight, self.products / self.freedom - (self.means * counts) @ self.means.T)
        mixed = 2 * bias @ (weight @ (self.means @ self.prior)) + bias @ bias
        right = np.einsum("km,mk->k", weight[own], self.means[:, with_column]) + bias[own]
        return float(squares + mixed + self.prior[with_column] @ (1 - 2 * right))


def freedom_of(n: Floats) -> float:
    """Returns rows less classes, at least 1; a class that weighs less than one row takes less. n [C]"""
    return max(float(n.sum()) - float(np.minimum(n, 1).sum()), 1.0)


def oas_shrinkage(trace: float, square: float, size: int, freedom: float) -> float:
    """How far a covariance [size, size] is shrunk to the identity, 0 to 1, from its trace and the sum of its squares.

    Oracle approximating shrinkage (Chen et al. 2010, eq. 23).
    """
    below = (freedom + 1 - 2 / size) * (square - trace**2 / size)
    return min(1.0, max(((1 - 2 / size) * square + trace**2) / below, 0.0)) if below > 0 else 1.0


def floored_variance(squares: Floats, sums: Floats, rows: float) -> Floats:
    """Returns the variance of each feature from sums of its square and of itself [M], floored at 1e-6 of its mean."""
    variance = squares / rows - (sums / rows) ** 2
    mean = float(variance.mean()) if variance.size else 0.0
    return np.maximum(variance, 1e-6 * mean) if mean > 0 else np.ones_like(variance)


def add_square(onto: Floats, columns: Floats, sign: float) -> None:
    """Adds sign columns columns' in place, on and below the diagonal alone. onto [M, M] Fortran-ordered, columns [M, C]
    in C's order."""
    from scipy.linalg.blas import dsyrk  # of no use to a process that only serves

    dsyrk(sign, columns.T, 1.0, onto, trans=True, lower=True, overwrite_c=True)
