"""Joint retraining: a new network, trained on every kept row and the batch together.

The loss is CE(all rows). It forgets nothing and costs the whole history each time. It is the bound that the incremental
methods are measured against, and the way out when a model has been patched too often.
"""

from __future__ import annotations

from pydantic import Field

from service.contract.enums import Family
from service.contract.inputs import Architecture, Backbone, PretrainedBackbone, misfit
from service.learning.method import Learned, Method
from service.learning.method_params import SCHEDULE, Schedule, TrunkParams
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.training.learner import FROM_SCRATCH, Learner
from service.learning.update_data import Data, Setting


class Params(TrunkParams):
    """What every gradient method takes; from scratch on all classes a higher rate is stable."""

    epochs: int = Field(20, ge=1, le=1000, description="Passes over all learning rows.")
    backbone: Backbone | None = Field(
        None, description="Network to train in place of the model's own; null: that of its architecture."
    )
    lr: float = Field(0.1, gt=0, le=10, description="Learning rate of SGD with momentum 0.9.")
    schedule: Schedule = Field("cosine", description=SCHEDULE)

    def unfit(self, setting: Setting) -> tuple[str, str] | None:
        """Refuses, too, to unfreeze where nothing is frozen, and a backbone that cannot take such inputs, or whose
        pretrained weights this model does not have."""
        named, own = self.backbone, setting.architecture.backbone
        if refusal := self.misfit(setting.target):
            return refusal
        if self.unfreeze and not isinstance(named or own, PretrainedBackbone):
            return "unfreeze", (
                f"retrain begins {(named or own).name} from new weights and trains all of them. Leave unfreeze out: it "
                "is for a pretrained backbone, whose weights are its start."
            )
        anew = Setting(setting.input, Architecture(backbone=named or own), target=setting.target)
        if (refusal := super().unfit(anew)) or named is None:
            return refusal
        if reason := misfit(setting.input, named):
            return "backbone", reason
        if isinstance(named, PretrainedBackbone) and named.name != own.name:
            return "backbone", (
                f"retrain has the weights of the model's own backbone alone, which is {own.name}. Leave backbone out, "
                "name identity, mlp or cnn as far as they take such inputs, or make a model with "
                f'{{"backbone": {{"name": "{named.name}"}}}}.'
            )
        return None


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Cross-entropy on the learning rows of history and batch, from new weights of the model's architecture."""
    architecture = Architecture(backbone=params.backbone) if params.backbone else None
    learner = Learner.anew(base, data, run, architecture, unfreeze=params.unfreeze)
    if base is None:
        learner.notes.append(FROM_SCRATCH)
    old = learner.training_rows.kept
    learner.fit(params, learner.training_rows.of(old.take(old.learning)) + learner.batch)
    return learner.finish({"rows": {"history": int(old.learning.sum()), "batch": learner.batch.rows}})


METHOD = Method(
    name="retrain",
    family=Family.BASELINE,
    summary="Trains a new network on every kept row and the batch: the bound that the others are measured against.",
    paper="Goodfellow, Bengio, Courville: Deep learning, 2016, chapter 8",
    Params=Params,
    update=update,
    needs=frozenset({"kept"}),
    good_when="There is time, all rows are kept, and the best accuracy is wanted.",
    limits="Its cost grows with the history; every answer may change.",
)
