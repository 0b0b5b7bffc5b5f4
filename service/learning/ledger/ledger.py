"""The exact ledger of a feature space: sums by group of folds, and bounded rows to judge and to select on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from service.errors import CorruptArtifact
from service.learning.data.rows import FeatureRows, bounded
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

    def weighted(self, decay: float, entry: FeatureRows | SummedEntry | None, weight: float) -> Ledger:
        """Takes one step of Horner's rule, for sums alone: they count `decay` times, the entry's rows `weight` times.

        Bounded rows stay as they are. Exact only where both are 1; else the same bits for the same batches.
        """
        own = dict(group_sums(entry)) if weight and entry is not None else {}
        return replace(self, **{name: getattr(self, name).aged(decay, own.get(name), weight) for name in GROUPS})

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
    """Bounds rows, and leaves out the names of batches of which none is left, which would be all that were ever
    learned."""
    return bounded(FeatureRows.concat([rows, more]), by_source=by_source).of_present_batches()
