"""learning.update_data.Data in memory: what the worker reads from its store, for tests that call methods in process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np

from service.contract.inputs import Architecture, InputSpec
from service.contract.reports.facts import NewValues
from service.contract.tables import TableInput
from service.contract.targets import Target
from service.contract.targets.class_target import ClassTarget
from service.learning.backbones import starting_weights
from service.learning.backbones.extractor import SharedWeights
from service.learning.data.learned_values import LearnedValues
from service.learning.data.rows import Array, FeatureRows, Rows, bounded
from service.learning.ledger.batch_weights import BatchWeights, Weighted, add_up, with_bounded_rows
from service.learning.ledger.feature_space import Space, feature_rows
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums
from service.learning.method import Learned, Method
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from tests.answering import values_of
from tests.updating import make_rows

SECRET = b"a secret of tests"


class MemoryData:
    """`base_rows`: the batches of base.learned; `batch`: the update's own rows; `files`: weights by backbone."""

    files: Mapping[str, str] = {}
    merged = False

    def __init__(
        self,
        input: InputSpec,
        architecture: Architecture,
        base_rows: Sequence[Rows],
        batch: Rows,
        unlabelled: Array | None = None,
        target: Target | None = None,
    ) -> None:
        self.target: Target = target or ClassTarget()
        self.input, self.architecture, self.batch = input, architecture, batch
        self.unlabelled = Rows.empty(input.shape).inputs if unlabelled is None else unlabelled
        self.base_rows = sorted(base_rows, key=lambda rows: rows.batches)
        self._grown: dict[tuple[str, tuple[str, ...], Rows], Ledger] = {}
        """By space, batches, and the rows of the update: added up once, as the worker does."""

    @property
    def known_rows(self) -> int:
        return sum(map(len, self.base_rows))

    @cached_property
    def kept_rows(self) -> int:
        return self.known_rows

    @property
    def known_batches(self) -> tuple[str, ...]:
        return tuple(batch for rows in self.base_rows for batch in rows.batches)

    @property
    def everything(self) -> frozenset[str]:
        return frozenset((*self.known_batches, *self.batch.batches))

    def unknown_sources(self, names: Collection[str]) -> set[str]:
        return set(names) - {source for rows in self.base_rows for source in rows.sources if source}

    def values(self, base: Checkpoint | None) -> LearnedValues | None:
        if not isinstance(self.input, TableInput):
            return None
        return values_of(self.input, np.concatenate([self.kept().inputs, self.batch.inputs]))

    def new_values(self, base: Checkpoint | None) -> NewValues:
        """None: rows in memory do not say the names of their values."""
        return {}

    @cached_property
    def exam(self) -> Rows:
        kept = self.kept()
        return bounded(kept.take(kept.judging))

    def pretrained(self) -> SharedWeights:
        return starting_weights(self.architecture.backbone, self.files)

    def kept(self) -> Rows:
        return Rows.concat([Rows.empty(self.input.shape), *self.base_rows])

    def shared(self, space: Space, rows: Rows) -> AbstractContextManager[Callable[[], tuple[Space, Rows]]]:
        return nullcontext(lambda: (space, rows))

    def elsewhere(self, base: Checkpoint) -> AbstractContextManager[None]:
        return nullcontext()

    def ledger(self, space: Space) -> Ledger:
        return summed(self.base_rows, space)

    def entry(self, space: Space) -> FeatureRows:
        return in_space(self.batch, space)

    def grown(self, space: Space) -> Ledger:
        key = space.id, self.known_batches, self.batch
        if key not in self._grown:
            self._grown[key] = self.ledger(space).with_entry(self.entry(space))
        return self._grown[key]

    def weighted_batches(self, weights: BatchWeights, own: bool = True) -> Weighted:
        source = {rows.batches[0]: rows.sources[0] for rows in [*self.base_rows, self.batch] if len(rows)}
        batches = [*(b for rows in self.base_rows for b in rows.batches), *self.batch.batches]
        return weights.weighted(batches, lambda batch: source.get(batch, ""), () if own else self.batch.batches)

    def weighted(self, space: Space, weights: BatchWeights, own: bool = True, selecting: bool = True) -> Ledger:
        decay, batches, entry = weights.decay, self.weighted_batches(weights, own), self._entries(space)
        sums = add_up(Ledger.empty(space), decay, batches, entry)
        return with_bounded_rows(sums, self.grown(space), decay, batches if selecting else (), entry)

    def tested(
        self,
        space: Space,
        weights: Sequence[BatchWeights],
        last: int,
        key: str,
        score: Callable[[Sums, FeatureRows], list[float]],
    ) -> list[list[list[float]]]:
        batches, entry = self.weighted_batches(min(weights, key=lambda one: one.decay)), self._entries(space)
        tests = [k for k, (_, weight) in enumerate(batches) if weight and k][-last:]
        scores: list[list[list[float]]] = []
        for one in weights:
            scores.append([])
            for k in tests:
                sums = add_up(Ledger.empty(space), one.decay, batches[:k], entry).all
                scores[-1].append(score(sums, entry(batches[k][0])) if sums.mass > 0 else [])
        return scores

    def recent_exam(self, batches: int) -> Rows:
        last = [rows.take(rows.judging) for rows in self.base_rows[-batches:]]
        return bounded(Rows.concat([Rows.empty(self.input.shape), *last]))

    def recent_features(self, batches: int, space: Space) -> FeatureRows:
        last = [in_space(rows.take(rows.judging), space) for rows in self.base_rows[-batches:]]
        return bounded(FeatureRows.concat([FeatureRows.none(space.width), *last]))

    def _entries(self, space: Space) -> Callable[[str], FeatureRows]:
        rows = {r.batches[0]: r for r in [*self.base_rows, self.batch] if len(r)}
        return lambda batch: in_space(rows[batch], space)


def typed(spec: InputSpec, inputs: Array) -> Array:
    """Numbers as float32, as the door stores most of them; rows of tables, bytes and texts as they are."""
    given = np.asarray(inputs)
    return given if given.dtype in (np.uint8, object) or spec.kind == "table" else given.astype(np.float32)


_ENTRIES: WeakKeyDictionary[Rows, dict[str, FeatureRows]] = WeakKeyDictionary()


def in_space(rows: Rows, space: Space) -> FeatureRows:
    """The rows with rounded features; computed once a space, as the store does."""
    entries = _ENTRIES.setdefault(rows, {})
    if space.id not in entries:
        entries[space.id] = feature_rows(space, rows)
    return entries[space.id]


_LEDGERS: WeakKeyDictionary[Rows, dict[str, tuple[list[Rows], Ledger]]] = WeakKeyDictionary()
"""First batch -> by space the batches behind it, and the ledger of all of them."""


def summed(batches: Sequence[Rows], space: Space) -> Ledger:
    """The ledger of the batches; goes on from the last one that was asked for, where that is a part of it."""
    if not batches:
        return Ledger.empty(space)
    first, *others = batches
    ledgers = _LEDGERS.setdefault(first, {})
    behind, ledger = ledgers.get(space.id) or ([], Ledger.empty(space).with_entry(in_space(first, space)))
    if len(behind) > len(others) or any(a is not b for a, b in zip(behind, others, strict=False)):
        behind, ledger = [], Ledger.empty(space).with_entry(in_space(first, space))
    for rows in others[len(behind) :]:
        ledger = ledger.with_entry(in_space(rows, space))
    ledgers[space.id] = others, ledger
    return ledger


class Stream:
    """A model in process: batches come one after another, each is learned by a method on what stood before.

    `files`: weights of pretrained backbones that do not come as packages, by name.
    """

    def __init__(
        self, input: InputSpec, architecture: Architecture | None = None, files: Mapping[str, str] | None = None
    ) -> None:
        self.input, self.architecture, self.files = input, architecture or Architecture(), files or {}
        self.history: list[Rows] = []
        self.checkpoint: Checkpoint | None = None

    def fork(self) -> Stream:
        """Another stream that goes on from here: methods change neither checkpoints nor rows."""
        made = Stream(self.input, self.architecture, self.files)
        made.history, made.checkpoint = list(self.history), self.checkpoint
        return made

    def rows(self, inputs: Array, labels: Sequence[str]) -> Rows:
        """A batch as the door would store it."""
        learning: dict[str, int] = {}
        for old in self.history:
            for name, n in old.take(old.learning).counts().items():
                learning[name] = learning.get(name, 0) + n
        name = f"bat_{len(self.history):03d}"
        return make_rows(
            name, typed(self.input, inputs), [str(label) for label in labels], SECRET, learning_rows=learning
        )

    def data(self, inputs: Array, labels: Sequence[str]) -> MemoryData:
        """What a method would be given for this batch now."""
        data = MemoryData(self.input, self.architecture, self.history, self.rows(inputs, labels))
        data.files = self.files
        return data

    def learn(
        self, method: Method, inputs: Array, labels: Sequence[str], run: Run | None = None, **params: object
    ) -> Learned:
        """Learn a batch for good."""
        data = self.data(inputs, labels)
        learned = method.update(self.checkpoint, data, method.Params.model_validate(params), run or Run())
        self.history.append(data.batch)
        self.checkpoint = learned.checkpoint
        return learned
