"""Dynamically expandable representation: a new extractor an update, whose features join those of the frozen old ones.

The loss is CE(head(all features)) + CE(aux(newest features)), where aux tells new classes from each other and from all
known ones together, so that the newest extractor learns what the others lack (Yan, Xie, He, 2021, eq. 1-4). Then the
head alone is fitted once more, on as many rows of each class.

What is different here: both cross-entropies are balanced softmaxes; no mask prunes an extractor, but beyond a bound all
are distilled into one.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from service.contract.enums import Family
from service.contract.targets.number_target import NumberTarget
from service.learning.absent_rows import refuse_without_rows
from service.learning.data.memory import remember
from service.learning.data.rows import Rows
from service.learning.method import Learned, Method
from service.learning.method_params import GradientParams
from service.learning.methods.expand.branches import (
    OldFeatures,
    add_branch,
    branches,
    keep_newest,
    narrowed_head,
    newest,
    widened_head,
)
from service.learning.network.blocks import Block, new_block
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.network import build
from service.learning.run import Run
from service.learning.training.body import BeforeHead, Body
from service.learning.training.fit import DRAWS, TRAINING, Hooks, Phase, fit, logits
from service.learning.training.learner import Learner
from service.learning.training.losses import log_shares
from service.learning.training.rehearsal_checks import fit_beside
from service.learning.training.training_set import Labelled, Objective, Step, TrainingSet
from service.learning.update_data import Data, Setting

HEAD_EPOCHS, HEAD_TEMPERATURE = 30, 5.0
"""The head is fitted once more, on as many rows of each class, against scores that are softened so much."""
DISTILLED_AT = 2.0
"""Temperature at which one extractor learns what several answered."""

ALIKE = 0.95
"""Share of rows that one extractor answers as all did, below which the report says so."""


class Params(GradientParams):
    """What every gradient method takes, the size of the memory, and how many extractors there may be."""

    lr: float = Field(0.06, gt=0, le=10, description="Learning rate of SGD with momentum 0.9.")
    memory_rows: int = Field(
        500, ge=1, le=100_000, description="Kept rows that are learned again, shared by the classes."
    )
    most: int = Field(4, ge=1, le=32, description="Extractors at most; one more, and all are distilled into one.")

    def unfit(self, setting: Setting) -> tuple[str, str] | None:
        """Refuses, too, a model without an extractor that was trained here."""
        live, own = setting.live, setting.architecture.backbone
        trained = setting.backbone.name in ("mlp", "cnn") and not (live is not None and live.lifts)
        if (refusal := super().unfit(setting)) or trained:
            return refusal
        if own.name in ("mlp", "cnn"):
            return "name", (
                f"branch puts a new extractor beside those that were trained here, and no {own.name} was yet: the live "
                f"version is an exact head. {setting.train_first('branch')}"
            )
        return "name", (
            "branch puts a new extractor beside those that were trained here, and this model has none. Use ridge, or a "
            "model with an mlp or cnn backbone."
        )


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Trains a new extractor and the head on new and remembered rows; then the head alone, all classes alike."""
    learner = Learner.start(base, data, run)
    if base is None:
        learner.fit(params)
        return learner.finish({"extractors": 1})
    remembered = learner.training_rows.remembered(params.memory_rows)
    memory = learner.training_rows.of(remembered)
    new = len(learner.classes) - learner.known
    old_features = OldFeatures.of(learner, memory)
    added = add_branch(learner.network)
    head = widened_head(learner.network, new, run.generator(DRAWS))
    aux = _aux(learner, added[-1])
    learner.train_only([*added, head, aux])
    learner.body.add_module("aux", aux)
    done = fit_beside(learner, params, memory, Hooks(_objective(learner, memory, aux, old_features), balanced=True))
    learner.multiply_adds -= old_features.spared(learner, done)
    del learner.body.aux
    _fit_head(learner, params)
    report: dict[str, object] = {"memory": remembered.counts(), "units": [len(block.weight) for block in added]}
    extractors = len(branches(learner.network) or [])
    if extractors > params.most:
        report |= {"distilled": extractors, "agreement": _distil(learner, memory, params)}
    return learner.finish(report | {"extractors": len(branches(learner.network) or [])})


def _aux(learner: Learner, newest: Block) -> Block:
    """The auxiliary head of the newest extractor: one column for all known classes and one for each new one; where no
    class is new, one for each known one."""
    new = len(learner.classes) - learner.known
    columns = new + 1 if new else learner.known
    features = learner.network.neck.in_width * len(newest.weight) // newest.rows[1]
    return new_block((0, columns), (0, features), "", "", learner.run.generator(DRAWS + 1), gain=1.0)


def _objective(learner: Learner, memory: Labelled, aux: Block, old_features: OldFeatures) -> Objective:
    """CE(all extractors) + CE(the newest alone); both balanced."""
    known = learner.known

    def aux_columns(y: Tensor) -> Tensor:
        return (y - known + 1).clamp(min=0) if len(learner.classes) > known else y

    parts = learner.batch.y, memory.y
    shares = log_shares(len(learner.classes), *parts)
    aux_shares = log_shares(len(aux.weight), *(aux_columns(y) for y in parts))

    def loss(body: nn.Module, step: Step) -> Tensor:
        assert isinstance(body, Body)
        new = newest(learner.network, step.x)
        whole = F.cross_entropy(body.head(old_features.beside(step, new)) + shares.to(new.device), step.y)
        alone = F.cross_entropy(aux(new) + aux_shares.to(new.device), aux_columns(step.y))
        return whole + alone

    return loss


def _fit_head(learner: Learner, params: Params) -> None:
    """Fits the head once more, on the features of as many rows of each class, its scores divided by a temperature."""
    rows = Rows.concat([learner.training_rows.kept, learner.data.batch])
    balanced = learner.training_rows.of(remember(rows.take(rows.learning), params.memory_rows))
    features = Labelled(logits(BeforeHead(learner.body), balanced.x, learner.run), balanced.y)
    shares = log_shares(len(learner.classes), balanced.y)

    def loss(head: nn.Module, step: Step) -> Tensor:
        return F.cross_entropy(head(step.x) / HEAD_TEMPERATURE + shares.to(step.x.device), step.y)

    again = params.model_copy(update={"epochs": HEAD_EPOCHS})
    phase = Phase("head", TRAINING + 1)
    done = fit(learner.body.head, TrainingSet(features), again, learner.run, Hooks(loss), phase)
    with torch.no_grad():
        for p in learner.body.head.parameters():
            p.div_(HEAD_TEMPERATURE)
    learner.multiply_adds += done.multiply_adds


def _distil(learner: Learner, memory: Labelled, params: Params) -> float:
    """Trains the newest extractor to answer as all of them did, and drops the others. -> share answered alike"""
    rows = learner.batch + memory
    teacher = learner.answers(rows)
    blocks = keep_newest(learner.network)
    learner.train_only([*blocks, narrowed_head(learner.network)])

    def loss(body: nn.Module, step: Step) -> Tensor:
        target = torch.softmax(teacher[step.at].to(step.x.device) / DISTILLED_AT, 1)
        return DISTILLED_AT**2 * F.cross_entropy(body(step.x) / DISTILLED_AT, target)

    learner.fit(params, rows, hooks=Hooks(loss), phase=Phase("distilling", TRAINING + 2))
    alike = (learner.answers(rows).argmax(1) == teacher.argmax(1)).double()
    agreement = float(alike.mean()) if len(alike) else 1.0
    if agreement < ALIKE:
        learner.notes.append(
            f"One extractor answers {agreement:.0%} of the rows as all of them did: it may be too small for what they "
            "knew. More epochs, or retrain on a wider network, win it back."
        )
    return agreement


def refuse(base: Checkpoint | None, data: Data) -> str | None:
    """Refuses a network that another method has grown, and one without kept rows."""
    if base is not None and (base.layout.neck or branches(build(base)) is None):
        return (
            "branch takes a network whose head looks at the extractors themselves, none of them grown by den or lora. "
            "Learn once with retrain, or go on with replay or den."
        )
    return refuse_without_rows("branch", base, data)


METHOD = Method(
    name="branch",
    family=Family.EXPAND,
    summary="Learns a new extractor beside the old ones, which stay as they are; beyond a bound they become one.",
    paper="Yan, Xie, He: DER, dynamically expandable representation for class incremental learning, CVPR 2021, eq. 1-4",
    Params=Params,
    update=update,
    lacks={NumberTarget: "each of its branches is for new classes"},
    needs=frozenset({"kept"}),
    good_when="New classes need features that the old ones lack, old rows are kept, and the network may grow.",
    limits="Predicting costs one more extractor an update, until all are distilled; what that loses is in the report.",
    refuse=refuse,
)
