"""The exact ledger of a feature space: sums by group of folds, and bounded rows to judge and to select on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from service.errors import CorruptArtifact
from service.learning.data.rows import KIN_ROWS, FeatureRows, Ints, Rows, bounded
from service.learning.data.serialization import pack, unpack
from service.learning.ledger.entry import GROUPS, SummedEntry, by_fold, from_tensors, group_sums, trusted
from service.learning.ledger.feature_space import Space
from service.learning.ledger.sums import Sums, planes


@dataclass(frozen=True, eq=False)
class Ledger(SummedEntry):
    """All that exact heads of a feature space need: the entries of its batches added up."""

    space_id: str
    shift: int

    @classmethod
    def empty(cls, space: Space) -> Ledger:
        """Returns the ledger of a space in which nothing was learned."""
        none, no_rows = Sums.empty(space.width), FeatureRows.none(space.width)
        return cls(none, none, none, no_rows, no_rows, space.id, space.shift)

    @property
    def digest(self) -> str:
        """The certificate of all rows, see `Sums.digest`."""
        return self.all.digest(self.space_id)

    def with_entry(self, entry: FeatureRows | SummedEntry) -> Ledger:
        """Adds an entry of this space, with its rows or without."""
        sums: dict[str, Any]
        if isinstance(entry, SummedEntry):
            sums = {name: getattr(self, name) + getattr(entry, name) for name in GROUPS}
            judging, selecting = entry.exam, entry.selected
        elif len(entry):
            sums = {name: getattr(self, name).with_rows(entry.take(mask)) for name, mask in by_fold(entry).items()}
            judging, selecting = trusted(entry)
        else:
            return self
        exam, selected = _bounded(self.exam, judging), _bounded(self.selected, selecting, by_source=True)
        return replace(self, **sums, exam=exam, selected=selected)

    def without_entry(self, entry: FeatureRows, remaining: Callable[[], Iterable[FeatureRows]]) -> Ledger:
        """Takes out an entry that was added: the ledger is equal to one that never saw it.

        Sums are subtracted. Bounded rows cannot be: where a class, a source of it or a neighbourhood was full, rows of
        other batches that the bound kept out come back; then alone `remaining()` yields the entries that stay, one by
        one.
        """
        exam, selected = _without(self.exam, entry), _without(self.selected, entry)
        if _was_full(self.exam, exam) or _was_full(self.selected, selected):
            exam = selected = FeatureRows.none(self.width)
            for judging, selecting in map(trusted, remaining()):
                exam, selected = _bounded(exam, judging), _bounded(selected, selecting, by_source=True)
        sums = {name: getattr(self, name) - gone for name, gone in group_sums(entry)}
        return replace(self, **sums, exam=exam, selected=selected)

    def weighted(self, decay: float, entry: FeatureRows | SummedEntry | None, weight: float) -> Ledger:
        """Takes one step of Horner's rule, for sums alone: they count `decay` times, the entry's rows `weight` times.

        Bounded rows stay as they are. Exact only where both are 1; else the same bits for the same batches.
        """
        aged = {name: getattr(self, name).scaled(decay) for name in GROUPS}
        if weight and entry is not None:
            for name, sums in group_sums(entry):
                aged[name] += sums.scaled(weight)
        return replace(self, **aged)

    def pack(self) -> bytes:
        """Packs the ledger for a cache; G by its upper triangle, in `planes`."""
        meta = {"space_id": self.space_id, "shift": self.shift, "classes": self.classes()}
        return pack(self.tensors(GROUPS, planes), meta)

    @classmethod
    def unpack(cls, data: bytes) -> Ledger:
        """Inverse of `pack`. Raises CorruptArtifact."""
        tensors, meta = unpack(data)
        try:
            return cls(*from_tensors(tensors, meta), meta["space_id"], int(meta["shift"]))
        except KeyError as error:
            raise CorruptArtifact(f"The stored bytes are no ledger: {error} is missing.") from error


def _bounded(rows: FeatureRows, more: FeatureRows, by_source: bool = False) -> FeatureRows:
    return bounded(FeatureRows.concat([rows, more]), by_source=by_source)


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
