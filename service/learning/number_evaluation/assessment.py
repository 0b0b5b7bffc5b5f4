"""What an update of a number model is judged by: answers of base and candidate, and what the lineage remembers.

Answers, goals and errors are in units of the grid (`NumberGrid`) unless something else is said; [n, k] stands for n
rows of k numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.contract.number_policy import NumberPolicy
from service.learning.data.rows import FeatureRows
from service.learning.data.target_grid import NumberGrid

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tested:
    """What one promoted version remembers, to be looked back on.

    batches: those that its update brought · batch [n] indexes them, row [n]: at most 1,000 rows of each, by hash ·
    value [n, k]: what the version before answered, before it learned the row · error [n, k]: goal - value · ratio
    [n, k]: |error| over the usual error of such a row, NaN where that was not known · figures: for each of the k
    numbers, what later batches are compared with · trusted_batches, trusted_batch [m], trusted_row [m], trusted_error
    [m, k]: |error| of this version on its trusted rows, by the head that never saw them.
    """

    batches: tuple[str, ...]
    batch: NDArray[np.int32]
    row: NDArray[np.int32]
    value: Floats
    error: Floats
    ratio: Floats
    figures: tuple[Mapping[str, float], ...]
    trusted_batches: tuple[str, ...]
    trusted_batch: NDArray[np.int32]
    trusted_row: NDArray[np.int32]
    trusted_error: Floats


@dataclass(frozen=True, eq=False)
class NumberPast:
    """What a lineage remembers, newest last: the number of each version and its memory."""

    tested: Sequence[tuple[int, Tested]] = ()


@dataclass(frozen=True, eq=False)
class NumberAnswers:
    """What one version answers to trusted rows and to the update's own. [m, k], [n, k]; NaN: no head that never saw the
    row."""

    on_trusted: Floats
    on_batch: Floats


@dataclass(frozen=True, eq=False)
class NumberAssessment:
    """All that the gate and the report of a number model are made of.

    trusted (T): judging rows of base.learned, at most 2,000 a source · batch (B): the update's own rows, each once ·
    trusted_goals [m, k], batch_goals [n, k] · candidate: to T by the head that never saw a judging fold, to B out of
    fold · base: to T likewise, to B by the head it serves; None for a first version · usual [n, k]: the error that the
    base usually makes on a row like that, None where too few rows were tested · alone [n, k]: out-of-fold answers of a
    head of this batch alone, see `figures` · sound: every number of the candidate is finite.
    """

    policy: NumberPolicy
    grid: NumberGrid
    trusted: FeatureRows
    batch: FeatureRows
    trusted_goals: Floats
    batch_goals: Floats
    candidate: NumberAnswers
    base: NumberAnswers | None = None
    live: int | None = None
    usual: Floats | None = None
    alone: Floats | None = None
    past: NumberPast = field(default_factory=NumberPast)
    sound: bool = True
