"""Notes on rows that the scale of a model fits badly: what is seen of them, and how a new model sees more.

Columns of a table are told by name, those of a vector by place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from service.contract.tables import NumberColumn
from service.learning.data.rows import Array
from service.learning.network.input_scale import (
    CLIP,
    LEAST_ROWS,
    NAMED,
    AnyScale,
    constant_columns,
    leaves_scale,
    narrow_columns,
)
from service.learning.network.table_scale import ROUNDING, TableScale
from service.learning.wording import listed

SEEN_STEPS = 16
"""A column that varies by fewer steps of the grid is hardly seen."""
GRID = CLIP / 2**15
"""A step of the grid of scaled numbers."""

Floats = NDArray[np.float64]
Test = Callable[[Floats, float, float], bool]


def scale_notes(scale: AnyScale, inputs: Array, fitted: bool) -> list[str]:
    """Notes on the rows of an update, each with its remedy. fitted: the scale was fitted to these rows. [n, ...]"""
    if isinstance(scale, TableScale):
        return _column_notes(scale, inputs, fitted)
    still = constant_columns(inputs) if fitted else None
    return [note for note in (still, leaves_scale(scale, inputs), narrow_columns(scale, inputs)) if note]


def _column_notes(scale: TableScale, inputs: Array, fitted: bool) -> list[str]:
    notes = []
    if still := _where(scale, inputs, _never_varies, fitted):
        say, its = ("say", "Their scales are") if len(still) > 1 else ("says", "Its scale is")
        notes.append(
            f"{_named(still)} {say} the same in every row of this first batch, or nothing. {its} a guess. If such a "
            "column will change, make a new model that declares `scale` for it."
        )
    if beyond := _where(scale, inputs, _leaves):
        leave, them = ("leave their scales", "them") if len(beyond) > 1 else ("leaves its scale", "it")
        notes.append(
            f"{_named(beyond)} {leave} in more than one row of a hundred and {'are' if len(beyond) > 1 else 'is'} cut "
            f"there. A new model that declares `scale` for {them}, or a target with `from` where a level grows, learns "
            "from such rows in full."
        )
    if narrow := _where(scale, inputs, _falls_together):
        vary, them = ("vary", "them") if len(narrow) > 1 else ("varies", "it")
        notes.append(
            f"{_named(narrow)} {vary} by less than {SEEN_STEPS} steps of the model's scale, so hardly anything is "
            f"learned from {them}. A new model, whose scale is fitted to such rows or declared, sees {them}."
        )
    return notes


def _where(scale: TableScale, inputs: Array, test: Test, asked: bool = True) -> list[str]:
    """Names of the columns of numbers whose values pass a test; of few rows none."""
    columns = [(k, c) for k, c in enumerate(scale.spec.columns) if isinstance(c, NumberColumn)]
    names = []
    for number, (place, column) in enumerate(columns):
        values = inputs[:, place].astype(np.float64)
        values = values[~np.isnan(values)]
        mean, std = float(scale.mean[number]), float(scale.std[number])
        if asked and len(inputs) >= LEAST_ROWS and test(values, mean, std):
            names.append(column.name)
    return names


def _never_varies(values: Floats, mean: float, std: float) -> bool:
    return len(values) < 2 or bool(values.std() <= ROUNDING * abs(values.mean()))


def _leaves(values: Floats, mean: float, std: float) -> bool:
    beyond = int((np.abs(values - mean) / std >= CLIP).sum())
    return beyond > 1 and beyond * 100 > len(values)


def _falls_together(values: Floats, mean: float, std: float) -> bool:
    if len(values) < LEAST_ROWS:
        return False
    unit, middle, spread = SEEN_STEPS * GRID * std, float(values.mean()), float(values.std())
    varies = spread > ROUNDING * abs(middle)
    return varies and spread < unit and bool(np.abs(values - middle).max() < 8 * unit)


def _named(names: Sequence[str]) -> str:
    """Columns in quotation marks, the first seven, and how many more."""
    more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
    quoted = [f'"{name}"' for name in names[:NAMED]]
    return f"Column{'s' if len(names) > 1 else ''} {listed([*quoted, *more])}"
