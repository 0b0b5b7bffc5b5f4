"""The values of categories that a version has learned, and the columns without which it has learned rows. A value that
it has not learned counts as missing when it answers.

A value without a learned row has no weight in a linear head, but it would have a say in every random feature: 1,411
instead of 1,038 of mean error on rows of such values, measured on prices of gems.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.contract.tables import LACKED, TableInput, value_code
from service.learning.data.matrices import Array, Bools, Floats

ValueCounts = Mapping[str, Mapping[str, int]]
"""Rows of each value of a batch, by the name of its column: of columns whose values grow alone. Under `LACKED`: the
rows that lack a cell, by the name of its column, and under `LACKED` again the sparse rows, also where there are none. A
batch that an earlier release stored lacks one count, or both."""
LACKING_ROWS = 20
"""Rows without a column from which a version knows what such rows are like: as many as an interval needs."""
LACKED_PART, SPARSE_PART = "lacked", "sparse"
"""The tensors with the counts of such rows, and of sparse rows."""


@dataclass(frozen=True, eq=False)
class LearnedValues:
    """What a version has learned. codes: of its values, ascending, by the place of their column; every growing column
    has an entry.
    lacked: learned rows without each column [columns] · sparse: sparse rows [1]; None: not known."""

    codes: Mapping[int, Floats]
    lacked: Floats | None = None
    sparse: Floats | None = None

    @classmethod
    def of(cls, spec: TableInput, batches: Iterable[ValueCounts]) -> LearnedValues:
        names: dict[int, set[str]] = {place: set() for place in spec.growing}
        lacking: list[Mapping[str, int] | None] = []
        for batch in batches:
            lacking.append(batch.get(LACKED))
            for place, column in spec.growing.items():
                names[place].update(batch.get(column.name, ()))
        codes = {place: np.array(sorted(map(value_code, known)), np.float64) for place, known in names.items()}
        counts = [of for of in lacking if of is not None]
        if len(counts) < len(lacking):
            return cls(codes)
        lacked = _counted(counts, [column.name for column in spec.columns])
        return cls(codes, lacked, _counted(counts, [LACKED]) if all(LACKED in of for of in counts) else None)

    @classmethod
    def load(cls, tensors: Mapping[str, Floats]) -> LearnedValues:
        codes = {int(place): np.asarray(of, np.float64) for place, of in tensors.items() if place.isdecimal()}
        return cls(codes, tensors.get(LACKED_PART), tensors.get(SPARSE_PART))

    def arrays(self) -> dict[str, Floats]:
        """The tensors of the part `values`: codes by the place of their column, and what learned rows lacked."""
        counts = {LACKED_PART: self.lacked, SPARSE_PART: self.sparse}
        known = {name: count for name, count in counts.items() if count is not None}
        return {str(place): codes for place, codes in self.codes.items()} | known

    def with_values(self, others: LearnedValues) -> LearnedValues:
        """Adds the values of other rows."""
        none = np.zeros(0)
        codes = {place: np.union1d(codes, others.codes.get(place, none)) for place, codes in self.codes.items()}
        return LearnedValues(codes, _sum(self.lacked, others.lacked), _sum(self.sparse, others.sparse))

    def unknown(self, inputs: Array) -> Bools:
        """Which values were never learned; what is missing is not one of them. inputs [n, columns] -> the same"""
        unknown = np.zeros(inputs.shape, bool)
        for place, codes in self.codes.items():
            column = inputs[:, place]
            unknown[:, place] = ~np.isin(column, codes) & ~np.isnan(column.astype(np.float64))
        return unknown

    def novel(self, inputs: Array) -> Bools:
        """Which rows have such a value. [n, columns] -> [n]"""
        return np.asarray(self.unknown(inputs).any(1))

    def known_only(self, inputs: Array) -> Array:
        """Rows in which values that were never learned are missing; the same array where there are none."""
        unknown = self.unknown(inputs)
        if not unknown.any():
            return inputs
        return np.where(unknown, np.nan, inputs)


def _counted(counts: Sequence[Mapping[str, int]], names: Sequence[str]) -> Floats:
    return np.array([sum(of.get(name, 0) for of in counts) for name in names], np.float64)


def _sum(own: Floats | None, others: Floats | None) -> Floats | None:
    return None if own is None or others is None else own + others
