"""What an answer says of odd rows: values outside the declared range or beyond where the scale cuts, cells that hardly
any learned row lacked, rows with few cells, and values that the version has not learned."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from service.contract.inputs import InputSpec
from service.contract.tables import TableInput
from service.intake.kinds.tables import ValueNames
from service.learning.data.learned_values import LACKING_ROWS
from service.learning.wording import listed
from service.serving.unusual import BEYOND, LACKING, SPARSE, Marks, Usual, declared_range

VALUES, COLUMNS = 5, 10
"""Names within a sentence, and columns that have a note of their own: an answer of many rows stays short."""
LONGEST = 100
"""Characters that a note shows of a name."""

Known = Mapping[int, frozenset[float]]
"""Codes of the values that a version has learned, by the place of their column."""


def unusual(marks: Marks, usual: Usual, spec: InputSpec, version: int, intervals: bool) -> list[str]:
    """Notes on what is unusual of the rows. intervals: whether the version gives any."""
    if (scale := declared_range(spec)) is not None:
        low, high = scale.range
        return [f"Some values lie outside the range of this model's inputs, [{low:g}, {high:g}]."]
    if not isinstance(spec, TableInput):
        return [f"Some values are so far from usual that version {version} takes them for the end of its range."]
    of_rows = np.bitwise_or.reduce(marks)
    beyond = np.flatnonzero(of_rows & BEYOND).tolist()
    notes = [
        f"{_cut(spec.columns[k].name)}: version {version} tells values from {usual.low[k]:g} to {usual.high[k]:g} "
        "apart. Some lie beyond and count as the nearest of these; no interval allows for that."
        for k in beyond[:COLUMNS]
    ]
    notes += _rest(len(beyond))
    if lacking := [_cut(spec.columns[k].name) for k in np.flatnonzero(of_rows & LACKING)]:
        ends = ", and it gives no interval" if intervals else ""
        few = f"Version {version} has learned fewer than {LACKING_ROWS} rows without {_several(lacking)}"
        notes.append(f"{few}: such answers are guesses{ends}.")
    if (of_rows & SPARSE).any():
        few = f"Version {version} has learned fewer than {LACKING_ROWS} rows that lack more than half of their columns"
        notes.append(f"{few}: answers to such rows are guesses.")
    return notes


def unlearned(names: ValueNames, known: Known, spec: InputSpec, version: int) -> list[str]:
    """A note for each column with values that the version has not learned. `names`: values in the rows, by column and
    code."""
    new = {
        place: [name for code, name in values.items() if code not in known[place]]
        for place, values in names.items()
        if place in known and not known[place].issuperset(values)
    }
    if not new or not isinstance(spec, TableInput):
        return []
    notes = [
        f"Version {version} has not learned {_listed(values)} of {_cut(spec.columns[place].name)}: "
        f"{'they count' if len(values) > 1 else 'it counts'} as missing."
        for place, values in list(new.items())[:COLUMNS]
    ]
    return notes + _rest(len(new))


def _listed(values: list[str]) -> str:
    return _several([f'"{_cut(value)}"' for value in values])


def _several(names: list[str]) -> str:
    more = len(names) - VALUES
    return listed([*names[:VALUES], f"{more} more"] if more > 0 else names)


def _rest(columns: int) -> list[str]:
    """A note for those of so many columns that have none of their own."""
    more = columns - COLUMNS
    return [f"{more} more column{'s have' if more > 1 else ' has'} such values."] if more > 0 else []


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[:LONGEST]}..."
