"""Low-rank adaptation: one branch an update beside each layer, y = W0 x + sum over updates t of (alpha / r) B_t A_t x.

The newest branch and the head train; the trunk and earlier branches stand still, to the last bit. B begins at zero, so
an update starts from the base's answers (Hu et al., 2021). The loss is CE + orthogonality x sum over layers and earlier
branches of |A_t A'|^2 (O-LoRA, Wang et al., 2023, eq. 7-8).

What is different here: pseudo-rows stand in for known classes, or remembered rows with a balanced softmax, since the
features move, and the scores of old classes with them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from service.contract.enums import Family
from service.contract.inputs import IdentityBackbone, PretrainedBackbone
from service.errors import MethodRefused
from service.learning.backbones import family
from service.learning.backbones.extractor import Extractor
from service.learning.method import Learned, Method
from service.learning.method_params import GradientParams
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.growth import next_part
from service.learning.network.low_rank import LowRank, attach, fold, grown_beside, new_branch, targets
from service.learning.network.network import Network
from service.learning.run import Run
from service.learning.training.aims.aim import Loss
from service.learning.training.fit import INIT, Hooks
from service.learning.training.learner import Learner
from service.learning.training.training_set import Labelled, Step
from service.learning.update_data import Data, Setting


class Params(GradientParams):
    """What every gradient method takes, the size of a branch and what becomes of it."""

    rank: int = Field(8, ge=1, le=256, description="Rank of a branch, r.")
    alpha: float = Field(8.0, gt=0, le=1024, description="A branch counts alpha / rank.")
    orthogonality: float = Field(
        0.0, ge=0, le=1e4, description="Strength of a penalty on what A shares with those of earlier branches."
    )
    fold: bool = Field(
        False, description="Add the branches to the weights that they stand beside: the trunk changes, nothing grows."
    )
    memory_rows: int = Field(
        0, ge=0, le=100_000, description="Kept rows learned again in every step; 0: stand-ins of known classes."
    )

    def unfit(self, setting: Setting) -> tuple[str, str] | None:
        """Refuses, too, a model without a layer beside which a branch could stand."""
        own = setting.architecture.backbone
        if refusal := super().unfit(setting):
            return refusal
        if isinstance(setting.backbone, IdentityBackbone):
            if not isinstance(own, IdentityBackbone):
                return "name", (
                    f"lora puts branches beside layers of a backbone, and no {own.name} was trained here yet: the live "
                    f"version is an exact head. {setting.train_first('lora')}"
                )
            return "name", (
                "lora puts branches beside layers of a backbone, and this model has none: its backbone is the "
                "identity. Learn with ridge or linear_probe, or use a model with an mlp, cnn or pretrained backbone."
            )
        if isinstance(setting.backbone, PretrainedBackbone) and not family(setting.backbone.name).trains:
            return "name", (
                "lora puts branches beside layers of a backbone, and a program of torch.export has none to see. Learn "
                "with ridge or linear_probe."
            )
        if setting.live is not None and setting.live.lifts:
            return "name", (
                "lora moves the backbone, and this version's head stands on random lifts beside its features. "
                + setting.without_lift()
            )
        return None


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Cross-entropy on the batch and what stands in for known classes, over the new branch and the head."""
    learner = Learner.start(base, data, run, thaw=True)
    if base is None and data.architecture.backbone.name in ("mlp", "cnn"):
        learner.fit(params)
        return learner.finish()
    earlier = [piece for piece in learner.network.low_rank if isinstance(piece, LowRank)]
    branch = _branch(learner.network, params, run.generator(INIT + len(earlier)))
    if params.fold and (grown := grown_beside(learner.network.backbone, learner.network.low_rank)):
        raise MethodRefused.at(
            "/method/fold", f"{grown} has grown by blocks, so no one matrix could take its branch. Leave fold out."
        )
    learner.train_only([*branch, learner.network.neck, learner.network.head])
    rows, memory = _rows(learner, params)
    loss = learner.loss(params)
    if memory is not None:
        loss = loss.mixed(len(learner.classes), rows.y, memory.y)
    orthogonal = _Orthogonal(branch, earlier, params.orthogonality, loss)
    learner.fit(params, rows, memory=memory, hooks=Hooks(orthogonal.objective if params.orthogonality else None))
    report = {
        "branches": 0 if params.fold else (len(earlier) + len(branch)) // max(len(branch), 1),
        "layers": len(branch),
        "norm": float(torch.stack([piece.product.norm() for piece in branch]).norm()),
        "overlap": float(orthogonal.overlap().detach()),
        "stand_ins": rows.rows - learner.batch.rows,
        "memory": 0 if memory is None else memory.rows,
    }
    if params.fold:
        _fold(learner.network)
    return learner.finish(report)


def _branch(network: Network, params: Params, generator: torch.Generator) -> list[LowRank]:
    """Puts the branch of one update into the network: its piece beside each layer."""
    part = next_part(network, "backbone")
    pieces = [
        attach(network.backbone, new_branch(name, layer, params.rank, params.alpha, part, generator))
        for name, layer in targets(network.backbone)
    ]
    network.low_rank.extend(pieces)
    return pieces


def _fold(network: Network) -> None:
    """Folds all branches into the weights; of a pretrained network into copies, since versions share its weights."""
    if isinstance(network.backbone, Extractor):
        at = [piece.at for piece in network.low_rank if isinstance(piece, LowRank)]
        network.backbone.thaw([network.backbone.get_submodule(name) for name in at])
    fold(network.backbone, network.low_rank)


def _rows(learner: Learner, params: Params) -> tuple[Labelled, Labelled | None]:
    """Rows to learn from, and the memory if one is asked for."""
    if not params.memory_rows:
        return learner.batch + learner.stand_ins(learner.batch), None
    return learner.batch, learner.training_rows.of(learner.training_rows.remembered(params.memory_rows))


class _Orthogonal:
    """O-LoRA: strength x sum over layers and earlier branches of |A_t A'|^2 (Wang et al., 2023, eq. 8)."""

    def __init__(self, branch: Sequence[LowRank], earlier: Sequence[LowRank], strength: float, loss: Loss) -> None:
        self.pairs = [(piece, other) for piece in branch for other in earlier if other.at == piece.at]
        self.strength, self.loss = strength, loss

    def overlap(self) -> Tensor:
        """The sum itself, a scalar with gradient."""
        shared = [
            (piece.down.flatten(1) @ other.down[:, : piece.down.shape[1]].flatten(1).T).square().sum()
            for piece, other in self.pairs
            if piece.down.shape[1:] == other.down.shape[1:]
        ]
        return torch.stack(shared).sum() if shared else torch.zeros(())

    def objective(self, body: nn.Module, step: Step) -> Tensor:
        return self.loss(body(step.x), step.y) + self.strength * self.overlap()


METHOD = Method(
    beside_pretrained=True,
    name="lora",
    family=Family.EXPAND,
    summary="Puts a low-rank branch beside every layer of the backbone and trains only that and the head.",
    paper="Hu et al.: LoRA: low-rank adaptation of large language models, 2021; Wang et al.: Orthogonal subspace "
    "learning for language model continual learning, 2023",
    Params=Params,
    update=update,
    good_when="A pretrained backbone should come closer to its task, and its weights should stay as they are.",
    limits="Features move, and old scores with them; sums of the old features are void, so they are made anew of kept "
    "rows. Every update makes the network larger unless fold is set. Of torch's own attention only the dense layers "
    "take branches.",
)
