"""How far a head may answer where a logarithm is learned: as far as targets went, and as they go on to grow.

A line goes on for ever, and its exponential soon leaves all that was ever seen: of the few large diamonds, one was
answered by 61,700 where no price is above 18,900. So answers end where the targets of rows kept back for choosing end,
and beyond by as much as the later half of these rows went beyond the earlier: where levels grow, answers grow, too.
Where no logarithm is learned, answers have no end: of prices of electricity, ends made 4 % more error at its spikes.
"""

from __future__ import annotations

import numpy as np

from service.learning.data.rows import FeatureRows
from service.learning.data.target_grid import NumberGrid
from service.learning.number_heads.equations import goals_in_units

LEAST_ROWS = 200
"""Rows below which they say too little of where all targets end."""


def reach_of(selected: FeatureRows, grid: NumberGrid) -> list[tuple[float, float]]:
    """The least and the largest answer of each number, in units; [] where answers have no end. selected: of all batches
    those rows that choose"""
    if grid.scale != "log" or len(selected) < LEAST_ROWS:
        return []
    goals = goals_in_units(selected.take(np.lexsort((selected.row, np.array(selected.batches)[selected.batch]))), grid)
    earlier, low, high = goals[: len(goals) // 2], goals.min(0), goals.max(0)
    ends = 2 * low - earlier.min(0), 2 * high - earlier.max(0)
    return [(float(least), float(most)) for least, most in zip(*ends, strict=True)]
