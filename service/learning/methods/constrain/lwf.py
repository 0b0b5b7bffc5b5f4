"""Learning without forgetting: on the new rows the network keeps the answers that the base gave over the old classes.

The loss is CE + strength T^2 KL(softmax(z* / T) || softmax(z / T)) over the old columns, where z are the logits and z*
those of the base, computed once before training (Li, Hoiem, 2016, eq. 1-4).

Where targets are numbers, the Huber loss between old values and new ones takes the place of the divergence.

What is different here: there is one head in place of one a task. Every new row would push all old classes down, so rows
of two or more new classes are scored over the new columns alone, unless `masked` is false.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn

from service.contract.enums import Family
from service.learning.method import Learned, Method
from service.learning.method_params import SCHEDULE, Schedule, TrunkParams
from service.learning.methods.constrain.anchored import MASKED, new_columns_alone
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.training.aims.aim import Loss
from service.learning.training.fit import Hooks
from service.learning.training.kept_back import watch_old
from service.learning.training.learner import Learner
from service.learning.training.losses import without_old
from service.learning.training.training_set import OF_CLASSES, Step
from service.learning.update_data import Data

HALF = 0.5
"""Share of the new classes' own rows below which they are not learned."""
RANDOM = 0.9
"""Entropy of the teacher's answers, as a share of a coin with as many sides as old classes, from which it is random."""


class Params(TrunkParams):
    """What every gradient method takes, how strongly old answers are kept, and how softened."""

    schedule: Schedule = Field("cosine", description=SCHEDULE)
    strength: float = Field(
        1.0, ge=0, le=1e6, description="Weight of T^2 x the divergence from the old answers; 0 is fine-tuning."
    )
    temperature: float = Field(2.0, gt=0, le=100, description="T, by which both answers are softened.")
    masked: bool = Field(True, description=MASKED)


@dataclass(frozen=True, eq=False)
class Distillation:
    """A step's loss. teacher [n, known]: the base's logits of the batch's learning rows, None without a base · targets:
    the loss of the rows themselves."""

    teacher: Tensor | None
    known: int
    strength: float
    temperature: float
    masks: bool
    targets: Loss = OF_CLASSES

    def loss(self, body: nn.Module, step: Step) -> Tensor:
        z = body(step.x)
        loss = self.targets(without_old(z, step.y, self.known) if self.masks else z, step.y)
        if self.teacher is None or not self.strength:
            return loss
        teacher = self.teacher[step.at].to(z.device)
        return loss + self.strength * self.targets.between(z[:, : self.known], teacher, self.temperature).mean()


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Cross-entropy and the divergence from the base's own answers, on the batch's learning rows."""
    learner = Learner.start(base, data, run, unfreeze=params.unfreeze)
    rows, known = learner.batch, learner.known
    teacher = learner.answers(rows)[:, :known] if known and rows.rows else None
    masks = params.masked and new_columns_alone(learner)
    loss = Distillation(teacher, known, params.strength, params.temperature, masks, learner.loss(params))
    learner.notes += _notes(learner, teacher)
    learner.fit(params, hooks=Hooks(loss.loss))
    report: dict[str, object] = {"strength": params.strength, "temperature": params.temperature, "masked": masks}
    if teacher is not None:
        learner.multiply_adds += learner.multiply_adds // (3 * params.epochs)
        with torch.no_grad():
            now = learner.answers(rows)[:, :known]
            report |= {
                **learner.aim.doubt(teacher, learner.temperature),
                "divergence": float(learner.loss(params).between(now, teacher, params.temperature).mean()),
            }
        watch_old(learner, learner)
        learner.notes += _not_learned(learner)
    return learner.finish(report)


def _notes(learner: Learner, teacher: Tensor | None) -> list[str]:
    """A note where the teacher's answers on the new rows say nothing."""
    if teacher is None:
        return []
    if learner.aim.trivial:
        return ["The base knows one class, so it has no answers to keep: this is fine-tuning. ridge keeps one class."]
    doubt, y = learner.aim.doubt(teacher, learner.temperature), learner.batch.y
    if not doubt:
        return []
    entropy = doubt["teacher_entropy"]
    old = y < learner.known
    right = float((teacher[old].argmax(1) == y[old]).double().mean()) if old.any() else None
    if entropy > RANDOM or (right is not None and right < 1.5 / learner.known):
        return [
            f"The base answers the new rows nearly at random (entropy {entropy:.2f} of at most 1"
            + (f", {right:.2f} of the known ones right" if right is not None else "")
            + "), so keeping its answers there keeps little of what it knows. ewc, l2_sp and replay hold it otherwise."
        ]
    return []


def _not_learned(learner: Learner) -> list[str]:
    """A note where rows of new classes are still answered with an old class, as the base does."""
    new = learner.batch.take(learner.aim.new(learner.batch.y))
    share = learner.accuracy(new)
    if share is None or share >= HALF:
        return []
    return [
        f"Of {new.rows:,} rows of new classes that it learned from {share:.0%} are answered rightly: kept "
        "answers speak for old classes on them, too. A smaller strength, more epochs, or replay or ridge learn them."
    ]


METHOD = Method(
    name="lwf",
    family=Family.CONSTRAIN,
    summary="Keeps the old network's answers on the new rows while it learns them; nothing is stored between updates.",
    paper="Li, Hoiem: Learning without forgetting, 2016, eq. 1-4; Hinton, Vinyals, Dean: Distilling the knowledge in a "
    "neural network, 2015 (T^2)",
    Params=Params,
    update=update,
    good_when="New rows look like the old ones, so old answers on them are worth keeping; no old row is learned again.",
    limits="Where new rows look different, the old answers on them are noise; the report notes where they are nearly "
    "random. It also notes the share of old rows that new classes have taken.",
)
