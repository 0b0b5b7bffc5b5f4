"""What an update is judged by, whatever its targets are: who answers which rows, and what the lineage remembers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.learning.data.rows import FeatureRows, Ints, Rows, lookup
from service.learning.evaluation.gaps import RowNames
from service.learning.gate.wrong_columns import ColumnSlips

Policy = TypeVar("Policy")
Answered = TypeVar("Answered")
Past = TypeVar("Past")


class Memory(Protocol):
    """What a version leaves for later ones to be compared with."""

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Plain arrays, for a safetensors shard."""


@dataclass(frozen=True, eq=False)
class ExamAnswers(Generic[Answered]):
    """What one version answers to trusted rows and to the update's own: to m and to n rows."""

    on_trusted: Answered
    on_batch: Answered


@dataclass(frozen=True, eq=False, kw_only=True)
class Assessment(Generic[Policy, Answered, Past]):
    """All that a gate and a report are made of; each kind of target adds its own.

    `trusted` (T): exam rows of base.learned · `batch` (B): the update's own rows. `base`, `candidate`: answers to T by
    heads that never saw it, and to B, the base's by the head it serves, the candidate's out of fold. The base is None
    for a first version. `same`: as base, with the settings of the candidate (`Learned.without`), unless it has those ·
    `live`: number of the base · `past`: what the lineage remembers · `sound`: weights are finite and load again ·
    `challenges`: base and candidate learned the same rows, so all in which they differ is by their settings ·
    `expected`: its sender says that labels, or targets, of known inputs change on purpose · `columns`: what is wrong
    with columns of B · `gaps`: rows of B of which hardly anything is known (`mostly_gaps`).
    """

    policy: Policy
    trusted: FeatureRows
    batch: FeatureRows
    candidate: ExamAnswers[Answered]
    past: Past
    base: ExamAnswers[Answered] | None = None
    same: ExamAnswers[Answered] | None = None
    live: int | None = None
    sound: bool | None = None
    challenges: bool = False
    expected: bool = False
    columns: ColumnSlips | None = None
    gaps: RowNames = frozenset()

    @property
    def before(self) -> ExamAnswers[Answered] | None:
        """What the candidate is compared with, to see what learning the batch did: the base, or what the candidate's
        settings make without the batch."""
        return self.same if self.same is not None else self.base


def ages(last: int, versions: int) -> list[int]:
    """Which of so many promoted versions are looked back on, 1 = the newest: the `last` ones, then 16, 32, 64 ... back,
    and the first. Small losses add up over any time, and few versions show all of it."""
    doubled = (2**k for k in range(last.bit_length(), versions.bit_length()))
    return sorted({*range(1, min(last, versions) + 1), *(age for age in doubled if age > last), versions} - {0})


def places_of_same(
    rows: Rows, batches: Sequence[str], batch: NDArray[np.integer], row: NDArray[np.integer]
) -> tuple[Ints, Ints]:
    """Finds rows that are among remembered ones: their places, and their places among those. batch [m] indexes
    `batches`, row [m] -> [s], [s]"""
    own = lookup(rows.batches, batches)[rows.batch]
    shared = np.flatnonzero(own >= 0)
    keys = _key(own[shared], rows.row[shared]), _key(batch, row)
    _, found, remembered = np.intersect1d(*keys, assume_unique=True, return_indices=True)
    return shared[found], remembered


def _key(batch: NDArray[np.integer], row: NDArray[np.integer]) -> Ints:
    return (batch.astype(np.int64) << 32) | row.astype(np.int64)
