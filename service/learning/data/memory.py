"""Chooses the kept rows that are rehearsed: by the smallest keyed hashes of each class, or by herding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from service.learning.data.rows import Rows, hash_order


def remember(rows: Rows, size: int) -> Rows:
    """Returns at most `size` of the rows, equal shares a class; what a small class leaves over, the others share.

    The smallest keyed hashes of each class (ties by batch id and row) do not depend on the order of arrival; after a
    retraction the memory is the one that never saw the batch. A smaller size gives a subset.
    """
    order = hash_order(rows)
    present = np.flatnonzero(np.bincount(rows.labels, minlength=len(rows.names)))
    by_name = sorted(present, key=lambda k: rows.names[k])
    by_class = [order[rows.labels[order] == k] for k in by_name]
    taken = [places[:quota] for places, quota in zip(by_class, quotas([*map(len, by_class)], size), strict=True)]
    return rows.take(np.concatenate([np.zeros(0, np.int64), *taken]))


def quotas(available: Sequence[int], size: int) -> list[int]:
    """Divides `size` rows equally among classes, none more than it has; the first that have more get the remainder."""
    quota = [0] * len(available)
    while (short := [k for k, n in enumerate(available) if n > quota[k]]) and (remaining := size - sum(quota)) > 0:
        share = remaining // len(short)
        for k in short if share else short[:remaining]:
            quota[k] += min(max(share, 1), available[k] - quota[k])
    return quota


def herd(features: Tensor, size: int) -> Tensor:
    """Chooses at most `size` rows one by one so that their mean stays nearest to the mean of all. -> places [m]

    features [n, d] are brought to norm 1 first. The first choices do not depend on `size`, so a memory shrinks from its
    end. Ties go to the earlier row. Rebuffi et al.: iCaRL, CVPR 2017, algorithm 4.
    """
    v = F.normalize(features.double(), dim=1)
    squares, mean, taken = (v**2).sum(1), v.mean(0), torch.zeros(len(v), dtype=torch.bool)
    chosen, total = [], torch.zeros(v.shape[1], dtype=torch.float64)
    for k in range(1, min(size, len(v)) + 1):
        # |mean - (v + total) / k|^2 without the factor 1 / k^2 and the terms that all rows share
        distances = squares - 2 * (v @ (k * mean - total))
        distances[taken] = torch.inf
        chosen.append(int(distances.argmin()))
        taken[chosen[-1]] = True
        total = total + v[chosen[-1]]
    return torch.tensor(chosen, dtype=torch.int64)
