"""Ridge for numbers from integer sums: the equations of some rows, and heads that solve them.

An entry's columns are M rounded features and the 2 k limbs of the goals (`NumberGrid`), so sums of goals are columns of
G: sum h t' = G[:, low] + 2^15 G[:, high] in steps of the grid, exact until it is rounded once to float64.

With C = G / n - mu mu' and the bias eliminated, a head is (C + alpha D) w = sum h g' / n - mu gbar', b = gbar - mu' w,
with D the variances of the features. It is a pure function of the sums, in float64; goals g are in units of the grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum

import numpy as np

from service.learning.data.rows import FeatureRows
from service.learning.data.target_grid import LIMB_BITS, UNIT_STEPS, NumberGrid
from service.learning.exact.solve import cholesky, substitute
from service.learning.ledger.sums import Floats, Sums

LIMB = 2.0**LIMB_BITS
FLOOR, CLIPPED_FLOOR = 1e-6, 1e-9
"""Least variance of a feature, as a part of the mean variance and of its own mean square: that of a feature at its
clip is rounding, and may be below 0."""


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
    """Moments of rows with a mass: `mean` [M] of the features and `products` sum h h' [M, M], in steps of the features'
    grid; `goal` [k] the mean goal, `cross` [M, k] the mean of h g' less the product of the means, `spread` [k] the
    variance of the goals, in units of the targets' grid."""

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
        mean, goal = sums.G[:width, -1] / mass, (sums.G[low, -1] + LIMB * sums.G[high, -1]) / (UNIT_STEPS * mass)
        cross = (sums.G[:width, low] + LIMB * sums.G[:width, high]) / (UNIT_STEPS * mass) - np.outer(mean, goal)
        spread = squares(sums, numbers) / (UNIT_STEPS**2 * mass) - goal**2
        return cls(mass, mean, sums.G[:width, :width], goal, cross, np.maximum(spread, 0.0))

    @property
    def variance(self) -> Floats:
        """The variance of each feature, floored: the D of ridge. [M]"""
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
        weight = head.weight * 2.0**-shift
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
        """The head, from the factor."""
        weight = substitute(factor, self.moments.cross).T
        bias = self.moments.goal - weight @ self.moments.mean
        return NumberHead(np.ascontiguousarray(weight * 2.0**self.shift), bias)

    def solve(self, alpha: float) -> NumberHead:
        """The head with that alpha."""
        return self.head(self.factor(alpha))


def number_head(sums: Sums, numbers: int, shift: int, alpha: float) -> NumberHead:
    """The head of these sums; without a row it answers the offset of the grid. Raises MethodRefused where alpha is too
    small for float64."""
    if sums.mass <= 0:
        return NumberHead.blank(numbers, sums.width - 2 * numbers)
    return NumberEquations(sums, numbers, shift).solve(alpha)


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
