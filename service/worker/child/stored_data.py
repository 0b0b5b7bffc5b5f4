"""What the store holds, as a method asks for it: rows, entries, sums; computed once and cached by feature space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from service.contract.enums import Retention
from service.contract.inputs import Architecture, InputSpec
from service.learning.backbones import starting_weights
from service.learning.backbones.extractor import SharedWeights
from service.learning.data.rows import Array, FeatureRows, Rows, bounded
from service.learning.data.serialization import unpack_rows
from service.learning.ledger.batch_weights import BatchWeights, Weighted, with_bounded_rows
from service.learning.ledger.feature_space import Space
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums
from service.learning.run import Run
from service.storage.artifacts import exam_area
from service.worker.assignment import Trusted
from service.worker.child.model_store import Memory, Shelf
from service.worker.child.weighted_sums import Weighing

UNSAVED_ROWS = 4096
"""Rows whose sums the cache may lack: it is written once there are more, since writing costs as much as summing 1,500
rows, and a process that starts anew sums them in a tenth of a second."""
UNSAVED_LEAST = 512
"""What a batch counts there at least, since reading it costs, too: so the cache lacks seven batches at most."""


class StoredData:
    """learning.method.Data over a shelf: `known` are the batches of the base, `new` those of the update."""

    def __init__(
        self,
        shelf: Shelf,
        input: InputSpec,
        architecture: Architecture,
        known: Sequence[str],
        new: Sequence[str],
        run: Run,
        *,
        known_rows: int,
        kept_rows: int,
        known_sources: frozenset[str] = frozenset(),
        sources: Mapping[str, str] | None = None,
        weights: Mapping[str, str] | None = None,
    ) -> None:
        self.input, self.architecture, self._weights = input, architecture, weights or {}
        self.known_rows, self.kept_rows, self.known_sources = known_rows, kept_rows, known_sources
        self._shelf, self._known, self._new, self._run = shelf, sorted(known), list(new), run
        self._own = Memory()
        self._weighing = Weighing(shelf, self._known, self._new, sources, run)

    @property
    def _lasting(self) -> bool:
        """All rows are kept, and will be: what is read of them may be remembered."""
        return self._shelf.retention is Retention.ALL and self.kept_rows == self.known_rows

    @property
    def learned(self) -> list[str]:
        """Batches of a version that learned all of it."""
        return sorted([*self._known, *self._new])

    @cached_property
    def batch(self) -> Rows:
        if not self._new:
            return Rows.empty(self.input.shape)
        return Rows.concat([self._shelf.batch(b) for b in self._new])

    @cached_property
    def unlabelled(self) -> Array:
        found = [rows for b in self._new if (rows := self._shelf.unlabelled(b)) is not None]
        return np.concatenate(found) if found else Rows.empty(self.input.shape).inputs

    @property
    def exam(self) -> Rows:
        if not self._lasting:
            return self._exam_left
        name = self._shelf.name("exam", learned=self._known)
        found = self._shelf.memory.recall(name, lambda: self._read_exam(name))
        assert isinstance(found, Rows)
        return found

    @cached_property
    def _exam_left(self) -> Rows:
        """Where rows are deleted, those that are left are not remembered any longer than the update takes."""
        rows = self.kept()
        return bounded(rows.take(rows.judging))

    def _read_exam(self, name: str) -> Rows:
        cached, since = self._cached(exam_area(self._shelf.area), "exam")
        found = [unpack_rows(cached)] if cached is not None else []
        if since:
            rows = self._kept(since)
            found.append(rows.take(rows.judging))
            self._shelf.memory.unsaved[name] = UNSAVED_ROWS
        return bounded(Rows.concat(found)) if found else Rows.empty(self.input.shape)

    def _cached(self, area: str, *words: str) -> tuple[bytes | None, list[str]]:
        """What the cache has of the known batches, or of all but the latest few, and the batches that it lacks."""
        for lacking in range(min(UNSAVED_ROWS // UNSAVED_LEAST, len(self._known) + 1)):
            there = self._known[: len(self._known) - lacking]
            cached = self._shelf.cache.get(area, self._shelf.name(*words, learned=there))
            if cached is not None:
                return cached, self._known[len(there) :]
        return None, self._known

    def pretrained(self) -> SharedWeights:
        return starting_weights(self.architecture.backbone, self._weights)

    def kept(self) -> Rows:
        return self._kept(self._known)

    def _kept(self, batches: Sequence[str]) -> Rows:
        there = [b for b in batches if b in self._shelf.rows]
        if not there:
            return Rows.empty(self.input.shape)
        return Rows.concat([self._shelf.batch(b) for b in there])

    @property
    def known_batches(self) -> tuple[str, ...]:
        return tuple(self._known)

    def ledger(self, space: Space) -> Ledger:
        name = self._shelf.name("ledger", space.id, learned=self._known)
        found = self._shelf.memory.recall(name, lambda: self._read_ledger(name, space))
        self._shelf.enter(self._known, space, self._run)
        assert isinstance(found, Ledger)
        return found

    def _read_ledger(self, name: str, space: Space) -> Ledger:
        cached, since = self._cached(self._shelf.area, "ledger", space.id)
        ledger = Ledger.unpack(cached) if cached is not None else Ledger.empty(space)
        for k, batch_id in enumerate(since):
            self._run.check()
            ledger = ledger.with_entry(self._shelf.adds(batch_id, space, self._run))
            self._run.progress("summing", k + 1, len(since))
            self._shelf.memory.unsaved[name] = UNSAVED_ROWS
        return ledger

    def entry(self, space: Space) -> FeatureRows:
        if not self._new:
            return FeatureRows.none(space.width)
        name = self._shelf.name("entry", space.id, learned=self._new)
        memory = self._shelf.memory if self._lasting else self._own
        found = memory.recall(
            name, lambda: FeatureRows.concat([self._shelf.entry(b, space, self._run) for b in self._new])
        )
        self._shelf.enter(self._new, space, self._run)
        assert isinstance(found, FeatureRows)
        return found

    def grown(self, space: Space) -> Ledger:
        if not self._new:
            return self.ledger(space)
        name = self._shelf.name("ledger", space.id, learned=self.learned)
        found = self._shelf.memory.recall(name, lambda: self.ledger(space).with_entry(self.entry(space)))
        self._shelf.enter(self.learned, space, self._run)
        assert isinstance(found, Ledger)
        return found

    def weighted_batches(self, weights: BatchWeights, own: bool = True) -> Weighted:
        return self._weighing.weighted_batches(weights, own)

    def decayed(self, space: Space, decay: float, source_weights: Mapping[str, float], own: bool = True) -> Ledger:
        weighted = self.weighted_batches(BatchWeights(decay, source_weights), own)
        sums = self._weighing.sums(space, decay, weighted, keep=own)
        return with_bounded_rows(sums, self.grown(space), decay, weighted, self._weighing.entry(space))

    def tested(
        self,
        space: Space,
        decay: float,
        source_weights: Mapping[str, float],
        last: int,
        key: str,
        score: Callable[[Sums, FeatureRows], float],
    ) -> list[float]:
        return self._weighing.tested(
            space, decay, self.weighted_batches(BatchWeights(decay, source_weights)), last, key, score
        )

    def recent_exam(self, batches: int) -> Rows:
        return self._weighing.recent_exam(batches, self.input.shape)

    def recent_features(self, batches: int, space: Space) -> FeatureRows:
        return self._weighing.recent_features(batches, space)

    def trusted(self, space: Space) -> dict[str, Trusted]:
        """Numbers of the rows of new batches that judge and select in the ledger of what knows all."""
        grown = self.grown(space)
        exam, selected = _numbers(grown.exam), _numbers(grown.selected)
        return {b: Trusted(exam=exam.get(b, []), selected=selected.get(b, [])) for b in self._new}

    def remember(self, space: Space) -> dict[str, Rows | Ledger]:
        """Hold ledger and exam of `space` for the version that knows all; -> what the cache should keep, by name: not
        yet those that lack few rows there.

        Where rows are deleted once they are learned, only the ledger is remembered."""
        ledger = replace(self.grown(space))  # without the sums that it has worked out: they are as large again
        keep: dict[str, Rows | Ledger] = {}
        self._hold(ledger, keep, "ledger", space.id)
        if self._lasting:
            fresh = self.batch.take(self.batch.judging)
            exam = bounded(Rows.concat([self.exam, fresh])) if len(self.exam) else bounded(fresh)
            self._hold(exam, keep, "exam")
        for name, sums in self._weighing.made.items():
            keep[name] = replace(sums)
            self._shelf.memory.hold(name, keep[name])
        return keep

    def _hold(self, thing: Rows | Ledger, keep: dict[str, Rows | Ledger], *words: str) -> None:
        """Hold it in memory, and in `keep` where the cache lacks too many rows of it."""
        memory = self._shelf.memory
        name, before = (self._shelf.name(*words, learned=batches) for batches in (self.learned, self._known))
        rows = np.bincount(self.batch.batch, minlength=len(self._new))
        unsaved = memory.unsaved.get(before, 0) + int(np.maximum(rows, UNSAVED_LEAST).sum())
        if unsaved >= UNSAVED_ROWS:
            keep[name], unsaved = thing, 0
        memory.unsaved[name] = unsaved
        memory.hold(name, thing)


def _numbers(rows: Rows) -> dict[str, list[int]]:
    """Batch -> numbers of the rows of it that are here."""
    return {batch: sorted(rows.row[rows.batch == k].tolist()) for k, batch in enumerate(rows.batches)}
