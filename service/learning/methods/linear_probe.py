"""A linear probe: the trunk stands still, a head is trained on its features by gradient.

Pseudo-features stand in for rows of the classes that were known, drawn from what the exact ledger knows of each class
(its mean, and the spread within classes). So new classes are learned without a stored row and the old ones stay.

With `unfreeze` the last blocks of the trunk train too, at a tenth of the head's rate; that moves the feature space.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import Field, model_validator

from service.contract.enums import Family
from service.contract.inputs import IdentityBackbone, PretrainedBackbone
from service.errors import MethodRefused
from service.learning.backbones.extractor import Blocks, Extractor
from service.learning.checkpoint import Checkpoint
from service.learning.convolutions import Convolutions
from service.learning.growth import neck_widths
from service.learning.learner import Learner
from service.learning.method import Data, GradientParams, Learned, Method, Run, Setting
from service.learning.training import Labelled

SLOWER = 0.1
"""The rate of unfrozen blocks, of the head's."""
NO_BLOCKS = (
    "This version has no backbone whose blocks could train: its head stands on the scaled input or on random lifts. "
    "Leave unfreeze out, learn with ridge, or with retrain on an mlp or cnn."
)


class Params(GradientParams):
    """What every gradient method takes; with another rate and more passes, since the trunk is passed only once."""

    epochs: int = Field(30, ge=1, le=1000, description="Passes over the features.")
    pseudo_features: bool = Field(True, description="Stand-ins for rows of the classes that were known.")
    hidden: list[Annotated[int, Field(ge=1, le=4096)]] = Field(
        default=[], max_length=3, description="Hidden layers of a new head; [] keeps the head that there is."
    )

    unfreeze: int = Field(
        0, ge=0, le=64, description="Last blocks of the backbone that train too: layers, stages, or its own blocks."
    )

    @model_validator(mode="after")
    def _new_head_needs_old_classes(self) -> Params:
        if self.hidden and not self.pseudo_features:
            raise ValueError(
                "a new head starts from nothing, so it needs pseudo_features of the classes that were known"
            )
        return self


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Cross-entropy of the head on the batch's features and pseudo-features of known classes; early stop on fold 2.

    Raises MethodRefused where there is no block to unfreeze.
    """
    learner = Learner.start(base, data, run, freeze=not params.unfreeze, thaw=bool(params.unfreeze))
    begun = base is not None or learner.view.thawed
    opened = last_blocks(learner, params.unfreeze) if params.unfreeze and begun else []
    if params.hidden and params.hidden != neck_widths(learner.network):
        learner.renew_head(params.hidden)
    rows, drawn = learner.batch, 0
    if params.pseudo_features:
        pseudo = learner.stand_ins(rows)
        rows, drawn = rows + pseudo, pseudo.rows
    slower = _open(learner, opened)
    done = learner.fit(params, rows, selecting=_selecting(learner), after_backward=slower)
    told = {"unfrozen": [name for name, _ in opened]} if opened else {}
    return learner.finish({"pseudo_features": drawn, "epochs": done.epochs, **told})


def last_blocks(learner: Learner, count: int) -> Blocks:
    """The last blocks of the trunk, with their names. Raises MethodRefused where there is none."""
    backbone = learner.network.backbone
    if not learner.moves:
        raise MethodRefused.at("/method/unfreeze", NO_BLOCKS)
    if isinstance(backbone, Extractor):
        # a norm behind the last block is no block: it comes along
        blocks = backbone.blocks()
        whole = [k for k, (_, block) in enumerate(blocks) if any(p.ndim > 1 for p in block.parameters())]
        return blocks[whole[-count] if count <= len(whole) else 0 :]
    kind = "stage" if isinstance(backbone, Convolutions) else "layer"
    layers = learner.network.hidden_layers()
    own: Blocks = [(f"{kind} {k + 1}", layer) for k, layer in enumerate(layers)]
    return own[: len(layers) - len(learner.network.neck.layers)][-count:]


def _open(learner: Learner, opened: Blocks) -> Callable[[], None] | None:
    """Let these blocks and the head train, nothing else. -> what makes their steps a tenth as long, or null."""
    if not opened:
        return None
    modules = [block for _, block in opened]
    if isinstance(learner.network.backbone, Extractor):
        learner.network.backbone.thaw(modules)
    learner.train_only([*modules, learner.network.neck, learner.network.head])
    slow = [p for block in modules for p in block.parameters()]

    def shorten() -> None:
        # with SGD a gradient times 0.1 is a rate times 0.1, momentum and all
        for p in slow:
            if p.grad is not None:
                p.grad.mul_(SLOWER)

    return shorten


def _selecting(learner: Learner) -> Labelled | None:
    """Selecting rows of history and batch, where each class of the batch has some; else nothing tells when to stop."""
    own = learner.selecting
    if set(learner.batch.y.tolist()) - set(own.y.tolist()):
        return None
    return own + learner.view.selected


def unfit(setting: Setting, params: Params) -> tuple[str, str] | None:
    """Where there is no block to unfreeze."""
    live = setting.live
    if not params.unfreeze or live is None or not (live.lifts or isinstance(live.backbone, IdentityBackbone)):
        return None
    if live.lifts and isinstance(live.backbone, PretrainedBackbone):
        on_lifts = "unfreeze moves the backbone, and this version's head stands on random lifts beside its features. "
        return "unfreeze", f"{on_lifts}{setting.without_lift()}"
    return "unfreeze", NO_BLOCKS


METHOD = Method(
    name="linear_probe",
    family=Family.FREEZE,
    summary="Trains a head on frozen features; pseudo-features stand in for the classes that the batch lacks.",
    paper="Zhu, Zhang, Wang, Yin, Liu: Prototype augmentation and self-supervision for incremental learning, 2021",
    Params=Params,
    update=update,
    needs=frozenset({"ledger"}),
    good_when="The features are good, and a head that an exact method cannot give is wanted (hidden layers).",
    limits="What the features do not show cannot be learned (regret tells). Classes are taken "
    "for one Gaussian each (masked accuracy tells). Unfrozen blocks move old scores too, and the ledger is built anew.",
    unfit=unfit,
)
