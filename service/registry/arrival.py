"""The facts of rows that were stored and are to become a batch; imported without a database, by the reading process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Arrival:
    """Facts of rows that were stored and are to become a batch."""

    id: str
    digest: str
    stored_digest: str
    rows: int
    label_counts: Mapping[str, int]
    folds: Mapping[str, Sequence[int]]
    lent: Sequence[int]
    source: str | None
    again: bool
    bytes: int = 0
    """Of the stored body."""
    unlabelled: int = 0
    """Rows without a label or target; `rows` does not count them."""
    target_summary: Sequence[Mapping[str, float]] | None = None
    """Of each number of a row: rows, mean, std, min, max; None where targets are classes or none is known."""
    values: Mapping[str, Mapping[str, int]] | None = None
    """Labelled rows of each value of a category, by the name of its column, of columns whose values grow; None where
    inputs are no tables."""
