"""Answers to an update's own rows by heads that never saw their group of folds, from the equations of all rows.

Let Z [m, M] and Y [m, k] be the features and goals of a group less the means of all rows, l [m] what its rows count, n'
the mass without them, P = diag(l) + l l' / n', and A = n (C + alpha D). Without the group the equations are
(A - Z'PZ) w = n c - Z'PY. With e = Zw - Y for the head w of all rows and K = Z A^-1 Z', the same for the head without
the group is r = (I - KP)^-1 e; and since the means move, too, that head misses the goals by r + l'r / n' (Woodbury,
"Inverting modified matrices", 1950; for one row it is the formula of leave-one-out). Shrinkage is that of all rows,
over the scatter that is left: it carries nothing of targets.
"""

from __future__ import annotations

import numpy as np

from service.learning.data.rows import FeatureRows, Floats
from service.learning.data.target_grid import NumberGrid
from service.learning.exact.out_of_fold import FEW, judged_rows
from service.learning.exact.solve import cholesky, substitute
from service.learning.exact.weighted_data import WeightedData
from service.learning.number_heads.equations import NumberEquations, NumberHead, goals_in_units
from service.learning.run import UNWATCHED, Run

NOTHING_LEFT = 1e-9
"""Part of the mass below which nothing is left without a group."""


class LeavingOut:
    """The equations of all rows with their factor: gives the head of all, and answers without a group of folds."""

    def __init__(self, equations: NumberEquations, alpha: float, grid: NumberGrid, run: Run = UNWATCHED) -> None:
        self._equations, self._alpha, self._grid, self._run = equations, alpha, grid, run
        self._factor = equations.factor(alpha)
        self.head: NumberHead = equations.head(self._factor)

    def answers(self, entry: FeatureRows, counts: Floats) -> Floats:
        """Answers rows that are among those of the equations, each by the head without its group k = fold // 2.

        counts [n]: what each row counts. -> [n, k] in units; NaN where nothing is left without the group
        """
        answers, group = np.full((len(entry), self._grid.size), np.nan), entry.folds // 2
        for k in np.unique(group):
            self._run.check()
            mass, mask = self._equations.moments.mass, group == k
            rest = mass - float(counts[mask].sum())
            if rest > NOTHING_LEFT * mass:
                answers[mask] = self._without(entry.take(mask), counts[mask], rest)
        return answers

    def judged(self, entry: FeatureRows, counts: Floats) -> Floats:
        """Answers rows that are judged (`judged_rows`), left out with their near-duplicates and groups. -> [n, k], NaN
        in the other rows"""
        answers = np.full((len(entry), self._grid.size), np.nan)
        judged, left = judged_rows(entry)
        answers[left] = self.answers(entry.take(left), counts[left])
        answers[~judged] = np.nan
        return answers

    def _without(self, rows: FeatureRows, counts: Floats, rest: float) -> Floats:
        """Answers a group by the head without it. rest: the mass without the group. -> [m, k]"""
        moments, width = self._equations.moments, len(self._equations.moments.mean)
        goals = goals_in_units(rows, self._grid)
        Z, Y = moments.centred(rows), goals - moments.goal
        misses = self._by_rows(Z, Y, counts, rest) if FEW * len(Z) <= width else self._anew(Z, Y, counts, rest)
        return np.asarray(goals + misses + counts @ misses / rest)

    def _by_rows(self, Z: Floats, Y: Floats, counts: Floats, rest: float) -> Floats:
        """Returns r by a system of as many equations as the group has rows."""
        from scipy.linalg.blas import dsyrk, dtrsm  # of no use to a process that only serves

        inner = dtrsm(1.0, self._factor, Z.T, lower=True)
        K = dsyrk(1 / self._equations.moments.mass, inner, trans=True, lower=True)
        K = np.tril(K) + np.tril(K, -1).T
        KP = K * counts + np.outer(K @ counts, counts / rest)
        e = Z @ self._weight - Y
        return np.asarray(np.linalg.solve(np.eye(len(K)) - KP, e))

    def _anew(self, Z: Floats, Y: Floats, counts: Floats, rest: float) -> Floats:
        """Returns r by equations of as many features as there are."""
        moments, root = self._equations.moments, np.sqrt(counts)[:, None]
        scatter = moments.products - moments.mass * np.outer(moments.mean, moments.mean)
        moved = counts @ Z
        left = np.asfortranarray(scatter - (root * Z).T @ (root * Z) - np.outer(moved, moved / rest))
        right = moments.mass * moments.cross - Z.T @ (counts[:, None] * Y) - np.outer(moved, counts @ Y / rest)
        diagonal = moments.mass * self._alpha * self._equations.variance
        return np.asarray(Z @ substitute(cholesky(left, diagonal, self._alpha), right) - Y)

    @property
    def _weight(self) -> Floats:
        """Weights of the head of all rows, in steps, of the features in the equations. [m, k]"""
        return np.asarray(self.head.weight[:, self._equations.moments.columns].T * 2.0**-self._equations.shift)


def counted(entry: FeatureRows, weighted: WeightedData) -> Floats:
    """What each row of an entry counts. -> [n]"""
    if weighted.weights.plain:
        return np.ones(len(entry))
    counts = weighted.counts()
    return np.array([counts.get(batch, 0.0) for batch in entry.batches])[entry.batch] if len(entry) else np.zeros(0)
