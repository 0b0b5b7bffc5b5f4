"""Ridge for numbers from integer sums: the equations of some rows, and heads that solve them.

An entry's columns are M rounded features and the 2 k limbs of the goals (`NumberGrid`), so sums of goals are columns of
G: sum h t' = G[:, low] + 2^15 G[:, high] in steps of the grid, exact until it is rounded once to float64.

With C = G / n - mu mu' and the bias eliminated, a head is (C + alpha D) w = sum h g' / n - mu gbar', b = gbar - mu' w,
with D the variances of the features. It is a pure function of the sums, in float64; goals g are in units of the grid.

A feature that is 0 in all of these rows has the weight 0, whatever alpha is, and its row and column are left out of the
equations: most of the indicators that a table's values share are such.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import fsum

import numpy as np

from service.learning.data.rows import FeatureRows, Floats, Ints
from service.learning.data.target_grid import LIMB_BITS, UNIT_STEPS, NumberGrid
from service.learning.exact.solve import cholesky, substitute
from service.learning.ledger.feature_space import Space
from service.learning.ledger.sums import Sums

LIMB = 2.0**LIMB_BITS
FLOOR, CLIPPED_FLOOR = 1e-2, 1e-9
"""Least variance of a feature, as a part of the mean variance and of its own mean square: that of a feature at its
clip is rounding, and may be below 0. With a millionth of the mean variance a random feature that hardly any recent row
has was hardly shrunk where older batches count less, and jumped: hotel rooms, in weeks that begin five days later, were
answered by 1,900 too little for weeks (mean error 119.6; 14.7 with a hundredth)."""


@dataclass(frozen=True, eq=False)
class NumberHead:
    """Answers of a row, in units of the grid: weight h + bias. weight [k, M], bias [k] float64, h in feature units."""

    weight: Floats
    bias: Floats

    @classmethod
    def blank(cls, numbers: int, features: int) -> NumberHead:
        """The head of no rows: it answers the offset of the grid."""
        return cls(np.zeros((numbers, features)), np.zeros(numbers))

    def answers(self, rows: FeatureRows, shift: int) -> Floats:
        """Answers rows of an entry on the grid 2^-shift. -> [n, k]"""
        features = rows.inputs[:, : self.weight.shape[1]].astype(np.float64)
        return np.asarray(features @ (self.weight.T * 2.0**-shift) + self.bias)


@dataclass(frozen=True, eq=False)
class NumberMoments:
    """Moments of rows with a mass, of the m features that any of them has (all, if none has any): `columns` [m], their
    places among `features`. `mean` [m] and `products` sum h h' [m, m], in steps of the features' grid; `goal` [k] the
    mean goal, `cross` [m, k] the mean of h g' less the product of the means, `spread` [k] the variance of the goals, in
    units of the targets' grid."""

    features: int
    columns: Ints
    mass: float
    mean: Floats
    products: Floats
    goal: Floats
    cross: Floats
    spread: Floats

    @classmethod
    def of(cls, sums: Sums, numbers: int) -> NumberMoments:
        """Moments of sums whose last 2 x `numbers` columns are limbs."""
        width, mass = sums.width - 2 * numbers, sums.mass
        low, high = slice(width, width + numbers), slice(width + numbers, width + 2 * numbers)
        present = sums.G.diagonal()[:width] > 0
        columns = np.flatnonzero(present) if present.any() else np.arange(width)
        products = sums.G[:width, :width] if len(columns) == width else sums.G.take(columns, 0).take(columns, 1)
        mean, goal = sums.G[columns, -1] / mass, (sums.G[low, -1] + LIMB * sums.G[high, -1]) / (UNIT_STEPS * mass)
        cross = (sums.G[columns, low] + LIMB * sums.G[columns, high]) / (UNIT_STEPS * mass) - np.outer(mean, goal)
        spread = squares(sums, numbers) / (UNIT_STEPS**2 * mass) - goal**2
        return cls(width, columns, mass, mean, products, goal, cross, np.maximum(spread, 0.0))

    def first(self, features: int) -> NumberMoments:
        n = int(np.searchsorted(self.columns, features))
        columns, mean, cross = self.columns[:n], self.mean[:n], self.cross[:n]
        return replace(self, features=features, columns=columns, mean=mean, products=self.products[:n, :n], cross=cross)

    def centred(self, rows: FeatureRows) -> Floats:
        """These features of rows of an entry, less the mean, in steps. -> [n, m]"""
        return np.asarray(np.subtract(rows.inputs.take(self.columns, 1), self.mean))

    @property
    def variance(self) -> Floats:
        """The variance of each feature, floored: the D of ridge. [m]"""
        square = self.products.diagonal() / self.mass
        variance = square - self.mean**2
        mean = float(variance.mean()) if variance.size else 0.0
        if mean <= 0:
            return np.ones_like(variance)
        return np.maximum(variance, np.maximum(FLOOR * mean, CLIPPED_FLOOR * square))

    def squared_errors(self, head: NumberHead, shift: int) -> Floats:
        """Mean squared error of a head on the rows behind these sums, in units. -> [k]

        = var g - 2 w'c + w'C w + (gbar - mu'w - b)^2.
        """
        weight = head.weight[:, self.columns] * 2.0**-shift
        miss = weight @ self.mean
        quadratic = np.einsum("km,km->k", weight @ self.products, weight) / self.mass - miss**2
        spread = self.spread - 2 * np.einsum("km,mk->k", weight, self.cross) + quadratic
        return np.asarray(np.maximum(spread, 0.0) + (self.goal - miss - head.bias) ** 2)


class NumberEquations:
    """(C + alpha D) w = c of some rows, at least one, solved for any alpha."""

    def __init__(self, sums: Sums, numbers: int, shift: int) -> None:
        self.moments, self.shift = NumberMoments.of(sums, numbers), shift
        self.variance = self.moments.variance

    def factor(self, alpha: float) -> Floats:
        """L of C + alpha D = L L' on and below the diagonal; what is above means nothing. Raises MethodRefused."""
        from scipy.linalg.blas import dsyr  # of no use to a process that only serves

        left: Floats = np.multiply(self.moments.products, 1 / self.moments.mass, order="C").T
        left = dsyr(-1.0, self.moments.mean, lower=True, a=left, overwrite_a=True)
        return cholesky(left, alpha * self.variance, alpha)

    def head(self, factor: Floats) -> NumberHead:
        solved = substitute(factor, self.moments.cross).T
        weight = np.zeros((len(solved), self.moments.features))
        weight[:, self.moments.columns] = solved * 2.0**self.shift
        return NumberHead(weight, self.moments.goal - solved @ self.moments.mean)

    def solve(self, alpha: float) -> NumberHead:
        return self.head(self.factor(alpha))


def number_head(sums: Sums, numbers: int, shift: int, alpha: float) -> NumberHead:
    """The head of these sums; without a row it answers the offset of the grid. Raises MethodRefused where alpha is too
    small for float64."""
    if sums.mass <= 0:
        return NumberHead.blank(numbers, sums.width - 2 * numbers)
    return NumberEquations(sums, numbers, shift).solve(alpha)


def grid_of(space: Space) -> NumberGrid:
    """The grid of the targets beside the features of a space."""
    assert space.numbers is not None, "the space of numbers has their grid"
    return space.numbers


def goals_in_units(rows: FeatureRows, grid: NumberGrid) -> Floats:
    """The goals of rows of an entry, whose last columns are their limbs, in units. -> [n, k]"""
    return grid.on_grid(rows.inputs[:, rows.inputs.shape[1] - 2 * grid.size :].astype(np.int16))


def squares(sums: Sums, numbers: int) -> Floats:
    """Sum of the squared goals in steps, exact until it is rounded once to float64. -> [k]"""
    first = sums.width - 2 * numbers
    G = sums.G
    return np.array(
        [
            fsum((G[low, low], 2 * LIMB * G[low, low + numbers], LIMB**2 * G[low + numbers, low + numbers]))
            for low in range(first, first + numbers)
        ]
    )
