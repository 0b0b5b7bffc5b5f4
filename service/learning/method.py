"""A method is a function from a checkpoint and data to a new checkpoint, with what it declares about itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from service.contract.enums import Family
from service.contract.inputs import (
    Architecture,
    Backbone,
    CnnBackbone,
    IdentityBackbone,
    InputSpec,
    MlpBackbone,
    PretrainedBackbone,
)
from service.contract.report import NewValues
from service.contract.strict import Strict
from service.contract.targets import KINDS, Target
from service.contract.targets.class_target import ClassTarget
from service.contract.targets.kind import TargetKind
from service.contract.targets.number_target import NumberTarget
from service.errors import MethodRefused
from service.learning.backbones import family, skeleton
from service.learning.backbones.block_names import own_kind, unknown_names
from service.learning.data.learned_values import LearnedValues
from service.learning.data.rows import Array, FeatureRows, Rows
from service.learning.ledger.batch_weights import BatchWeights, Weighted
from service.learning.ledger.feature_space import Space
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums
from service.learning.network.checkpoint import Checkpoint, Layout, Tensors
from service.learning.run import Run


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


@dataclass(frozen=True, eq=False)
class Learned:
    """The result of a method.

    `out_of_fold`: logits [n, C] for rows of data.batch by heads that never saw them, NaN where there is none; float32
    where they are many (`matrices`). None: the served head never saw the judging and selecting rows, so it may answer
    for those. `stuck`: the loss did not fall. `without`: what the same settings make of all rows but the update's: of
    numbers and tables, where strength, decay or lift are not the base's, and of an exact head that takes over from a
    net. What they change is no doing of the batch.
    """

    checkpoint: Checkpoint
    out_of_fold: NDArray[np.float64] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    multiply_adds: int = 0
    stuck: bool = False
    without: Checkpoint | None = None


Balance = Literal["none", "align", "correct", "adjust", "auto"]
Schedule = Literal["cosine", "constant"]
SCHEDULE = "How the rate goes on: constant keeps it; cosine keeps it for half of the steps, then lowers it to nearly 0."
OfOneKind = Mapping[str, tuple[type[TargetKind], str]]
"""Parameters that mean something for one kind of target: which, and what is said where others are learned."""
NO_LOSS = "loss is of models whose targets are numbers; classes are learned by their cross-entropy. Leave loss out."
NO_STABLE_SCORES = (
    "stable_scores means nothing here: it keeps the scores of old classes where classes are new, and the targets of "
    "this model are numbers. Leave it out."
)
NO_BALANCE = "balance levels new classes and old ones, and the targets of this model are numbers. Leave balance out."


class MethodParams(Strict):
    """Parameters of a method."""

    of_one_kind: ClassVar[OfOneKind] = {}

    def misfit(self, target: Target) -> tuple[str, str] | None:
        """The name of a parameter that such targets do not have, and a sentence with the remedy; None where all fit."""
        for name, (kind, sentence) in self.of_one_kind.items():
            value = getattr(self, name)
            if not isinstance(target, kind) and value is not False and value != type(self).model_fields[name].default:
                return name, sentence
        return None

    def unfit(self, setting: Setting) -> tuple[str, str] | None:
        """The field of the request and a sentence with the remedy, where targets, layouts and parameters show that the
        method cannot work; else None."""
        return self.misfit(setting.target)


class GradientParams(MethodParams):
    """Parameters of every gradient method."""

    of_one_kind: ClassVar[OfOneKind] = {"loss": (NumberTarget, NO_LOSS), "balance": (ClassTarget, NO_BALANCE)}

    epochs: int = Field(10, ge=1, le=1000, description="Passes over the learning rows.")
    batch_size: int = Field(64, ge=1, le=8192, description="Rows a step.")
    lr: float = Field(0.03, gt=0, le=10, description="Learning rate of SGD with momentum 0.9.")
    schedule: Schedule = Field("constant", description=SCHEDULE)
    balance: Balance = Field(
        "none",
        description="After training, against new classes that are answered too often: align their weights to the old "
        "ones' norms; correct their scores on rows kept back; adjust every score by its class's share of the rows; "
        "auto aligns or corrects where rows kept back show that it helps.",
    )
    loss: Literal["huber", "squared"] | None = Field(
        None,
        description="Where targets are numbers: the loss, huber unless named. A squared loss follows targets that are "
        "far off. null: the cross-entropy of classes.",
    )


LayerName = Annotated[str, Field(min_length=1, max_length=200)]
UnfrozenBlocks = (
    Literal["all"] | Annotated[int, Field(ge=0, le=64)] | Annotated[list[LayerName], Field(min_length=1, max_length=64)]
)
Unfreeze = Literal["all"] | int | list[LayerName] | None
UNFREEZING_COSTS = (
    " In a pretrained backbone each row then passes it forward and back in every epoch, instead of once: a few dozen "
    "images may take most of a minute."
)
"""Said of `unfreeze` in its description."""
NO_BLOCKS = (
    "This version has no backbone whose blocks could train: its head stands on the scaled input or on random lifts. "
    "Leave unfreeze out, learn with ridge, or with retrain on an mlp or cnn."
)
STANDS_STILL = (
    "The backbone is a program of torch.export, which stands still. Leave unfreeze out: the head trains alone."
)


class TrunkParams(GradientParams):
    """Parameters of every gradient method that can train the backbone."""

    unfreeze: UnfrozenBlocks | None = Field(
        None,
        description="What of the backbone trains, at a tenth of the head's rate: its last blocks, so many; all of "
        "them; or layers by name; 0: the head alone. Left out: all of a backbone that was trained here, at the full "
        f"rate, and nothing of a pretrained one.{UNFREEZING_COSTS}",
    )

    def unfit(self, setting: Setting) -> tuple[str, str] | None:
        """Refuses, too, to unfreeze blocks that the live version's layout does not have."""
        backbone, lifted = setting.backbone, setting.live is not None and bool(setting.live.lifts)
        if (refusal := super().unfit(setting)) or not self.unfreeze:
            return refusal
        if lifted and isinstance(backbone, PretrainedBackbone):
            on_lifts = (
                "unfreeze moves the backbone, and this version's head stands on random lifts beside its features. "
            )
            return "unfreeze", f"{on_lifts}{setting.without_lift()}"
        if lifted or isinstance(backbone, IdentityBackbone):
            return "unfreeze", NO_BLOCKS
        if isinstance(backbone, PretrainedBackbone) and not family(backbone.name).trains:
            return "unfreeze", STANDS_STILL
        unknown = _unknown_blocks(backbone, self.unfreeze) if isinstance(self.unfreeze, list) else None
        return None if unknown is None else ("unfreeze", unknown)


MEMORY = "Kept rows that are learned again, shared by the classes. A step takes as many as new rows: more cost little."


class RehearsalParams(TrunkParams):
    """Parameters of methods that learn kept rows again, beside which a higher rate is stable."""

    lr: float = Field(0.06, gt=0, le=10, description="Learning rate of SGD with momentum 0.9.")
    memory_rows: int = Field(5000, ge=1, le=100_000, description=MEMORY)


def _unknown_blocks(backbone: MlpBackbone | CnnBackbone | PretrainedBackbone, names: list[str]) -> str | None:
    if isinstance(backbone, PretrainedBackbone):
        extractor = skeleton(backbone.name, backbone.side)
        return unknown_names(extractor.blocks(), extractor.body, names)
    sizes = backbone.hidden if isinstance(backbone, MlpBackbone) else backbone.channels
    return unknown_names([(f"{own_kind(backbone)} {k + 1}", nn.Identity()) for k in range(len(sizes))], None, names)


Moves = Literal["head", "backbone", "pretrained", "added"]
"""Weights that a method may move: of the head; of a backbone that is trained here; of a pretrained one, with unfreeze;
those that it adds beside."""


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


Update = Callable[[Checkpoint | None, Data, Any, Run], Learned]


@dataclass(frozen=True)
class Method:
    """One entry of METHODS: the function and its description.

    `needs`: words out of {"base", "kept", "ledger", "dense", "frozen", "path"}: a live version · rows of the history ·
    an exact ledger · hidden dense layers · a feature space that does not move · weights that were trained here.
    `update(base, data, params, run)` leaves its inputs as they are. base None: a model without a version.
    """

    name: str
    family: Family
    summary: str
    paper: str
    Params: type[MethodParams]
    update: Update
    good_when: str
    limits: str
    needs: frozenset[str] = frozenset()
    refuse: Callable[[Checkpoint | None, Data], str | None] | None = None
    """The sentence where weights or rows show that it cannot work, once the update is learned, else None; what layouts
    and parameters show, its `Params` say."""
    unlabelled: bool = False
    """Whether it uses rows without a label, so that an update may bring nothing else."""
    others: Mapping[type[TargetKind], Update] = field(default_factory=dict)
    """Kinds of targets that have an update of their own."""
    lacks: Mapping[type[TargetKind], str] = field(default_factory=dict)
    """Kinds of targets that it does not learn, each with the reason."""
    beside_pretrained: bool = False
    """Whether it adds layers or branches that change the features of a pretrained backbone, too."""

    def learns(self, kind: type[TargetKind]) -> bool:
        return kind not in self.lacks

    def update_of(self, target: Target) -> Update:
        return self.others.get(type(target), self.update)

    @property
    def moves(self) -> tuple[Moves, ...]:
        if issubclass(self.Params, TrunkParams):
            return ("head", "backbone", "pretrained")
        return ("head", "added") if issubclass(self.Params, GradientParams) else ("head",)

    def moves_features(self, params: Strict, backbone: Backbone) -> bool:
        """Whether an update moves the features of a backbone without lifts, and so voids the sums of all rows."""
        if isinstance(backbone, IdentityBackbone) or not isinstance(params, GradientParams):
            return False
        trained_here = not isinstance(backbone, PretrainedBackbone)
        if isinstance(params, TrunkParams):
            return trained_here if params.unfreeze is None else bool(params.unfreeze)
        return trained_here or self.beside_pretrained

    def refusal(self, setting: Setting, params: MethodParams) -> tuple[str, str] | None:
        """The field of the request and a sentence with the remedy, where targets, layouts and parameters show that it
        cannot work; else None."""
        if why := self.lacks.get(type(setting.target)):
            learned = " and ".join(kind.predicts for kind in KINDS.values() if self.learns(kind))
            other = f"{self.name} learns {learned}, and the targets of this model are {setting.target.predicts}"
            return "name", f"{other}: {why}. Use auto, ridge or replay."
        return params.unfit(setting)

    def check(self, base: Checkpoint | None, data: Data, params: MethodParams) -> None:
        """Raises MethodRefused where it cannot work here."""
        if refusal := self.refusal(Setting.of(base, data), params):
            raise MethodRefused.at(f"/method/{refusal[0]}", refusal[1])
        if self.refuse is not None and (reason := self.refuse(base, data)):
            raise MethodRefused(reason)
