"""What a method is given: the data of an update, and what is known of it before it is queued."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from service.contract.inputs import Architecture, Backbone, InputSpec
from service.contract.reports.facts import NewValues
from service.contract.targets import Target
from service.contract.targets.class_target import ClassTarget
from service.learning.data.learned_values import LearnedValues
from service.learning.data.rows import Array, FeatureRows, Rows
from service.learning.ledger.batch_weights import BatchWeights, Weighted
from service.learning.ledger.feature_space import Space
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums
from service.learning.network.checkpoint import Checkpoint, Layout, Tensors


class Data(Protocol):
    """The data of an update. Cheap things are properties; what reads the history is a method."""

    @property
    def input(self) -> InputSpec: ...

    @property
    def target(self) -> Target:
        """What the model predicts."""

    @property
    def architecture(self) -> Architecture:
        """The architecture of the model's first version."""

    @property
    def batch(self) -> Rows:
        """The update's own labelled rows, raw inputs."""

    @property
    def unlabelled(self) -> Array:
        """Raw inputs of the update's rows without a label. [u, ...]"""

    @property
    def known_rows(self) -> int:
        """Rows of base.learned."""

    @property
    def kept_rows(self) -> int:
        """Rows of base.learned whose raw inputs are still stored."""

    @property
    def merged(self) -> bool:
        """Whether rows of base.learned or the update are known by sums alone that came from elsewhere: none selects."""

    @property
    def known_batches(self) -> tuple[str, ...]:
        """Batches of base.learned."""

    @property
    def everything(self) -> frozenset[str]:
        """Batches of base.learned and of the update's own rows: there may be many, so one set serves for all parts."""

    def unknown_sources(self, names: Collection[str]) -> set[str]:
        """Which of these sources have no batch in base.learned."""

    def values(self, base: Checkpoint | None) -> LearnedValues | None:
        """Values of categories that a version of base.learned and the update knows, None where inputs are no tables.
        base: what the update is learned on, which knows those of base.learned"""

    def new_values(self, base: Checkpoint | None) -> NewValues:
        """Values of the update's own rows that the base has not learned, and learned ones that look like them; none for
        a first version."""

    @property
    def exam(self) -> Rows:
        """Trusted rows: judging rows of base.learned, bounded a class and source; raw inputs."""

    def pretrained(self) -> Tensors:
        """Weights of the model's pretrained backbone for a first version. Raises MethodRefused."""

    def kept(self) -> Rows:
        """All rows of base.learned, raw inputs, ordered by batch id and row. Reads the history."""

    def shared(self, space: Space, rows: Rows) -> AbstractContextManager[Callable[[], tuple[Space, Rows]]]:
        """Reads this space and these rows in another process, while the context lasts. It raises CorruptArtifact where
        an erasure has swept them."""

    def elsewhere(self, base: Checkpoint) -> AbstractContextManager[Callable[[], tuple[Checkpoint, Data]] | None]:
        """Reads this base and this data in another process, while the context lasts; None: they are here alone. It
        raises CorruptArtifact where an erasure has swept them."""

    def ledger(self, space: Space) -> Ledger:
        """Sums of base.learned in that space; rebuilt from kept rows where no entry is stored."""

    def entry(self, space: Space) -> FeatureRows:
        """The update's own rows with rounded features, computed once a space."""

    def grown(self, space: Space) -> Ledger:
        """The ledger with the entry, for a version that learns everything. Computed once a space."""

    def weighted_batches(self, weights: BatchWeights, own: bool = True) -> Weighted:
        """Every batch of base and update by id, with its weight; without `own` the update's weigh nothing."""

    def weighted(self, space: Space, weights: BatchWeights, own: bool = True, selecting: bool = True) -> Ledger:
        """`grown` with each batch weighted by age and source; its selecting rows are those that still count, none where
        they are not asked for: entries are read for them. Without `own` the update's batch weighs nothing."""

    def tested(
        self,
        space: Space,
        weights: Sequence[BatchWeights],
        last: int,
        key: str,
        score: Callable[[Sums, FeatureRows], list[float]],
    ) -> list[list[list[float]]]:
        """Scores of each of the last batches by the sums of those before it, for each of the weights, which differ in
        their decay alone, one below 1; remembered under `key`. Batches that weigh nothing are left out; [] where there
        are no rows to learn or to score."""

    def recent_exam(self, batches: int) -> Rows:
        """Trusted rows of the last batches of base.learned, bounded; raw inputs."""

    def recent_features(self, batches: int, space: Space) -> FeatureRows:
        """Trusted rows of the last batches of base.learned, bounded; rounded features."""


@dataclass(frozen=True)
class Setting:
    """What is known of an update before it is queued. `live`: layout of the live version · `keeps`: rows stay stored ·
    `known`: rows it learned, `kept`: of these still stored · `brings`: classes of the update's rows, None: not read."""

    input: InputSpec
    architecture: Architecture
    live: Layout | None = None
    keeps: bool = True
    known: int = 0
    kept: int = 0
    brings: frozenset[str] | None = None
    target: Target = field(default_factory=ClassTarget)

    @classmethod
    def of(cls, base: Checkpoint | None, data: Data) -> Setting:
        live, brings = base.layout if base is not None else None, frozenset(data.batch.counts())
        known, kept = data.known_rows, data.kept_rows
        return cls(data.input, data.architecture, live, True, known, kept, brings, data.target)

    @property
    def lost(self) -> int:
        """Rows that the live version learned and that are deleted."""
        return self.known - self.kept

    @property
    def backbone(self) -> Backbone:
        """The backbone of the live version, else of the model."""
        return self.live.backbone if self.live is not None else self.architecture.backbone

    def without_lift(self) -> str:
        """The remedy where the head of the live version stands on lifts beside a pretrained backbone's features."""
        if self.keeps and not self.lost:
            return 'Learn once with ridge {"lift": "none"} first, or stay with ridge.'
        return "Stay with ridge: learned rows were deleted, or will be, so its head cannot come off them."

    def train_first(self, name: str) -> str:
        """The remedy where the live version is an exact head and the model's own backbone was never trained."""
        if self.keeps:
            return f"Learn once with retrain, then {name} can go on from it."
        return (
            "retrain could train it, but this model keeps no rows (retention none): stay with ridge or lda, or set "
            '"retention": "exemplars", send rows and learn them with retrain.'
        )
