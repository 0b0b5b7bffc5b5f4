"""Ledger entries without rows: what a batch adds to a ledger once its rows were deleted.

Rounded features of the scaled input are the rows themselves, and rows can be solved for from those of a random lift. So
of a batch whose rows are deleted the ledger keeps sums by group of folds (0-1, 2, 3-9), and the rounded features of the
bounded rows that judge and select. Taking it out again is as exact as before. It costs 4 (M + 1)^2 bytes a group that
has rows, before compression, whatever their number; and the sum of a class with one row in a group is that row.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import CorruptArtifact
from service.learning.data.rows import SELECT_FOLD, Array, Bools, FeatureRows, Floats, Rows, bounded
from service.learning.data.serialization import pack, pack_rows, unpack, unpack_features
from service.learning.ledger.sums import Sums, fit, from_planes, square, triangle

MAGIC = b"TSUM"
"""First bytes of a summed entry; an entry with rows begins with the length of its header."""
GROUPS = ("judge", "select", "learn")
"""Groups of folds that are summed separately, by the names of their sums."""
LEVEL = 1
"""Level of the compression: the sums of few rows hold many zero bytes, and a higher one saves little."""


@dataclass(frozen=True, eq=False)
class SummedEntry:
    """Sums of the rows by stored fold, and rounded features of bounded rows to judge and select on.

    judge: folds 0-1 · select: fold 2 · learn: folds 3-9 (a lent row stays where its stored fold puts it) · exam:
    judging rows · selected: rows of fold 2, but for those with a near-duplicate in another fold. Both are int16: exam
    at most 200 rows a class, selected 200 a class and source, see `bounded`.
    """

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
        judge, select, learn = (sums for _, sums in group_sums(entry))
        judging, selecting = trusted(entry)
        return SummedEntry(
            judge, select, learn, bounded(_named(judging, exam)), bounded(_named(selecting, selected), by_source=True)
        )

    def __add__(self, other: SummedEntry) -> SummedEntry:
        """Adds up two entries of a space; the same for any cut of the rows, as long as their order stays. Raises
        MethodRefused beyond 2^53."""
        return SummedEntry(
            self.judge + other.judge,
            self.select + other.select,
            self.learn + other.learn,
            bounded(FeatureRows.concat([self.exam, other.exam])),
            bounded(FeatureRows.concat([self.selected, other.selected]), by_source=True),
        )

    @property
    def rows(self) -> int:
        return sum(getattr(self, name).rows for name in GROUPS)

    def has_room_for(self, other: SummedEntry) -> bool:
        """Whether the sums of all rows of both are exact."""
        return fit(*(getattr(entry, name) for entry in (self, other) for name in GROUPS))

    @property
    def width(self) -> int:
        """M: the number of features, without the bias."""
        return self.learn.width

    @cached_property
    def unjudged(self) -> Sums:
        """Sums of folds 2-9, which a head may learn that is judged on the exam."""
        return self.learn + self.select

    @cached_property
    def all(self) -> Sums:
        """Sums of every row, which the served head learns and the certificate names."""
        return self.unjudged + self.judge

    def pack(self) -> bytes:
        """Packs the entry for the store; a group without rows takes no bytes."""
        with_rows = [name for name in GROUPS if getattr(self, name).rows]
        tensors = self.tensors(with_rows, lambda upper: [upper])
        return MAGIC + zlib.compress(pack(tensors, {"width": self.width, "classes": self.classes()}), LEVEL)

    @classmethod
    def unpack(cls, data: bytes) -> SummedEntry:
        """Inverse of `pack`. Raises CorruptArtifact."""
        try:
            return SummedEntry(*from_tensors(*unpack(zlib.decompress(data[len(MAGIC) :]))))
        except (zlib.error, KeyError) as error:
            raise CorruptArtifact(f"The stored bytes are no sums of a batch: {error}.") from error

    def tensors(self, groups: Sequence[str], numbers: Callable[[Floats], list[Array]]) -> dict[str, NDArray[Any]]:
        """Returns what is stored of these groups and of the bounded rows, by name; `numbers`: splits a triangle."""
        tensors: dict[str, NDArray[Any]] = {
            "exam": np.frombuffer(pack_rows(self.exam), np.uint8),
            "selected": np.frombuffer(pack_rows(self.selected), np.uint8),
        }
        for name in groups:
            sums: Sums = getattr(self, name)
            tensors |= {f"{name}.Q": sums.Q, f"{name}.n": sums.n}
            tensors |= dict(zip((f"{name}.G", f"{name}.G.high"), numbers(triangle(sums.G)), strict=False))
        return tensors

    def classes(self) -> dict[str, tuple[str, ...]]:
        return {name: getattr(self, name).classes for name in GROUPS}


def from_tensors(
    tensors: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]
) -> tuple[Sums, Sums, Sums, FeatureRows, FeatureRows]:
    """Inverse of `SummedEntry.tensors`. Where the `meta` states a width, groups may be missing. Raises KeyError."""

    def sums(name: str) -> Sums:
        if "width" in meta and f"{name}.n" not in tensors:
            return Sums.empty(int(meta["width"]))
        Q, upper = tensors[f"{name}.Q"], from_planes(tensors[f"{name}.G"], tensors.get(f"{name}.G.high"))
        return Sums(tuple(meta["classes"][name]), square(upper, len(Q)), Q, tensors[f"{name}.n"])

    judge, select, learn = map(sums, GROUPS)
    exam, selected = (unpack_features(tensors[name].tobytes()) for name in ("exam", "selected"))
    return judge, select, learn, exam, selected


def by_fold(entry: Rows) -> dict[str, Bools]:
    """Finds the rows of each group, by the fold that they are stored with. -> masks [n]"""
    folds = entry.folds
    return dict(zip(GROUPS, (folds < SELECT_FOLD, folds == SELECT_FOLD, folds > SELECT_FOLD), strict=True))


def group_sums(entry: FeatureRows | SummedEntry) -> Iterator[tuple[str, Sums]]:
    if isinstance(entry, SummedEntry):
        yield from ((name, getattr(entry, name)) for name in GROUPS)
    else:
        yield from ((name, Sums.of(entry.take(mask))) for name, mask in by_fold(entry).items())


def trusted(entry: FeatureRows) -> tuple[FeatureRows, FeatureRows]:
    """Returns the rows that may judge and those that may select, without a bound."""
    return entry.take(entry.judging), entry.take((entry.folds == SELECT_FOLD) & ~entry.parted)


def unpack_entry(data: bytes) -> FeatureRows | SummedEntry:
    """Unpacks a stored ledger entry, with its rows or without. Raises CorruptArtifact."""
    return SummedEntry.unpack(data) if data.startswith(MAGIC) else unpack_features(data)


def summed(entry: FeatureRows | SummedEntry) -> SummedEntry:
    return entry if isinstance(entry, SummedEntry) else SummedEntry.of(entry)


def sums_of(entry: FeatureRows | SummedEntry) -> Sums:
    return entry.all if isinstance(entry, SummedEntry) else Sums.of(entry)


def _named(rows: FeatureRows, numbers: Sequence[int] | None) -> FeatureRows:
    return rows if numbers is None else rows.take(np.isin(rows.row, np.asarray(numbers, np.int64)))
