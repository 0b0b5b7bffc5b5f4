"""Which of several batches that are learned together the live version contradicts most."""

from __future__ import annotations

import numpy as np

from service.contract.reports.facts import BatchPart
from service.learning.data.rows import Floats, Rows
from service.learning.statistics import high_by_chance

TIMES, CHANCE = 2.0, 0.01
"""A batch stands out where its error is so many times that of the others, and its rows lie so high among all by a
chance below this, of all batches together. Ranks: a few rows far out are named one by one, and one row proves nothing
of its batch."""
MOST_PARTS = 100


def batch_parts(rows: Rows, error: Floats) -> list[BatchPart]:
    """Each batch of an update beside the others, those that stand out first, then the largest errors; none where there
    is one alone.

    error [n]: what the live version is off by at each row, or 1 where it answers another class; NaN where nobody knows
    """
    known, batches = np.isfinite(error), len(rows.batches)
    codes, sizes = rows.batch[known], np.asarray(error[known], np.float64)
    count = np.bincount(codes, minlength=batches)
    total: Floats = np.asarray(np.bincount(codes, sizes, batches), np.float64)
    others = len(codes) - count
    both = np.flatnonzero((count > 0) & (others > 0))
    mean, mean_of_others = total[both] / count[both], _of_others(total)[both] / others[both]
    chance = high_by_chance(sizes, codes, batches)[both]
    apart = (chance * len(both) < CHANCE) & (mean >= TIMES * mean_of_others)
    return [
        BatchPart(
            batch=rows.batches[both[k]],
            rows=int(count[both[k]]),
            error=float(mean[k]),
            others=float(mean_of_others[k]),
            stands_out=bool(apart[k]),
        )
        for k in np.lexsort((-mean, ~apart))[:MOST_PARTS]
    ]


def _of_others(total: Floats) -> Floats:
    """Sums of all but each; no difference, in which the small ones beside a large one would vanish. [b] -> [b]"""
    before, after = np.cumsum(total), np.cumsum(total[::-1])[::-1]
    others: Floats = np.append(0.0, before[:-1]) + np.append(after[1:], 0.0)
    return others
