"""The data of an update as a method uses it: rows, entries and sums, computed once and cached by feature space."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import cached_property, partial
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from service.contract.enums import Retention
from service.contract.reports.facts import NewValues
from service.contract.tables import TableInput
from service.errors import MethodRefused
from service.learning.absent_rows import foreign
from service.learning.backbones import starting_weights
from service.learning.backbones.extractor import SharedWeights
from service.learning.data.learned_values import LearnedValues
from service.learning.data.rows import Array, FeatureRows, Rows, bounded
from service.learning.ledger.batch_weights import BatchWeights, Weighted, with_bounded_rows
from service.learning.ledger.entry import SummedEntry
from service.learning.ledger.feature_space import Space
from service.learning.ledger.ledger import Ledger
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import UNWATCHED
from service.learning.update_data import Data
from service.storage.cache import Cache
from service.worker.assignment import ASSIGNMENT, Stored, Trusted
from service.worker.child.data.model_store import ModelStore
from service.worker.child.data.new_values import new_values
from service.worker.child.data.remembered import Kept, Listing, Memory
from service.worker.child.data.row_blocks import opened
from service.worker.child.data.tested_batches import Score, TestedBatches
from service.worker.child.data.weighted_sums import WeightedSums
from service.worker.child.load import load

UNSAVED_ROWS = 4096
"""Rows whose sums the cache may lack. Beyond that it is written, which costs as much as summing 1,500 rows. A new
process sums so many in a tenth of a second."""
UNSAVED_LEAST = 512
"""Rows that a batch counts for at least, since reading it costs, too: the cache lacks seven batches at most."""


class StoredData:
    """`learning.update_data.Data` over a `ModelStore`: `known` are the batches of the base, `new` those of the update.
    `merged_rows`: rows of the update that are elsewhere, of which there are sums alone; `known_elsewhere`: of the base.
    """

    def __init__(self, model_store: ModelStore, known: Sequence[str], new: Sequence[str]) -> None:
        assignment = model_store.assignment
        self.input, self.architecture, self._weights = assignment.input, assignment.architecture, assignment.weights
        self.target = assignment.target
        self._store, self._known, self._new = model_store, sorted(known), list(new)
        self._of_base = assignment.base is not None and assignment.base.learned == self._known
        self.known_rows, self.kept_rows, self.known_elsewhere = self._rows()
        self._values, self._vocabulary = assignment.values, assignment.vocabulary
        facts = model_store.facts(new)
        self._merged = frozenset(facts.merged).intersection(new)
        self.merged_rows = sum(facts.counts[b] for b in self._merged)
        self._remembered = model_store.remembered
        self._memory, self._own = model_store.remembered.memory, Memory()
        self._weighted = WeightedSums(model_store, self._known, self._new)
        self._names = dict[tuple[bool, tuple[str, ...]], str]()
        self._entered = set[tuple[bool, str]]()

    def _rows(self) -> tuple[int, int, int]:
        """Rows that the known batches brought, that are kept, that are elsewhere."""
        if self._of_base and self._store.assignment.known is not None:
            return self._store.assignment.known
        facts, known = self._store.facts(self._known), self._known
        brought, kept = sum(map(facts.counts.__getitem__, known)), sum(map(facts.kept.get, known, repeat(0)))
        elsewhere = sum(map(facts.counts.__getitem__, set(facts.merged).intersection(known)))
        return brought, kept, elsewhere

    def unknown_sources(self, names: Collection[str]) -> set[str]:
        unknown, known = set(names), set(self._known) if names else set()
        for batches in ((), self._known):  # all of the history only where what is at hand lacks one
            if unknown:
                sources = self._store.facts(batches).sources
                unknown.difference_update(sources[batch] for batch in sources.keys() & known)
        return unknown

    @property
    def _lasting(self) -> bool:
        """Whether all rows that came are kept, and will be: then what is read of them may be remembered."""
        here = self.known_rows - self.known_elsewhere
        return self._store.assignment.retention is Retention.ALL and self.kept_rows == here

    @property
    def merged(self) -> bool:
        return self.known_elsewhere + self.merged_rows > 0

    @cached_property
    def learned(self) -> list[str]:
        """Batches of a version that learned all of it."""
        return sorted([*self._known, *self._new])

    @cached_property
    def _read(self) -> tuple[Rows, Array]:
        """The update's own rows, and inputs of those without a label. Of a merged ledger there is neither."""
        if here := [batch for batch in self._new if batch not in self._merged]:
            rows, unlabelled = self._store.own(here)
        else:
            rows, unlabelled = replace(Rows.empty(self.input.shape), batches=tuple(self._new)), []
        return rows, np.concatenate(unlabelled) if unlabelled else Rows.empty(self.input.shape).inputs

    @property
    def batch(self) -> Rows:
        return self._read[0]

    @property
    def unlabelled(self) -> Array:
        return self._read[1]

    @property
    def exam(self) -> Rows:
        if not self._lasting:
            return self._exam_left
        exam = self._memory.held(self._name("exam", known=True), Rows)
        return exam if exam is not None else self._read_exam()

    @cached_property
    def _exam_left(self) -> Rows:
        """The exam where rows are deleted: those that are left are remembered for the update alone."""
        rows = self.kept()
        return bounded(rows.take(rows.judging))

    def _read_exam(self) -> Rows:
        known, since = self._latest(Rows, "exam")
        exam = [known] if known is not None else []
        if since:
            rows = self._kept(since)
            exam.append(rows.take(rows.judging))
        whole = bounded(Rows.concat(exam)) if exam else Rows.empty(self.input.shape)
        self._memory.hold(self._name("exam", known=True), whole, UNSAVED_ROWS if since else 0)
        return whole

    def _latest(self, kind: type[Kept], *words: str) -> tuple[Kept | None, list[str]]:
        """What memory or the cache has of the known batches, or of all but the last few, which another worker may have
        learned; -> that, and the batches it lacks."""
        known, summed = self._remembered.latest(self._remembered.names(*words, of=self._listings[0]), kind)
        return known, self._known[summed:]

    @cached_property
    def _listings(self) -> tuple[Listing, Listing]:
        """The known batches, and all but the last few; and all batches. There may be many: those that are known are the
        beginning of all where the new ones are the latest, as nearly always."""
        known, fewer = len(self._known), UNSAVED_ROWS // UNSAVED_LEAST - 1
        everything = Listing.of(self.learned, len(self._new) + fewer)
        if self.learned[:known] == self._known:
            return everything.first(known), everything
        return Listing.of(self._known, fewer), everything

    def _name(self, *words: str, known: bool) -> str:
        """The name of what is a function of the known batches, or of all. It is asked for again and again."""
        if (known, words) not in self._names:
            of_known, of_all = self._listings
            names = self._remembered.names(*words, of=of_known if known else of_all)
            self._names[known, words] = names[len(self._known if known else self.learned)]
        return self._names[known, words]

    def pretrained(self) -> SharedWeights:
        return starting_weights(self.architecture.backbone, self._weights)

    def kept(self) -> Rows:
        return self._kept(self._known if self.kept_rows else [])

    def _kept(self, batches: Sequence[str]) -> Rows:
        stored = self._store.facts(batches).rows
        rows = [self._store.batch(b) for b in batches if b in stored]
        return Rows.concat(rows) if rows else Rows.empty(self.input.shape)

    def shared(self, space: Space, rows: Rows) -> AbstractContextManager[Callable[[], tuple[Space, Rows]]]:
        return self._store.shared(space, rows)

    @contextmanager
    def elsewhere(self, base: Checkpoint) -> Iterator[Callable[[], tuple[Checkpoint, Data]] | None]:
        version = self._store.stored(base)
        if version is None or self._store.assignment.brief:
            yield None
            return
        names = [name for (known, words), name in self._names.items() if known and words[0] == "ledger"]
        held = {name: ledger for name in names if (ledger := self._memory.held(name, Ledger)) is not None}
        with self._store.lent([ledger.pack() for ledger in held.values()]) as digests:
            written, ledgers = self._store.written(), dict(zip(held, digests, strict=True))
            yield partial(base_and_data, written, version, self._known, self._new, ledgers)

    @property
    def known_batches(self) -> tuple[str, ...]:
        return tuple(self._known)

    @cached_property
    def everything(self) -> frozenset[str]:
        return frozenset((*self._known, *self.batch.batches))

    def values(self, base: Checkpoint | None) -> LearnedValues | None:
        if not isinstance(self.input, TableInput):
            return None
        named = all(b in self._values for b in self._known)
        whole = base is None or (named and not foreign(base))
        counted = self.learned if whole else self._new
        own = LearnedValues.of(self.input, (self._values[b] for b in counted if b in self._values))
        return own if whole or base is None else own.with_values(base.learned_values())

    def new_values(self, base: Checkpoint | None) -> NewValues:
        if base is None or not isinstance(self.input, TableInput):
            return {}
        brought = [self._values[b] for b in self._new if b in self._values]
        return new_values(self.input, base.learned_values(), brought, self._vocabulary)

    def ledger(self, space: Space) -> Ledger:
        ledger = self._memory.held(self._name("ledger", space.id, known=True), Ledger)
        if ledger is None:
            ledger = self._read_ledger(space)
        self._enter(space, known=True)
        return ledger

    def _enter(self, space: Space, known: bool) -> None:
        """Makes the entries of the known batches, or of all, that are not recorded; once, since there may be many."""
        if (known, space.id) not in self._entered:
            there = self._of_base and space.id in self._store.assignment.entered
            self._store.enter([*(() if there else self._known), *(() if known else self._new)], space)
            self._entered.add((known, space.id))

    def _read_ledger(self, space: Space) -> Ledger:
        known, since = self._latest(Ledger, "ledger", space.id)
        ledger = known if known is not None else Ledger.empty(space)
        if self._store.spreads(since):
            ledger = ledger.with_entry(self._store.total(since, space))
        else:
            for k, batch_id in enumerate(since):
                self._store.run.check()
                ledger = ledger.with_entry(self._store.adds(batch_id, space))
                self._store.run.progress("summing", k + 1, len(since))
        self._memory.hold(self._name("ledger", space.id, known=True), ledger, UNSAVED_ROWS if since else 0)
        return ledger

    def entry(self, space: Space) -> FeatureRows:
        if not self._new:
            return FeatureRows.none(space.width)
        name = self._remembered.name("entry", space.id, learned=self._new)
        memory = self._memory if self._lasting else self._own

        def make() -> FeatureRows:
            self._store.prepare(self._new, space)
            return FeatureRows.concat([self._store.entry(b, space) for b in self._new])

        rows = memory.recall(name, make)
        self._store.enter(self._new, space)
        return rows

    def grown(self, space: Space) -> Ledger:
        if not self._new:
            return self.ledger(space)
        name = self._name("ledger", space.id, known=False)
        ledger = self._memory.recall(name, lambda: self._grow(space))
        self._enter(space, known=False)
        return ledger

    def _grow(self, space: Space) -> Ledger:
        ledger = self.ledger(space).with_entry(self._own_sums(space))
        for batch in self._merged.intersection(self._new):
            merged = self._store.adds(batch, space)
            if isinstance(merged, SummedEntry) and not ledger.has_room_for(merged):
                raise MethodRefused(
                    f"Merged, the sums of {ledger.rows + merged.rows:,} rows pass 2^53, the largest that a ledger "
                    "holds exactly. Merge fewer ledgers; or start anew, here and where they come from, with models "
                    "whose input declares a wider scale, the same for all: its coarser grid holds more rows."
                )
            ledger = ledger.with_entry(merged)
        return ledger

    def _own_sums(self, space: Space) -> FeatureRows | SummedEntry:
        """What the update's own rows add to a ledger."""
        here = [batch for batch in self._new if batch not in self._merged]
        if self._store.spreads(here):
            return self._store.total(here, space)
        entry = self.entry(space)
        if entry.numeric and self._lasting and len(here) == 1:
            return self._store.hold_sums(here[0], space, entry)
        return entry

    def weighted_batches(self, weights: BatchWeights, own: bool = True) -> Weighted:
        return self._weighted.weighted_batches(weights, own)

    def weighted(self, space: Space, weights: BatchWeights, own: bool = True, selecting: bool = True) -> Ledger:
        batches = self.weighted_batches(weights, own)
        self._store.prepare([batch for batch, _ in batches], space)
        grown = self.grown(space)  # first, since it holds the sums of the update's own batch
        sums = self._weighted.sums(space, weights.decay, batches, keep=own)
        return with_bounded_rows(sums, grown, weights.decay, batches if selecting else (), self._weighted.entry(space))

    def tested(
        self, space: Space, weights: Sequence[BatchWeights], last: int, key: str, score: Score
    ) -> list[list[list[float]]]:
        batches = self.weighted_batches(min(weights, key=lambda one: one.decay))
        self._store.prepare([batch for batch, _ in batches], space)
        tests = TestedBatches(self._store, space, batches, last)
        return [*tests.scores([one.decay for one in weights], key, score).values()]

    def recent_exam(self, batches: int) -> Rows:
        last, empty = self._known[-batches:], Rows.empty(self.input.shape)

        def read() -> Rows:
            stored = self._store.facts(last).rows
            kept = [self._store.batch(b) for b in last if b in stored]
            return bounded(Rows.concat([rows.take(rows.judging) for rows in kept])) if kept else empty

        rows = self._memory.recall(self._remembered.name("recent exam", "", learned=last), read)
        return rows if len(rows) else empty

    def recent_features(self, batches: int, space: Space) -> FeatureRows:
        last = self._known[-batches:]

        def read() -> FeatureRows:
            entries = [self._store.entry(b, space) for b in last]
            return bounded(FeatureRows.concat([FeatureRows.none(space.width), *(e.take(e.judging) for e in entries)]))

        return self._memory.recall(self._remembered.name("recent exam", space.id, learned=last), read)

    def trusted(self, space: Space) -> dict[str, Trusted]:
        """Numbers of the rows of new batches that judge and select in the grown ledger."""
        grown = self.grown(space)
        exam, selected = _numbers(grown.exam, self._new), _numbers(grown.selected, self._new)
        return {b: Trusted(exam=exam[b], selected=selected[b]) for b in self._new}

    def remember(self, space: Space) -> dict[str, Rows | Ledger]:
        """Holds ledger and exam of `space` for the version that learned everything; -> those that the cache should keep
        now, by name: it lacks too many of their rows.

        Where rows are deleted once they are learned, only the ledger is remembered."""
        ledger = replace(self.grown(space))  # without the sums that it has worked out: they are as large again
        keep: dict[str, Rows | Ledger] = {}
        self._hold(ledger, keep, "ledger", space.id)
        if self._lasting:
            fresh = self.batch.take(self.batch.judging)
            exam = bounded(Rows.concat([self.exam, fresh]) if len(self.exam) else fresh).of_present_batches()
            self._hold(exam, keep, "exam")
        for name, sums in self._weighted.made.items():
            held = replace(sums)
            self._memory.hold(name, held)
            if name in self._weighted.due:
                keep[name] = held
        return keep

    def _hold(self, thing: Rows | Ledger, keep: dict[str, Rows | Ledger], *words: str) -> None:
        """Holds a thing in memory, and in `keep` where the cache lacks too many rows of it."""
        name, before = (self._name(*words, known=known) for known in (False, True))
        rows = np.bincount(self.batch.batch, minlength=len(self._new))
        unsaved = self._memory.unsaved(before) + int(np.maximum(rows, UNSAVED_LEAST).sum())
        if unsaved >= UNSAVED_ROWS:
            keep[name], unsaved = thing, 0
        self._memory.hold(name, thing, unsaved)


def base_and_data(
    written: str, version: Stored, known: Sequence[str], new: Sequence[str], ledgers: Mapping[str, str]
) -> tuple[Checkpoint, StoredData]:
    """A version and the data of an update, read in another process. written: the assignment · ledgers: digests of sums
    by name, so that no batch of the history is read for them. Nothing of it stays in this process."""
    assignment, memory = ASSIGNMENT.as_stored(json.loads(written)), Memory()
    store, area = opened(assignment.places.store), assignment.places.area
    for name, digest in ledgers.items():
        memory.hold(name, Ledger.unpack(store.get(area, digest)))
    with TemporaryDirectory() as folder:
        nothing = Cache(Path(folder), 0)
    return load(version, store), StoredData(ModelStore(store, nothing, assignment, memory, UNWATCHED), known, new)


def _numbers(rows: Rows, batches: Sequence[str]) -> dict[str, list[int]]:
    """Batch -> numbers of the rows of it that are here."""
    places = {batch: k for k, batch in enumerate(rows.batches)}
    return {batch: sorted(rows.row[rows.batch == places.get(batch, -1)].tolist()) for batch in batches}
