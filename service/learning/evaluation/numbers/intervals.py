"""Intervals: how far off values turn out to be, in five groups by the value (part `interval` of a version).

The errors are those that were really made: of the last batches, each by the version that was live before it learned
them. What is kept back from the same batches promises too much as soon as time passes: over 17 streams intervals of
90 % from the last five batches held 0.892 of the next one (worst 0.841), those of leave-one-out errors 0.854 (worst
0.735). Quantiles are those of split conformal prediction (Papadopoulos et al. 2002): the ceil((n + 1) level)-th
smallest |error| of n.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from service.learning.data.rows import Bools, Floats
from service.learning.evaluation.numbers.bounds import GROUPS, LEVELS, NO_ROWS, groups_of
from service.learning.evaluation.numbers.number_assessment import Tested

LAST_BATCHES, MOST_BATCHES, ENOUGH_ROWS = 5, 20, 500
"""Errors are of the last 5 batches, of more while those have fewer than 500 rows, of at most 20."""
LEAST_ROWS = 20
"""Errors below which there are no intervals."""
STEP = 0.05
"""How far a level moves for a batch of which less or more was held, times how much. Over fourteen streams it brings the
least coverage but one (of jumps) from 0.834 to 0.850 at 5 % more width; 0.1 to 0.859 at 8 %, and scores of widths and
misses that are 1 % worse."""
GROUP_ROWS = 50
"""Errors of a group by value; one with fewer takes all together."""
NONE = 255
"""`Tested.missed` where there was no interval."""


@dataclass(frozen=True, eq=False)
class IntervalErrors:
    """What intervals are made of. value, error [n, k] in units · batches: those that they are of · novel [m, k]: errors
    on rows with a value of a category that was not learned then."""

    value: Floats
    error: Floats
    batches: frozenset[str]
    novel: Floats | None = None


def latest(tested: Sequence[Tested]) -> IntervalErrors:
    """Errors of the latest tested batches; tested: what versions remember, newest last."""
    taken: list[Tested] = []
    batches: list[str] = []
    rows = 0
    for memory in reversed([t for t in tested if t.familiar.any()]):
        if len(batches) >= (LAST_BATCHES if rows >= ENOUGH_ROWS else MOST_BATCHES):
            break
        taken, rows = [memory, *taken], rows + int(memory.familiar.sum())
        batches += memory.batches
    numbers = taken[0].error.shape[1] if taken else 1
    none = np.zeros((0, numbers))
    value = np.concatenate([none, *(t.value[t.familiar] for t in taken)])
    error = np.concatenate([none, *(t.error[t.familiar] for t in taken)])
    with_new = [t for t in tested[-MOST_BATCHES:] if t.novel is not None]
    novel = np.concatenate([none, *(t.error[~t.familiar] for t in with_new)])
    return IntervalErrors(value, error, frozenset(batches).union(*(t.batches for t in with_new)), novel)


def enough(errors: IntervalErrors) -> bool:
    """Whether errors that were really made say how far off values will be."""
    return len(errors.error) >= LEAST_ROWS


def levels_due(tested: Sequence[Tested]) -> NDArray[np.int64]:
    """Which of the levels 0.01 to 0.99 to take for each of them (places, from 0), so that what it says is held.

    A level goes up for each of the last 20 tested batches of which its intervals held less, and down where they held
    more (adaptive conformal inference: Gibbs and Candes 2021, eq. 2, by batches). -> [99, k]
    """
    number = np.arange(1, LEVELS)
    due = np.tile(number[:, None] / LEVELS, tested[-1].missed.shape[1] if tested else 1)
    known = [t.missed[t.familiar] for t in tested if len(t.missed) and (t.missed != NONE).all()]
    for levels in [missed for missed in known if len(missed)][-MOST_BATCHES:]:
        held = (levels[None] < number[:, None, None]).mean(1)
        due += STEP * min(1.0, len(levels) / GROUP_ROWS) * (number[:, None] / LEVELS - held)
    place = np.ceil(LEVELS * due - 1e-9).astype(np.int64) - 1
    return np.maximum.accumulate(place.clip(0, LEVELS - 2))


def interval_part(errors: IntervalErrors, levels: NDArray[np.int64] | None = None) -> dict[str, Tensor] | None:
    """The part of a version: edges [k, 4] between the groups, by value; quantiles [k, 5, 99] of |error| in each group,
    at the levels 0.01 to 0.99, float32, in units; rows [1] that they are of. None where those are too few, or not one
    is off, as where all targets are equal: that says nothing of targets to come. levels
    [99, k]: see `levels_due`. From 20 errors on rows with new values on, a sixth group is of these."""
    rows, numbers = errors.error.shape
    if rows < LEAST_ROWS or not errors.error.any():
        return None
    edges = np.quantile(errors.value, np.arange(1, GROUPS) / GROUPS, axis=0).T.astype(np.float32)
    novel = np.abs(errors.novel) if errors.novel is not None and len(errors.novel) >= LEAST_ROWS else None
    quantiles = np.empty((numbers, GROUPS if novel is None else GROUPS + 1, LEVELS - 1))
    for k in range(numbers):
        size = np.abs(errors.error[:, k])
        together = _quantiles(size)
        group = edges[k].searchsorted(errors.value[:, k])
        for g in range(GROUPS):
            own = size[group == g]
            of_group = _quantiles(own, together) if len(own) >= GROUP_ROWS else together
            quantiles[k, g] = np.maximum.accumulate(of_group)
        if levels is not None:
            quantiles[k] = quantiles[k][:, levels[:, k]]
        if novel is not None:
            quantiles[k, GROUPS] = np.maximum(_quantiles(novel[:, k]), together)
    return {
        "edges": torch.from_numpy(np.ascontiguousarray(edges)),
        "quantiles": torch.from_numpy(quantiles.astype(np.float32)),
        "rows": torch.tensor([rows], dtype=torch.int64),
    }


def missed(
    part: Mapping[str, Floats] | None, value: Floats, error: Floats, novel: Bools = NO_ROWS
) -> NDArray[np.uint8]:
    """How many of the 99 levels had an interval around the value that missed the goal. [n, k] -> [n, k]"""
    levels = np.full(error.shape, NONE, np.uint8)
    for k, edges in enumerate(part["edges"] if part is not None else ()):
        assert part is not None
        of_groups = part["quantiles"][k]
        quantiles = of_groups[groups_of(edges, of_groups, value[:, k], novel)]
        levels[:, k] = (quantiles < np.abs(error[:, k, None])).sum(1)
    return levels


def covered(missed: NDArray[np.uint8], level: float) -> float | None:
    """The share of goals that lay within their interval at that level; None where there were no intervals."""
    with_interval = missed[missed != NONE]
    if not len(with_interval):
        return None
    return float((with_interval < math.ceil(level * LEVELS - 1e-9)).mean())


def _quantiles(size: Floats, beyond: Floats | None = None) -> Floats:
    """Conformal quantiles of |error| [n] at the levels 0.01 to 0.99; where n is too small those `beyond` [99], else the
    largest. -> [99]"""
    place = np.ceil((len(size) + 1) * np.arange(1, LEVELS) / LEVELS - 1e-9).astype(np.int64)
    ranked = np.sort(size)
    of_rows = ranked[np.minimum(place, len(size)) - 1]
    return of_rows if beyond is None else np.where(place <= len(size), of_rows, beyond)
