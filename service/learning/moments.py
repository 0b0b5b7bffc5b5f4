"""What sums say of the classes: their prior, their means and the spread within them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.learning.sums import Floats, Sums


@dataclass(frozen=True, eq=False)
class Moments:
    """What sums say of the classes, in grid units, by name: prior pi [C] · means [M, C] · within S_w [M, M]."""

    classes: tuple[str, ...]
    prior: Floats
    means: Floats
    within: Floats
    variance: Floats
    """Of each feature over all rows, floored at 1e-6 of its mean: the D of the ridge. [M]"""

    @classmethod
    def of(cls, sums: Sums, prior: float) -> Moments:
        """pi_k ~ n_k^prior. Some row must weigh something."""
        mine = sums.sorted()
        n, rows = mine.n, mine.mass
        q = mine.Q[:-1]
        freedom = max(rows - float(np.minimum(n, 1).sum()), 1.0)  # a row that weighs less costs less
        within = np.multiply(mine.G[:-1, :-1], 1 / freedom, order="C")
        add_outer(within, q / (-n * freedom), q)
        total = q.sum(1) / rows
        variance = mine.G.diagonal()[:-1] / rows - total**2
        mean = float(variance.mean()) if variance.size else 0.0
        floored = np.maximum(variance, 1e-6 * mean) if mean > 0 else np.ones_like(variance)
        weight = n**prior
        return cls(mine.classes, weight / weight.sum(), q / n, within, floored)

    def squared_error(self, weight: Floats, bias: Floats, columns: Sequence[str]) -> float:
        """Mean squared error of one-hot targets, each class weighted by pi. weight [C, M] in grid units, bias [C].

        = tr(W S_w W') + sum_k pi_k |W mu_k + b - e_k|^2: the squared error of the rows behind these sums, each row of
        class k weighted n_k^(prior - 1), with the spread within classes pooled as in the head's own equations.
        """
        spread = float(np.sum((weight @ self.within) * weight))
        miss = weight @ self.means + bias[:, None] - _one_hot(self.classes, columns)
        return spread + float(self.prior @ np.sum(miss**2, 0))


def add_outer(onto: Floats, left: Floats, right: Floats) -> None:
    """onto += left right', in place; `onto` symmetric and C-ordered, which BLAS reads as its own transpose."""
    from scipy.linalg.blas import dgemm  # of no use to a process that only serves

    dgemm(1.0, right, left, 1.0, onto.T, trans_b=True, overwrite_c=True)


def _one_hot(classes: Sequence[str], columns: Sequence[str]) -> Floats:
    """[columns, classes]; a class without a column has no one in it."""
    return np.array([[float(a == b) for b in classes] for a in columns])
