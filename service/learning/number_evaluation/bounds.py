"""Reads intervals from what a version keeps of its errors."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVELS = 100
"""Quantile j of a group is that of level (j + 1) / LEVELS."""


def bounds(part: Mapping[str, Floats], values: Floats, level: float) -> Floats:
    """Values [n, k] and the lower and the upper ends of intervals around them, all in units of the grid. -> [3, n, k]

    part: edges [k, 4], between the five groups that a value may be in, and quantiles [k, 5, 99], of the size of the
    errors made in each group, at the levels 0.01 to 0.99; the next of these levels that is at least `level` is taken.
    """
    place = math.ceil(level * LEVELS - 1e-9) - 1
    bounded = np.empty((3, *values.shape))
    bounded[0] = values
    for j, (edges, quantiles) in enumerate(zip(part["edges"], part["quantiles"], strict=True)):
        value = values[:, j]
        half = quantiles[:, place].take(edges.searchsorted(value))
        np.subtract(value, half, bounded[1, :, j])
        np.add(value, half, bounded[2, :, j])
    return bounded
