"""Which of several batches that are learned together the live version contradicts most."""

from __future__ import annotations

import numpy as np

from service.contract.report import BatchPart
from service.learning.data.rows import Floats, Rows

TIMES, ERRORS = 2.0, 3.0
"""A batch stands out where its error is so many times that of the others, and so many standard errors beyond it."""
MOST_PARTS = 100


def batch_parts(rows: Rows, error: Floats) -> list[BatchPart]:
    """Each batch of an update beside the others, the largest errors first; none where there is one alone.

    error [n]: what the live version is off by at each row, or 1 where it answers another class; NaN where nobody knows
    """
    known = np.isfinite(error)
    codes, sizes = rows.batch[known], error[known]
    own: Floats = np.stack([np.bincount(codes, sizes**power, len(rows.batches)) for power in (0.0, 1.0, 2.0)])
    others = own.sum(1, keepdims=True) - own
    both = np.flatnonzero((own[0] > 0) & (others[0] > 0))
    (mean, spread), (mean_of_others, spread_of_others) = _mean(own[:, both]), _mean(others[:, both])
    beyond = mean - mean_of_others > ERRORS * np.sqrt(spread + spread_of_others)
    apart = beyond & (mean >= TIMES * mean_of_others)
    return [
        BatchPart(
            batch=rows.batches[both[k]],
            rows=int(own[0, both[k]]),
            error=float(mean[k]),
            others=float(mean_of_others[k]),
            stands_out=bool(apart[k]),
        )
        for k in np.argsort(-mean, kind="stable")[:MOST_PARTS]
    ]


def _mean(sums: Floats) -> tuple[Floats, Floats]:
    """Means of batches, and their squared standard errors. sums [3, b]: of 1, error and its square"""
    counts, total, squares = sums
    mean = total / counts
    return mean, np.maximum(squares / counts - mean**2, 0) / counts
