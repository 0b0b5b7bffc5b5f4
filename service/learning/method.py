"""A method is a function from a checkpoint and data to a new checkpoint, with what it declares about itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from service.contract.enums import Family
from service.contract.inputs import Backbone, IdentityBackbone, PretrainedBackbone
from service.contract.strict import Strict
from service.contract.targets import KINDS, Target
from service.contract.targets.kind import TargetKind
from service.errors import MethodRefused
from service.learning.method_params import GradientParams, MethodParams, TrunkParams
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.update_data import Data, Setting


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


Moves = Literal["head", "backbone", "pretrained", "added"]
"""Weights that a method may move: of the head; of a backbone that is trained here; of a pretrained one, with unfreeze;
those that it adds beside."""


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
