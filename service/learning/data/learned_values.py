"""The values of categories that a version has learned, and the columns without which it has learned rows. A value that
it has not learned counts as missing when it answers.

A value without a learned row has no weight in a linear head, but it would have a say in every random feature: 1,411
instead of 1,038 of mean error on rows of such values, measured on prices of gems.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from service.contract.tables import LACKED, TableInput, value_code
from service.learning.data.matrices import Array, Bools, Floats

ValueCounts = Mapping[str, Mapping[str, int]]
"""Rows of each value of a batch, by the name of its column: of columns whose values grow alone. Under `LACKED`: the
rows that lack a cell, by the name of its column; a batch of an older version of Tsuika has no such count."""
LACKING_ROWS = 20
"""Rows without a column from which a version knows what such rows are like: as many as an interval needs."""
LACKED_PART = "lacked"
"""The tensor with the counts of such rows."""


@dataclass(frozen=True, eq=False)
class LearnedValues:
    """What a version has learned. codes: of its values, ascending, by the place of their column; every growing column
    has an entry.
    lacked: learned rows without each column [columns]; None: not known."""

    codes: Mapping[int, Floats]
    lacked: Floats | None = None

    @classmethod
    def of(cls, spec: TableInput, batches: Iterable[ValueCounts]) -> LearnedValues:
        names: dict[int, set[str]] = {place: set() for place in spec.growing}
        lacking: Counter[str] | None = Counter()
        for batch in batches:
            lacking = None if lacking is None or LACKED not in batch else lacking + Counter(batch[LACKED])
            for place, column in spec.growing.items():
                names[place].update(batch.get(column.name, ()))
        codes = {place: np.array(sorted(map(value_code, known)), np.float64) for place, known in names.items()}
        if lacking is None:
            return cls(codes)
        return cls(codes, np.array([lacking[column.name] for column in spec.columns], np.float64))

    @classmethod
    def load(cls, tensors: Mapping[str, Floats]) -> LearnedValues:
        codes = {int(place): np.asarray(of, np.float64) for place, of in tensors.items() if place != LACKED_PART}
        return cls(codes, tensors.get(LACKED_PART))

    def arrays(self) -> dict[str, Floats]:
        """The tensors of the part `values`: codes by the place of their column, and what learned rows lacked."""
        lacked = {} if self.lacked is None else {LACKED_PART: self.lacked}
        return {str(place): codes for place, codes in self.codes.items()} | lacked

    def with_values(self, others: LearnedValues) -> LearnedValues:
        """Adds the values of other rows."""
        none = np.zeros(0)
        codes = {place: np.union1d(codes, others.codes.get(place, none)) for place, codes in self.codes.items()}
        lacked = None if self.lacked is None or others.lacked is None else self.lacked + others.lacked
        return LearnedValues(codes, lacked)

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
