"""Values of categories that an update brings and its base has not learned, and the learned ones that look like them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from service.contract.reports.facts import NewValue, NewValues
from service.contract.tables import TableInput, value_code
from service.intake.near import near_matches
from service.learning.data.learned_values import LearnedValues, ValueCounts

MOST = 100
"""New values of a column that a report lists."""
FEW = 2
"""New values of a column that are compared with learned ones, even where the update has no others."""


def new_values(
    spec: TableInput, learned: LearnedValues, brought: Iterable[ValueCounts], vocabulary: Mapping[str, Sequence[str]]
) -> NewValues:
    """Values that `brought` names and `learned` lacks, by column, those with the most rows first.

    vocabulary: names of values that any batch brought. Only those that are learned are named as near: of a batch that
    is erased, no report stays that can name its values, for the versions that learned them lose theirs. Where most
    values of a column are new, as of sentences or numbers of orders, none is compared: to be new is usual there.
    """
    counts: dict[str, Counter[str]] = {}
    for batch in brought:
        for name, values in batch.items():
            counts.setdefault(name, Counter()).update(values)
    by_column: NewValues = {}
    for place, column in spec.growing.items():
        codes = frozenset(learned.codes[place].tolist()) if place in learned.codes else frozenset()
        new = [v for v in counts.get(column.name, ()) if value_code(v) not in codes]
        if not new:
            continue
        rows = counts[column.name]
        listed = sorted(new, key=lambda value: (-rows[value], value))[:MOST]
        usual = len(new) > max(FEW, len(rows) / 2)
        known = [] if usual else [name for name in vocabulary.get(column.name, ()) if value_code(name) in codes]
        near = near_matches(listed, known)
        by_column[column.name] = [NewValue(value=value, rows=rows[value], near=near[value]) for value in listed]
    return by_column
