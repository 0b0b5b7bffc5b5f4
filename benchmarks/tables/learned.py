"""What a method came to that learned a stream and was asked for rows kept aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.tables.records import BOOSTING, JOINT, Run


@dataclass(frozen=True)
class Learned(Run):
    """After the last step. accuracy: of numbers skill, 1 - error / error of the median of all rows kept aside.

    accuracies: after each update · training_seconds: of all updates, without the judging · `numpy_ridge`: accuracy of a
    ridge head that was fitted in numpy on the features of exactly the rows that a `ridge` learned.
    """

    accuracy: float = 0.0
    training_seconds: float | None = None
    average: float | None = None
    accuracies: list[float] = field(default_factory=list)
    forgetting: float | None = None
    masked_forgetting: float | None = None
    backward: float | None = None
    intrusion: float | None = None
    numpy_ridge: float | None = None
    numbers: bool = False


def bounds(runs: Sequence[Learned]) -> dict[int, Learned]:
    """Joint retraining of a stream, by seed: the network where classes come in steps, elsewhere boosting."""
    return {r.seed: r for method in (JOINT, BOOSTING) for r in runs if r.method == method}


def mean(values: Sequence[float | None]) -> float:
    """Of the values that there are; NaN where there is none."""
    present = [v for v in values if v is not None]
    return float(np.mean(present)) if present else float("nan")
