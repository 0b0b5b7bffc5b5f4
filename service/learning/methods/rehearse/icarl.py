"""iCaRL: answers with the class whose exemplars' mean is nearest, on features held by rehearsal and distillation.

The loss is the sum over columns k of BCE(sigmoid(z_k), q_k) on new rows and exemplars (Rebuffi et al., 2017, algorithm
3). q_k is the label for new classes, and the answer of the version before for known ones; of a new row of a known
class, that class's q_k is 1. What is served is not that head but argmin_c |x / |x| - m_c|, m_c the mean of a class's
exemplars at norm 1 (algorithm 1).

What is different here: the means are served as a linear head, see `nearest_mean`. After a version that another method
made its softmax is the answer, and its exemplars are herded now.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from service.contract.enums import Family
from service.contract.targets.number_target import NumberTarget
from service.learning.absent_rows import refuse_without_rows
from service.learning.data.rows import Rows
from service.learning.method import Learned, Method
from service.learning.method_params import RehearsalParams
from service.learning.methods.rehearse.exemplars import Exemplars, features_of, herded, nearest_mean, recalled
from service.learning.network.checkpoint import Checkpoint, Tensors
from service.learning.network.growth import matrix, put_head
from service.learning.run import Run
from service.learning.training.fit import Hooks
from service.learning.training.learner import Learner
from service.learning.training.rehearsal_checks import fit_beside
from service.learning.training.training_set import Labelled, Objective, Step
from service.learning.update_data import Data

STATE = "state.icarl"
ENOUGH, LOST = 50, 0.03
"""Rows kept back, and what the means lose on them beside the trained head, from which the report says so."""


class Params(RehearsalParams):
    """What every gradient method takes, and the size of the memory; means of exemplars need no balancing."""

    memory_rows: int = Field(500, ge=1, le=100_000, description="Exemplars, the same number a class, at least one.")
    balance: Literal["none"] = Field("none", description="Means of exemplars favour no class: there is nothing to do.")


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Trains on new rows and exemplars by binary cross-entropies; then herds exemplars anew and serves their means."""
    learner = Learner.start(base, data, run, unfreeze=params.unfreeze)
    part = base.parts.get(STATE) if base else None
    if part is not None:
        _trained_head(learner, part)
    kept = learner.training_rows.kept
    kept = kept.take(kept.learning)
    old = _old(learner, part, kept, params)
    memory = learner.training_rows.of(old.together(kept))
    fit_beside(learner, params, memory, Hooks(_objective(learner, memory, binary=part is not None)))
    exemplars = _exemplars(learner, old, params)
    state = exemplars.stored(learner.classes) | _outside(learner)
    trained = learner.accuracy(learner.kept_back)
    _serve(learner, exemplars)
    _compare(learner, trained, learner.accuracy(learner.kept_back))
    return learner.finish({"exemplars": exemplars.counts()}, state={STATE: state})


def _trained_head(learner: Learner, part: Tensors) -> None:
    """Puts the head that was trained back in place of the means that were served."""
    weight, bias = part["weight"], part["bias"]
    if learner.training_rows.first_layer is learner.network.head:
        weight, bias = learner.training_rows.frame.weights(weight, bias)
    beside = [learner.added] if learner.added is not None else []
    put_head(learner.network.head, weight.clone(), bias.clone(), beside)


def _outside(learner: Learner) -> dict[str, Tensor]:
    """The trained head, outside of the frame."""
    weight, bias = matrix(learner.network.head)
    if learner.training_rows.first_layer is learner.network.head:
        frame = learner.training_rows.frame
        weight = weight / frame.spread
        bias = bias - weight @ frame.mean
    return {"weight": weight.contiguous(), "bias": bias}


def _old(learner: Learner, part: Tensors | None, kept: Rows, params: Params) -> Exemplars:
    """Exemplars of the known classes: the stored ones; of a class without any, those that the version before herds."""
    quota = max(params.memory_rows // max(learner.known, 1), 1)
    stored = recalled(part, kept, learner.classes[: learner.known]).rows
    missing = [kept.names.index(name) for name in kept.present() if name not in stored]
    if missing:
        stored |= herded(learner, kept.take(np.isin(kept.labels, missing)), quota)
    return Exemplars(stored).shrunk(quota)


def _objective(learner: Learner, memory: Labelled, binary: bool) -> Objective:
    """`binary`: the version before has sigmoid answers, one a class; else its softmax is the answer."""
    known, batch = learner.known, learner.batch

    def answers(rows: Labelled) -> Tensor:
        z = learner.answers(rows)[:, :known]
        return torch.sigmoid(z) if binary else torch.softmax(z, 1)

    own, old = answers(batch), answers(memory)

    def loss(body: nn.Module, step: Step) -> Tensor:
        z = body(step.x)
        target = torch.zeros_like(z)
        before = own[step.at] if step.memory is None else torch.cat([own[step.at], old[step.memory]])
        target[:, :known] = before.to(z.device)
        new = torch.arange(len(step.at), device=z.device)
        target[new, step.y[: len(new)]] = 1.0
        return F.binary_cross_entropy_with_logits(z, target, reduction="sum") / len(z)

    return loss


def _exemplars(learner: Learner, old: Exemplars, params: Params) -> Exemplars:
    """The exemplars after training: old classes keep the first of theirs; classes with new rows are herded anew."""
    quota = max(params.memory_rows // max(len(learner.classes), 1), 1)
    if params.memory_rows < len(learner.classes):
        learner.notes.append(
            f"memory_rows {params.memory_rows:,} is fewer than the {len(learner.classes):,} classes: one exemplar of "
            "each is kept all the same, since a class without one is answered no more."
        )
    batch = learner.data.batch
    rows = dict(old.shrunk(quota).rows)
    for name in batch.take(batch.learning).present():
        new = batch.take(batch.labels == batch.names.index(name))
        rows |= herded(learner, Rows.concat([old.rows[name], new]) if name in old.rows else new, quota)
    return Exemplars(rows)


def _serve(learner: Learner, exemplars: Exemplars) -> None:
    """Puts the means of the exemplars in place of the trained head."""
    lost = [name for name in learner.classes if not exemplars.counts().get(name)]
    if lost:
        learner.notes.append(f"No row is kept of {', '.join(lost[:5])}: answered no more.")
    if len(lost) < len(learner.classes):
        features = {name: features_of(learner, rows) for name, rows in exemplars.rows.items() if len(rows)}
        put_head(learner.network.head, *nearest_mean(features, learner.classes))


def _compare(learner: Learner, trained: float | None, served: float | None) -> None:
    """Notes where the means lose much beside the trained head."""
    if trained is not None and served is not None and learner.kept_back.rows >= ENOUGH and trained - served > LOST:
        learner.notes.append(
            f"Of rows kept back the trained head got {trained:.0%} right and the nearest means {served:.0%}: some "
            "class has no one middle. replay and der_pp serve the trained head."
        )


METHOD = Method(
    name="icarl",
    family=Family.REHEARSE,
    summary="Answers with the class whose exemplars' mean is nearest; features are held by rehearsal and distillation.",
    paper="Rebuffi, Kolesnikov, Sperl, Lampert: iCaRL, incremental classifier and representation learning, CVPR 2017",
    Params=Params,
    update=update,
    lacks={NumberTarget: "it answers with the class whose mean is nearest"},
    needs=frozenset({"kept"}),
    good_when="Classes of one cluster each come one after the other, a network is trained, and few rows are kept.",
    limits="A class of several clusters has one mean; what the version before got wrong is taught again. With as "
    "many rows replay and der_pp answer more rightly on the streams measured here.",
    refuse=partial(refuse_without_rows, "icarl"),
)
