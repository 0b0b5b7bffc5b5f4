"""What sums say of the classes: their prior, their means and the spread within them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from service.learning.data.rows import Ints
from service.learning.ledger.sums import Floats, Sums

MANY = 1024
"""Classes from which on what each answers to each is not written down: it would take the square of their number."""


@dataclass(frozen=True, eq=False)
class Moments:
    """What sums say of the classes, in grid units, by name: prior pi [C] · means [M, C] · n [C] rows.

    products: sum h h' over the rows [M, M] · freedom: rows less classes, at least 1.
    """

    classes: tuple[str, ...]
    prior: Floats
    means: Floats
    n: Floats
    products: Floats
    freedom: float
    variance: Floats
    """Of each feature over all rows, floored at 1e-6 of its mean: the D of the ridge. [M]"""

    @classmethod
    def of(cls, sums: Sums, prior: float) -> Moments:
        """pi_k ~ n_k^prior. Some row must weigh something."""
        ordered = sums.sorted()
        n, rows, q, G = ordered.n, ordered.mass, ordered.Q[:-1], ordered.G[:-1, :-1]
        weight = n**prior
        variance = floored_variance(G.diagonal(), q.sum(1), rows)
        return cls(ordered.classes, weight / weight.sum(), q / n, n, G, freedom_of(n), variance)

    @cached_property
    def within(self) -> Floats:
        """S_w: the spread within classes, symmetric. [M, M]"""
        within: Floats = np.multiply(self.products, 1 / self.freedom, order="C")
        right = self.means * self.n
        from scipy.linalg.blas import dgemm  # of no use to a process that only serves

        dgemm(1.0, right, self.means / -self.freedom, 1.0, within.T, trans_b=True, overwrite_c=True)
        return within

    def half(self) -> Floats:
        """S_w anew, of which the triangle on and below the diagonal alone means something. [M, M] Fortran-ordered"""
        half: Floats = np.multiply(self.products, 1 / self.freedom, order="C").T
        add_square(half, self.means * np.sqrt(self.n / self.freedom), -1.0)
        return half

    def squared_error(self, weight: Floats, bias: Floats, columns: Sequence[str]) -> float:
        """Mean squared error of one-hot targets, each class weighted by pi. weight [C, M] in grid units, bias [C].

        = tr(W S_w W') + sum_k pi_k |W mu_k + b - e_k|^2: the squared error of the rows behind these sums, each row of
        class k weighted n_k^(prior - 1), with the spread within classes pooled as in the head's own equations.
        """
        place = {name: k for k, name in enumerate(columns)}
        own = np.array([place.get(name, -1) for name in self.classes], np.int64)
        with_column = np.flatnonzero(own >= 0)  # a class without a column has no one in it
        if max(len(own), len(columns)) > MANY:
            return self._squared_error_of_many(weight, bias, own[with_column], with_column)
        spread = float(np.sum((weight @ self.products) * weight))
        miss = weight @ self.means
        spread -= float(self.n @ np.sum(miss**2, 0))
        miss += bias[:, None]
        miss[own[with_column], with_column] -= 1
        return spread / self.freedom + float(self.prior @ np.sum(miss**2, 0))

    def _squared_error_of_many(self, weight: Floats, bias: Floats, own: Ints, with_column: Ints) -> float:
        """The same without a matrix of classes by classes, from W'W: |W mu + b - e|^2 multiplied out. own: columns of
        the classes at the places `there`."""
        counts = self.n / self.freedom - self.prior
        squares = np.vdot(weight.T @ weight, self.products / self.freedom - (self.means * counts) @ self.means.T)
        mixed = 2 * bias @ (weight @ (self.means @ self.prior)) + bias @ bias
        right = np.einsum("km,mk->k", weight[own], self.means[:, with_column]) + bias[own]
        return float(squares + mixed + self.prior[with_column] @ (1 - 2 * right))


def freedom_of(n: Floats) -> float:
    """Rows less classes, at least 1; a row that weighs less costs less. n [C]"""
    return max(float(n.sum()) - float(np.minimum(n, 1).sum()), 1.0)


def oas_shrinkage(trace: float, square: float, size: int, freedom: float) -> float:
    """How far a covariance [size, size] is shrunk to the identity, 0 to 1, from its trace and the sum of its squares.

    Oracle approximating shrinkage (Chen et al. 2010, eq. 23).
    """
    below = (freedom + 1 - 2 / size) * (square - trace**2 / size)
    return min(1.0, max(((1 - 2 / size) * square + trace**2) / below, 0.0)) if below > 0 else 1.0


def floored_variance(squares: Floats, sums: Floats, rows: float) -> Floats:
    """Of each feature, from sums over the rows of its square and of itself [M]; floored at 1e-6 of its mean."""
    variance = squares / rows - (sums / rows) ** 2
    mean = float(variance.mean()) if variance.size else 0.0
    return np.maximum(variance, 1e-6 * mean) if mean > 0 else np.ones_like(variance)


def add_square(onto: Floats, columns: Floats, sign: float) -> None:
    """onto += sign columns columns', in place, its triangle on and below the diagonal alone. onto [M, M]
    Fortran-ordered, columns [M, C] in C's order."""
    from scipy.linalg.blas import dsyrk  # of no use to a process that only serves

    dsyrk(sign, columns.T, 1.0, onto, trans=True, lower=True, overwrite_c=True)
