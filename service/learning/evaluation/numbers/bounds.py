"""Reads intervals from what a version keeps of its errors."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from service.learning.data.matrices import Bools, Floats

INTERVAL = "interval"
"""The part of a version that holds its intervals, and the output that serves them."""
LEVELS = 100
"""Quantile j of a group is that of level (j + 1) / LEVELS."""
GROUPS = 5
"""Groups by value. A sixth, where there is one, is of rows with a value of a category that was never learned."""
NO_ROWS = np.zeros(0, bool)
"""No such row."""


def bounds(part: Mapping[str, Floats], values: Floats, level: float, novel: Bools = NO_ROWS) -> Floats:
    """Values [n, k] and the lower and the upper ends of intervals around them, all in units of the grid. -> [3, n, k]

    part: edges [k, 4], between the five groups that a value may be in, and quantiles [k, 5 or 6, 99], of the size of
    the errors made in each group, at the levels 0.01 to 0.99; the next of these levels that is at least `level` is
    taken. novel [n]: rows of the sixth group, if there is one.
    """
    place = math.ceil(level * LEVELS - 1e-9) - 1
    bounded = np.empty((3, *values.shape))
    bounded[0] = values
    for j, (edges, quantiles) in enumerate(zip(part["edges"], part["quantiles"], strict=True)):
        value = values[:, j]
        half = quantiles[:, place].take(groups_of(edges, quantiles, value, novel))
        np.subtract(value, half, bounded[1, :, j])
        np.add(value, half, bounded[2, :, j])
    return bounded


def groups_of(edges: Floats, quantiles: Floats, values: Floats, novel: Bools) -> NDArray[np.intp]:
    """The group of each row, by one number of it. values, novel [n] -> [n]"""
    group = edges.searchsorted(values)
    if len(novel) and len(quantiles) > GROUPS:
        group[novel] = GROUPS
    return group
