"""The exact ledger of a feature space: sums by group of folds, and bounded rows to judge and to select on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import CorruptArtifact
from service.learning.data.rows import KIN_ROWS, SELECT_FOLD, Bools, FeatureRows, Ints, Rows, bounded
from service.learning.data.serialization import pack, pack_rows, unpack, unpack_features
from service.learning.ledger.entry import GROUPS, SummedEntry
from service.learning.ledger.feature_space import Space
from service.learning.ledger.sums import Sums, from_planes, planes, square, triangle


@dataclass(frozen=True, eq=False)
class Ledger:
    """All that exact heads of a feature space need: sums by stored fold, and bounded rows to judge and select on.

    judge: folds 0-1 · select: fold 2 · learn: folds 3-9 (a lent row stays where its stored fold puts it) · exam:
    judging rows · selected: rows of fold 2, but for those with a near-duplicate in another fold. Both hold rounded
    features, int16: exam at most 200 rows a class, selected 200 a class and source, see `bounded`.
    """

    space_id: str
    shift: int
    judge: Sums
    select: Sums
    learn: Sums
    exam: FeatureRows
    selected: FeatureRows

    @classmethod
    def empty(cls, space: Space) -> Ledger:
        """Returns the ledger of a space in which nothing was learned."""
        none, no_rows = Sums.empty(space.width), FeatureRows.none(space.width)
        return cls(space.id, space.shift, none, none, none, no_rows, no_rows)

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

    @property
    def digest(self) -> str:
        """The certificate of all rows, see `Sums.digest`."""
        return self.all.digest(self.space_id)

    def with_entry(self, entry: FeatureRows | SummedEntry) -> Ledger:
        """Adds an entry of this space, with its rows or without."""
        if isinstance(entry, SummedEntry):
            return replace(
                self,
                judge=self.judge + entry.judge,
                select=self.select + entry.select,
                learn=self.learn + entry.learn,
                exam=bounded(FeatureRows.concat([self.exam, entry.exam])),
                selected=bounded(FeatureRows.concat([self.selected, entry.selected]), by_source=True),
            )
        if not len(entry):
            return self
        judge, select, learn = _by_fold(entry)
        return replace(
            self,
            judge=self.judge.with_rows(entry.take(judge)),
            select=self.select.with_rows(entry.take(select)),
            learn=self.learn.with_rows(entry.take(learn)),
            exam=bounded(FeatureRows.concat([self.exam, entry.take(entry.judging)])),
            selected=bounded(FeatureRows.concat([self.selected, entry.take(select & ~entry.parted)]), by_source=True),
        )

    def without_entry(self, entry: FeatureRows, remaining: Callable[[], Iterable[FeatureRows]]) -> Ledger:
        """Takes out an entry that was added: the ledger is equal to one that never saw it.

        Sums are subtracted. Bounded rows cannot be: where a class, a source of it or a neighbourhood was full, rows of
        other batches that the bound kept out come back; then alone `remaining()` yields the entries that stay, one by
        one.
        """
        judge, select, learn = _by_fold(entry)
        exam, selected = _without(self.exam, entry), _without(self.selected, entry)
        if _was_full(self.exam, exam) or _was_full(self.selected, selected):
            exam = selected = FeatureRows.none(self.width)
            for other in remaining():
                exam = bounded(FeatureRows.concat([exam, other.take(other.judging)]))
                chosen = other.take(_by_fold(other)[1] & ~other.parted)
                selected = bounded(FeatureRows.concat([selected, chosen]), by_source=True)
        return replace(
            self,
            judge=self.judge - Sums.of(entry.take(judge)),
            select=self.select - Sums.of(entry.take(select)),
            learn=self.learn - Sums.of(entry.take(learn)),
            exam=exam,
            selected=selected,
        )

    def weighted(self, decay: float, entry: FeatureRows | SummedEntry | None, weight: float) -> Ledger:
        """Takes one step of Horner's rule, for sums alone: they count `decay` times, the entry's rows `weight` times.

        Bounded rows stay as they are. Exact only where both are 1; else the same bits for the same batches.
        """
        aged = {name: getattr(self, name).scaled(decay) for name in GROUPS}
        if weight and entry is not None:
            for name, sums in zip(GROUPS, _group_sums(entry), strict=True):
                aged[name] += sums.scaled(weight)
        return replace(self, **aged)

    def pack(self) -> bytes:
        """Packs the ledger for a cache; G by its upper triangle, in `planes`."""
        tensors: dict[str, NDArray[Any]] = {
            "exam": np.frombuffer(pack_rows(self.exam), np.uint8),
            "selected": np.frombuffer(pack_rows(self.selected), np.uint8),
        }
        groups: dict[str, Sums] = {name: getattr(self, name) for name in GROUPS}
        for name, sums in groups.items():
            tensors |= {f"{name}.Q": sums.Q, f"{name}.n": sums.n}
            tensors |= dict(zip((f"{name}.G", f"{name}.G.high"), planes(triangle(sums.G)), strict=False))
        classes = {name: sums.classes for name, sums in groups.items()}
        return pack(tensors, {"space_id": self.space_id, "shift": self.shift, "classes": classes})

    @classmethod
    def unpack(cls, data: bytes) -> Ledger:
        """Inverse of `pack`. Raises CorruptArtifact."""
        tensors, meta = unpack(data)
        try:
            judge, select, learn = (
                Sums(
                    tuple(meta["classes"][name]),
                    square(from_planes(tensors[f"{name}.G"], tensors.get(f"{name}.G.high")), len(tensors[f"{name}.Q"])),
                    tensors[f"{name}.Q"],
                    tensors[f"{name}.n"],
                )
                for name in GROUPS
            )
            exam, selected = (unpack_features(tensors[name].tobytes()) for name in ("exam", "selected"))
            return cls(meta["space_id"], int(meta["shift"]), judge, select, learn, exam, selected)
        except KeyError as error:
            raise CorruptArtifact(f"The stored bytes are no ledger: {error} is missing.") from error


def _group_sums(entry: FeatureRows | SummedEntry) -> list[Sums]:
    """Returns the sums of the rows that judge, select and learn."""
    if isinstance(entry, SummedEntry):
        return [entry.judge, entry.select, entry.learn]
    return [Sums.of(entry.take(mask)) for mask in _by_fold(entry)]


def _by_fold(entry: Rows) -> tuple[Bools, Bools, Bools]:
    """Finds the rows that judge, select and learn, by the fold they are stored with. -> masks [n]"""
    return entry.folds < SELECT_FOLD, entry.folds == SELECT_FOLD, entry.folds > SELECT_FOLD


def _without(rows: FeatureRows, entry: FeatureRows) -> FeatureRows:
    """Returns the rows of other batches; names that only the entry's rows used leave with them."""
    if not len(rows):
        return rows
    gone = np.array([batch in entry.batches for batch in rows.batches], bool)
    left = rows.take(~gone[rows.batch])
    names, labels = _used(left.names, left.labels)
    batches, batch = _used(left.batches, left.batch)
    sources, source = _used(left.sources, left.source)
    return replace(left, names=names, labels=labels, batches=batches, batch=batch, sources=sources, source=source)


def _used(words: tuple[str, ...], codes: Ints) -> tuple[tuple[str, ...], Ints]:
    kept, places = np.unique(codes, return_inverse=True)
    return tuple(words[k] for k in kept), places.astype(np.int64)


def _was_full(before: Rows, after: Rows) -> bool:
    """Returns whether a class, a source of it or a neighbourhood lost rows that was as large as its bound."""
    return any(
        rows >= most and left.get(group, 0) < rows
        for (most, held), (_, left) in zip(_group_sizes(before), _group_sizes(after), strict=True)
        for group, rows in held.items()
    )


def _group_sizes(rows: Rows) -> list[tuple[int, Counter[tuple[str, str]]]]:
    """Returns for each bound the rows that it allows, and the rows of each group that it counts."""
    names = [rows.names[k] for k in rows.labels]
    sources = [rows.sources[k] for k in rows.source]
    by_class, by_source = Counter((name, "") for name in names), Counter(zip(names, sources, strict=True))
    kin = Counter((name, str(k)) for name, k in zip(names, rows.kin.tolist(), strict=True) if k)
    return [(rows.bound, by_class), (rows.bound, by_source), (KIN_ROWS, kin)]
