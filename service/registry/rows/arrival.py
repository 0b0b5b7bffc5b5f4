"""The facts of a batch whose bytes were stored; imported without a database, by the reading process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Arrival:
    """Facts of rows, or of a merged ledger, that were stored and are to become a batch."""

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
    space: str | None = None
    """Feature space of the sums of a merged ledger; None of rows."""
    entries: Mapping[str, int] | None = None
    """Rows of each batch elsewhere whose sums a merged ledger is, by its id; None of rows."""
    sketch: Mapping[str, Mapping[str, Any]] | None = None
    """Hashes of some of its rows, of `learning.data.batch_sketch`; None of few rows and of a merged ledger."""
    notes: Sequence[str] | None = None
    """How its CSV file was read, where that is not as usual."""
