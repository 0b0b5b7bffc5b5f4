"""Slips in columns of numbers, targets being right: what a spreadsheet or an export does to a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmarks.streams.stream import Floats, Rows
from service.contract.inputs import InputSpec, VectorInput
from service.contract.tables import NumberColumn, TableInput

MISSING = "a column missing"
SLIPS: dict[str, tuple[int, Callable[[Floats, np.random.Generator], Floats]]] = {
    "all columns times 1,000": (0, lambda x, random: 1000 * x),
    "all columns times 10": (0, lambda x, random: 10 * x),
    "a column times 1,000": (1, lambda x, random: 1000 * x),
    "a column times 10": (1, lambda x, random: 10 * x),
    "a column times 150": (1, lambda x, random: 150 * x),
    "a column of zeros": (1, lambda x, random: np.zeros_like(x)),
    MISSING: (1, lambda x, random: np.full_like(x, np.nan)),
    "a column shuffled": (1, lambda x, random: random.permutation(x)),
    "two columns swapped": (2, lambda x, random: x[:, ::-1]),
    "columns shifted by one": (0, lambda x, random: np.roll(x, 1, 1)),
}
"""By name to how many columns, drawn at random (0: all), and what they hold then. [n, columns]"""


def _numbers(spec: InputSpec) -> list[int]:
    """Places of columns of numbers; none of images, texts and vectors of pixels."""
    if isinstance(spec, TableInput):
        return [place for place, column in enumerate(spec.columns) if isinstance(column, NumberColumn)]
    return [*range(spec.size)] if isinstance(spec, VectorInput) and spec.scale is None else []


def slips_of(spec: InputSpec) -> list[str]:
    """What can go wrong with such inputs: a vector has no missing values, and one column changes no places."""
    numbers = len(_numbers(spec))
    lacks = {MISSING} if isinstance(spec, VectorInput) else set[str]()
    lacks |= {"two columns swapped", "columns shifted by one"} if numbers < 2 else set()
    return [name for name in SLIPS if name not in lacks] if numbers else []


def slipped(rows: Rows, spec: InputSpec, name: str, random: np.random.Generator) -> Rows:
    """Rows whose columns are wrong in one of these ways."""
    columns, wrong = SLIPS[name]
    numbers = _numbers(spec)
    chosen = random.choice(numbers, columns, replace=False) if columns else np.array(numbers)
    inputs = rows.inputs.astype(np.float64)
    inputs[:, chosen] = wrong(inputs[:, chosen], random)
    return replace(rows, inputs=inputs)
