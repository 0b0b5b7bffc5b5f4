"""Rows and entries of one model in the store: read, and made where they are missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from operator import add

import numpy as np

from service.errors import CorruptArtifact, MethodRefused, NotWritable
from service.learning.data.rows import Array, FeatureRows, Rows
from service.learning.data.serialization import pack_rows, unpack_batch, unpack_rows
from service.learning.devices import CPU, described
from service.learning.ledger import feature_space
from service.learning.ledger.entry import SummedEntry, unpack_entry
from service.learning.ledger.feature_space import Space
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Reached, Run
from service.storage.artifacts import Artifacts, there
from service.storage.cache import Cache
from service.worker.assignment import Assignment, BatchFacts, Entry, Stored
from service.worker.child.data.remembered import Memory, Remembered
from service.worker.child.data.row_blocks import (
    SPREAD_BLOCKS,
    SPREAD_ROWS,
    StoredSpace,
    block_rows,
    blocks_of,
    features_of,
    space_and_rows,
    sums_of_block,
)
from service.worker.child.load import load

HELD_BYTES = 8 * 2**20
"""What several batches of an update may take as they are stored for their rows to be held until features are made of
them: 8,000 batches of 8 rows of 64 numbers. Those beyond are read again."""


def _name(batch_id: str, space: Space) -> str:
    """Under which a run saves the features of a batch."""
    return f"{batch_id} {space.id}"


def _by_batch(facts: BatchFacts) -> dict[tuple[str, str], str]:
    return {(batch, space): digest for space, entries in facts.entries.items() for batch, digest in entries.items()}


class ModelStore:
    """Rows and entries of one model, as a run reads and makes them.

    entries: (batch, feature space) -> digest · made: the entries that are new · remembered: what memory and cache have
    · history: asks for the facts of all batches, where the assignment is brief.
    """

    def __init__(
        self,
        store: Artifacts,
        cache: Cache,
        assignment: Assignment,
        memory: Memory,
        run: Run,
        history: Callable[[], BatchFacts] | None = None,
    ) -> None:
        self.store, self.assignment, self.run = store, assignment, run
        self.area = assignment.places.area
        self.remembered = Remembered(self.area, memory, cache)
        self._facts: BatchFacts = assignment
        self._history = history if assignment.brief else None
        self.entries = _by_batch(assignment)
        self.made: list[Entry] = []
        self._own: dict[str, Rows] = {}
        self._loaded: list[tuple[Checkpoint, Stored]] = []

    def facts(self, batch_ids: Iterable[str]) -> BatchFacts:
        """What is known of batches, of these at least: what a brief assignment lacks is asked for."""
        if self._history is not None and not self._facts.counts.keys() >= set(batch_ids):
            self._facts, self._history = self._history(), None
            self.entries = _by_batch(self._facts) | self.entries
        return self._facts

    @property
    def _url(self) -> str:
        """That of the store, for other processes."""
        return self.assignment.places.store

    @property
    def device(self) -> str:
        """Where features are made, in words."""
        return described(self.run.device)

    def batch(self, batch_id: str) -> Rows:
        """Rows of a batch that are still kept, raw inputs. At least one must be."""
        if batch_id in self._own:
            return self._own[batch_id]
        return unpack_rows(self.store.get(self.area, self.facts((batch_id,)).rows[batch_id]))

    def own(self, batch_ids: Sequence[str]) -> tuple[Rows, list[Array]]:
        """Rows of batches, at least one, that an update learns, and inputs of those without a label: one read of each
        serves whoever asks for them. What `batch` then holds beside these rows is bounded by HELD_BYTES."""
        read, unlabelled, held = list[Rows](), list[Array](), 0
        for batch_id in batch_ids:
            rows, without, size = self._read(batch_id)
            read.append(rows)
            unlabelled.extend([] if without is None else [without])
            held += size
            if held <= HELD_BYTES:
                self._own[batch_id] = rows
        whole = Rows.concat(read)
        if len(read) == 1:
            self._own[batch_ids[0]] = whole  # the same rows, which the update holds anyway
        return whole, unlabelled

    def _read(self, batch_id: str) -> tuple[Rows, Array | None, int]:
        """Rows of a batch, inputs of those without a label, and its bytes as they are stored."""
        data = self.store.get(self.area, self.facts((batch_id,)).rows[batch_id])
        return *unpack_batch(data), len(data)

    def entry(self, batch_id: str, space: Space) -> FeatureRows:
        """Rounded features of a batch; where rows were deleted, of those that judge and select alone."""
        adds = self.adds(batch_id, space)
        return FeatureRows.concat([adds.exam, adds.selected]) if isinstance(adds, SummedEntry) else adds

    def adds(self, batch_id: str, space: Space) -> FeatureRows | SummedEntry:
        """What a batch adds to a ledger, computed and stored where it has no entry.

        It is of exemplars alone where the others were deleted before this feature space came up. Raises MethodRefused
        where no row is left to compute it from.
        """
        key, rows = (batch_id, space.id), self.facts((batch_id,)).rows
        if key in self.entries:
            return unpack_entry(self.store.get(self.area, self.entries[key]))
        if batch_id not in rows:
            raise MethodRefused(
                f"The rows of batch {batch_id} are not here (they were deleted once they were learned, or it is a "
                "merged ledger), and nothing is known of them in the feature space that this needs. Use auto or ridge "
                "without a lift of another kind, on a version that knows them; or retract the batch and send its rows "
                "anew."
            )
        if (made := self._made_before(batch_id, space)) is not None:
            return made
        name = _name(batch_id, space)
        return self._enter(batch_id, space, feature_space.feature_rows(space, self.batch(batch_id), self.run, name))

    def added(self, batch_id: str, space: Space) -> FeatureRows | SummedEntry:
        """The same for whom sums are enough: those of the last batch are held, see `hold_sums`."""
        name = self.remembered.name("sums", space.id, learned=[batch_id])
        return self.remembered.memory.held(name, SummedEntry) or self.adds(batch_id, space)

    def hold_sums(self, batch_id: str, space: Space, entry: FeatureRows) -> SummedEntry:
        """Sums up an entry for the update that learns it, and for the next one, whose tests go on from it."""
        name = self.remembered.name("sums", space.id, learned=[batch_id])
        return self.remembered.memory.recall(name, lambda: SummedEntry.of(entry))

    def _enter(self, batch_id: str, space: Space, entry: FeatureRows) -> FeatureRows:
        digest = self.entries[batch_id, space.id] = self.store.put(self.area, pack_rows(entry))
        self.made.append(Entry(batch=batch_id, space=space.id, digest=digest, rows=len(entry), device=self.device))
        if self.run.trainings is not None:
            stored = Reached({"entry": digest}, {})
            self.run.trainings.note_features(_name(batch_id, space), lambda: stored, finished=True)
        return entry

    def _made_before(self, batch_id: str, space: Space) -> FeatureRows | None:
        """The entry that an earlier attempt at this update has stored, entered anew; None where there is none."""
        saved = self.run.trainings.features(_name(batch_id, space)) if self.run.trainings is not None else None
        if saved is None or "entry" not in saved.facts:
            return None
        try:
            entry = unpack_entry(self.store.get(self.area, saved.facts["entry"]))
        except CorruptArtifact:
            return None
        return self._enter(batch_id, space, entry) if isinstance(entry, FeatureRows) else None

    def spreads(self, batch_ids: Sequence[str]) -> bool:
        """Whether these batches have so many rows that other processes work on them, if there are any."""
        if not self.run.tasks.has(CPU):
            return False
        counts = self.facts(batch_ids).counts
        return sum(counts[b] for b in batch_ids) >= SPREAD_ROWS

    def prepare(self, batch_ids: Sequence[str], space: Space) -> None:
        """Makes the entries that are missing, block by block on other processes that have such a device, where these
        are many rows."""
        if not self.run.tasks.has(self.run.device):
            return
        facts = self.facts(batch_ids)
        missing = [b for b in batch_ids if (b, space.id) not in self.entries and b in facts.rows]
        missing = [b for b in missing if self._made_before(b, space) is None]
        size = block_rows(space)
        if sum(facts.counts[b] for b in missing) < min(SPREAD_ROWS, SPREAD_BLOCKS * size):
            return
        saved = {b: feature_space.saved_features(self.run, _name(b, space), space.width) for b in missing}
        known = {b: rows[: len(rows) // size * size] for b, rows in saved.items()}
        blocks = {
            b: blocks_of(self._url, self.area, facts.rows[b], facts.counts[b], len(known[b]), size) for b in missing
        }
        every = [block for of_batch in blocks.values() for block in of_batch]
        make = partial(features_of, StoredSpace.of(space, self._url, self.store), self.run.device)
        columns = self.run.tasks.each(make, every, self.run.device)
        done, due = 0, sum(facts.counts[b] - len(known[b]) for b in missing)
        for batch_id, of_batch in blocks.items():
            parts, name = list[Array]([known[batch_id]]), _name(batch_id, space)
            for part in islice(columns, len(of_batch)):
                self.run.check()
                parts.append(part)
                done += len(part)
                self.run.progress("features", done, due)
                feature_space.save_features(self.run, name, partial(np.concatenate, parts))
            self._enter(batch_id, space, self.batch(batch_id).with_features(np.concatenate(parts)))

    def total(self, batch_ids: Sequence[str], space: Space) -> SummedEntry:
        """Adds up what these batches, at least one, add to a ledger: partial sums of blocks of rows, as a tree."""
        self.prepare(batch_ids, space)
        self.enter(batch_ids, space)
        digests = {b: self.entries[b, space.id] for b in batch_ids}
        for digest in digests.values():
            self.store.has(self.area, digest)  # which waits until it is written
        counts = self.facts(batch_ids).counts
        blocks = (blocks_of(self._url, self.area, digest, counts[b]) for b, digest in digests.items())
        every = [block for of_batch in blocks for block in of_batch]
        self.run.progress("summing", 0, 1)
        total: SummedEntry = self.run.tasks.total(sums_of_block, every, add)
        self.run.progress("summing", 1, 1)
        return total

    @contextmanager
    def shared(self, space: Space, rows: Rows) -> Iterator[Callable[[], tuple[Space, Rows]]]:
        """Stores a space and rows for other processes, and deletes the rows at the end; -> what reads them there. Rows
        of an update that is killed are garbage, as no row of the database ever names them."""
        stored = StoredSpace.of(space, self._url, self.store)
        with self.lent([pack_rows(rows, update=self.assignment.update)]) as [digest]:
            yield partial(space_and_rows, stored, self.area, digest)

    @contextmanager
    def lent(self, things: Sequence[bytes]) -> Iterator[list[str]]:
        """Stores things for other processes, and deletes them at the end; -> their digests."""
        digests = [self.store.put(self.area, data) for data in things]
        try:
            for digest in digests:
                self.store.has(self.area, digest)  # which waits until it is written
            yield digests
        finally:
            with suppress(NotWritable):
                for digest in digests:
                    self.store.delete(self.area, digest)

    def load(self, stored: Stored) -> Checkpoint:
        """A version, which `stored` names."""
        checkpoint = load(stored, self.store)
        self._loaded.append((checkpoint, stored))
        return checkpoint

    def stored(self, version: Checkpoint) -> Stored | None:
        """Where another process finds a version; None: it is in this one alone."""
        return next((stored for loaded, stored in self._loaded if loaded is version), None)

    def written(self) -> str:
        """The assignment for another process, with the entries that are stored by now; as JSON."""
        entries: dict[str, dict[str, str]] = {}
        for (batch, space), digest in self.entries.items():
            entries.setdefault(space, {})[batch] = digest
        for entry in self.made:
            self.store.has(self.area, entry.digest)  # which waits until it is written
        return self.assignment.model_copy(update={"entries": entries}).model_dump_json()

    def enter(self, batch_ids: Sequence[str], space: Space) -> None:
        """Makes the entries that are not recorded. Sums that are remembered, or that the cache
        holds, may be those of an update that was never published: its entries were not recorded, and may be deleted.
        """
        self.facts(batch_ids)
        for batch_id in batch_ids:
            if (batch_id, space.id) not in self.entries:
                self.adds(batch_id, space)

    def restore(self, space: Space) -> bool:
        """Makes up for an erasure that swept entries made here, which no row names yet: those of `space` are stored
        again, the others are dropped from `made`. -> whether there were any"""
        here = there(self.store, [(self.area, entry.digest) for entry in self.made])
        swept = [entry for entry, is_here in zip(self.made, here, strict=True) if not is_here]
        for entry in swept:
            self.made.remove(entry)
            del self.entries[entry.batch, entry.space]
        self.enter([entry.batch for entry in swept if entry.space == space.id], space)
        return bool(swept)
