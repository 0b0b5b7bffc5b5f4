"""Ledger entries without rows: what a batch adds to a ledger once its rows were deleted.

Rounded features of the scaled input are the rows themselves, and rows can be solved for from those of a random lift. So
of a batch whose rows are deleted the ledger keeps sums by group of folds (0-1, 2, 3-9), and the rounded features of the
bounded rows that judge and select. Taking it out again is as exact as before. It costs 4 (M + 1)^2 bytes a group that
has rows, before compression, whatever their number; and the sum of a class with one row in a group is that row.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import CorruptArtifact
from service.learning.data.rows import SELECT_FOLD, FeatureRows, bounded
from service.learning.data.serialization import pack, pack_rows, unpack, unpack_features
from service.learning.ledger.sums import Sums, square, triangle

MAGIC = b"TSUM"
"""First bytes of a summed entry; an entry with rows begins with the length of its header."""
GROUPS = ("judge", "select", "learn")
"""Groups of folds that are summed apart, by the names of their sums."""
LEVEL = 1
"""Level of the compression: the sums of few rows hold many zero bytes, and a higher one saves little."""


@dataclass(frozen=True, eq=False)
class SummedEntry:
    """Sums of the rows of folds 0-1, 2 and 3-9, and rounded features of those that judge and of those that select."""

    judge: Sums
    select: Sums
    learn: Sums
    exam: FeatureRows
    selected: FeatureRows

    @classmethod
    def of(
        cls, entry: FeatureRows, exam: Sequence[int] | None = None, selected: Sequence[int] | None = None
    ) -> SummedEntry:
        """Sums up an entry. `exam`, `selected`: numbers of the rows that judge and select in the ledger; None: as many
        as the bounds allow."""
        judges = entry.take(entry.folds < SELECT_FOLD)
        selects = entry.take(entry.folds == SELECT_FOLD)
        return cls(
            Sums.of(judges),
            Sums.of(selects),
            Sums.of(entry.take(entry.folds > SELECT_FOLD)),
            bounded(_named(entry.take(entry.judging), exam)),
            bounded(_named(selects.take(~selects.parted), selected), by_source=True),
        )

    @property
    def all(self) -> Sums:
        """Sums of every row."""
        return self.learn + self.select + self.judge

    def pack(self) -> bytes:
        """Packs the entry for the store; a group without rows takes no bytes."""
        tensors: dict[str, NDArray[Any]] = {
            "exam": np.frombuffer(pack_rows(self.exam), np.uint8),
            "selected": np.frombuffer(pack_rows(self.selected), np.uint8),
        }
        groups: dict[str, Sums] = {name: getattr(self, name) for name in GROUPS}
        for name, sums in groups.items():
            if sums.rows:
                tensors |= {f"{name}.G": triangle(sums.G), f"{name}.Q": sums.Q, f"{name}.n": sums.n}
        classes = {name: sums.classes for name, sums in groups.items()}
        return MAGIC + zlib.compress(pack(tensors, {"width": self.learn.width, "classes": classes}), LEVEL)

    @classmethod
    def unpack(cls, data: bytes) -> SummedEntry:
        """Inverse of `pack`. Raises CorruptArtifact."""
        try:
            tensors, meta = unpack(zlib.decompress(data[len(MAGIC) :]))
            judge, select, learn = (_sums(tensors, name, meta["classes"][name], int(meta["width"])) for name in GROUPS)
            exam, selected = (unpack_features(tensors[name].tobytes()) for name in ("exam", "selected"))
            return cls(judge, select, learn, exam, selected)
        except (zlib.error, KeyError) as error:
            raise CorruptArtifact(f"The stored bytes are no sums of a batch: {error}.") from error


def unpack_entry(data: bytes) -> FeatureRows | SummedEntry:
    """Unpacks a stored ledger entry, with its rows or without. Raises CorruptArtifact."""
    return SummedEntry.unpack(data) if data.startswith(MAGIC) else unpack_features(data)


def sums_of(entry: FeatureRows | SummedEntry) -> Sums:
    """Returns the sums of every row of an entry."""
    return entry.all if isinstance(entry, SummedEntry) else Sums.of(entry)


def _named(rows: FeatureRows, numbers: Sequence[int] | None) -> FeatureRows:
    return rows if numbers is None else rows.take(np.isin(rows.row, np.asarray(numbers, np.int64)))


def _sums(tensors: Mapping[str, NDArray[Any]], name: str, classes: Sequence[str], width: int) -> Sums:
    if f"{name}.n" not in tensors:
        return Sums.empty(width)
    upper, Q, n = (tensors[f"{name}.{part}"] for part in "GQn")
    return Sums(tuple(classes), square(upper, len(Q)), Q, n)
