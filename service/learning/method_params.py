"""Parameters that methods share, and what they refuse by layouts and targets alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import nn

from service.contract.inputs import CnnBackbone, IdentityBackbone, MlpBackbone, PretrainedBackbone
from service.contract.strict import Strict
from service.contract.targets import Target
from service.contract.targets.class_target import ClassTarget
from service.contract.targets.kind import TargetKind
from service.contract.targets.number_target import NumberTarget
from service.learning.backbones import family, skeleton
from service.learning.backbones.block_names import own_kind, unknown_names
from service.learning.update_data import Setting

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
