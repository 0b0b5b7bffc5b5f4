"""After dynamically expandable networks (DEN): copies the units that new rows would move, and trains the copies alone.

Five steps: probe, detect, add, initialise, train. A unit is copied where its drift |theta_t - theta*| / |theta*| in the
probe is large (after Yoon, Yang, Lee, Hwang, 2018, algorithm 4). The loss of what was added is CE + sparsity x sum over
units of |theta_u| (after algorithm 3), taken as a proximal step, so that needless units go to exactly zero.

What is different here: old weights are never written to. In `protect` (the default when classes are new) old scores
stay bit-identical, since nothing new reaches an old output; in `adapt` added units correct the old outputs, starting
from no correction at all. Units are those of dense layers and filters of convolutions. Where more than half of a layer
would have moved, a layer is inserted behind it, which begins as the identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from service.contract.enums import Family
from service.learning.method import Learned, Method
from service.learning.method_params import GradientParams
from service.learning.methods.expand.expansion import Expansion, GrowthPlan, expand
from service.learning.methods.expand.frozen_activations import FrozenActivations, training_added_part
from service.learning.methods.expand.growable_layers import growable
from service.learning.methods.expand.probe import EPOCHS, Probe, probe
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.training.aims import aim_of
from service.learning.training.fit import DRAWS, TRAINING, Hooks, Phase
from service.learning.training.learner import Learner
from service.learning.training.losses import GroupLasso
from service.learning.training.training_set import Labelled
from service.learning.update_data import Data, Setting

GROWS = ("mlp", "cnn")
"""Backbones with layers that can grow."""
NEGATIVES, NEGATIVE_IMAGES = 12, 4
"""Pseudo-rows of known classes for each row of the batch at most, or kept images for each image."""
LEAST_NEGATIVES = 20
"""But so many a class are allowed in any case."""
REHEARSED = 0.3
"""Remembered rows for each pseudo-row."""
SPARSITY = 1e-4
"""Strength of the group lasso on added units."""
SLOWER = 3
"""What is added trains at a third of the rate: at a rate that suits a whole network half of the new units die."""
MISSED, MISSED_SHARE = 10, 0.2
"""Rows of known classes that the base answers wrongly, and their share, from which on old scores need correcting."""
WARM = 3
"""After a third of the epochs, units that no row wakes are drawn anew."""


class Params(GradientParams):
    """What every gradient method takes, what may happen to old scores, and the size of the memory."""

    epochs: int = Field(30, ge=1, le=1000, description="Passes over the learning rows for what was added.")
    mode: Literal["auto", "protect", "adapt"] = Field(
        "auto",
        description="protect: old raw scores (logits) keep their bits; adapt: they may move; auto: protect if classes "
        "are new, unless the update's rows of known classes are often answered wrongly.",
    )
    memory_rows: int = Field(
        0,
        ge=0,
        le=100_000,
        description="Kept rows that are learned again beside pseudo-rows; of a cnn, which has none, 0 takes all.",
    )

    def unfit(self, setting: Setting) -> tuple[str, str] | None:
        """Refuses, too, a network without a hidden layer that could grow, and `protect` without a new class to
        learn."""
        live, own = setting.live, setting.architecture.backbone
        if refusal := super().unfit(setting):
            return refusal
        old = live is not None and setting.brings and setting.brings <= frozenset(live.classes)
        if self.mode == "protect" and (old or not setting.target.has_classes):
            return "mode", "No class is new, so protect leaves nothing to learn. Use adapt, or l2_sp."
        if (live and live.neck) or (setting.backbone.name in GROWS and not (live and live.lifts)):
            return None
        if own.name in GROWS:
            return "name", (
                f"den adds units to hidden layers, and no {own.name} was trained here yet: the live version is an "
                f"exact head. {setting.train_first('den')}"
            )
        return "name", (
            "den adds units to hidden layers of an mlp or filters to a cnn, and this model has neither. Use a model "
            "with such a backbone, give the head hidden layers with linear_probe, or learn with ridge."
        )


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Trains what the five steps add."""
    if base is None:
        learner = Learner.start(base, data, run)
        learner.fit(params)
        return learner.finish()
    aim = aim_of(base, data)
    grows = aim.columns > aim.known
    protect = grows if params.mode == "auto" else params.mode == "protect"
    start = partial(Learner.start, base, data, run, unfreeze=None if base.layout.backbone.name in GROWS else 0)
    learner = start(keep_head=protect)
    missed, of_known = (_missed(learner), int((~aim.new(learner.batch.y)).sum())) if grows else (0, 0)
    badly = missed >= max(MISSED, MISSED_SHARE * of_known)
    if protect and badly and params.mode == "auto":
        protect, learner = False, start(keep_head=False)
    slow = params.model_copy(update={"lr": params.lr / SLOWER})
    if not learner.batch.rows:
        learner.fit(slow)
        return learner.finish(merged=False)

    old = _rows_of_known(learner, params)
    rows = learner.batch + old
    probed = probe(start, rows, old, params, grow=protect)
    layers, frozen = growable(learner.network), FrozenActivations(learner)
    chosen, insert = probed.chosen(layers, through=protect), probed.insertions(layers)
    activations = frozen.of(rows) if protect and frozen.fits(rows.rows) else rows
    plan = GrowthPlan(probed.layers, chosen, insert)
    grown = expand(learner.network, plan, learner.added, run.generator(DRAWS), adapt=not protect)
    added = grown.added
    if not any(added):
        learner.notes.append(_nothing_added(probed, protect))
    dead, pruned = _train(learner, grown, rows.x, activations, frozen.widths, slow)
    learner.multiply_adds += probed.multiply_adds
    if badly:
        learner.notes.append(_about_known(of_known, missed, _missed(learner), protect))
    mode = "protect" if protect else "adapt"
    steps: list[dict[str, Any]] = [
        {
            "step": "probe",
            "epochs": EPOCHS,
            "accuracy": probed.accuracy,
            "without": probed.without,
            "worth": probed.worth,
        },
        {"step": "detect", "layers": grown.report(**probed.report())},
        {"step": "add", "layers": grown.report(added=added, inserted=insert)},
        {"step": "initialise", "mode": mode, "copied": added, "new_rows": len(learner.classes) - learner.known},
        {
            "step": "train",
            "epochs": slow.epochs,
            "lr": slow.lr,
            "negatives": old.rows,
            "layers": grown.report(dead=dead, pruned=pruned, insertion=grown.insertion_norms),
        },
    ]
    return learner.finish({"mode": mode, "steps": steps}, merged=False)


def _missed(learner: Learner) -> int:
    """How many of the batch's rows of known classes are answered with another known class."""
    rows = learner.batch.take(learner.batch.y < learner.known)
    if not rows.rows:
        return 0
    answered = learner.answers(rows)[:, : learner.known].argmax(1)
    return int((answered != rows.y).sum())


def _about_known(rows: int, before: int, after: int, protect: bool) -> str:
    """A note on the update's own rows of known classes, which were often answered wrongly."""
    sentence = f"Of its {rows:,} rows of known classes {before:,} were answered with another known class"
    if protect:
        return f"{sentence}, and still are: protect keeps old scores as they are. Use adapt, or ridge or replay."
    return f"{sentence}, so old scores were adapted beside the new classes; now {after:,} are."


def _rows_of_known(learner: Learner, params: Params) -> Labelled:
    """Rows of known classes beside the batch: pseudo-rows, which tell how far a class reaches, and a third as many
    remembered ones if asked for, which tell exactly where it is."""
    each = NEGATIVE_IMAGES if learner.training_rows.images else NEGATIVES
    most = max(each * learner.batch.rows, LEAST_NEGATIVES * learner.known)
    drawn = learner.stand_ins(learner.batch)
    pseudo = drawn.take(torch.randperm(drawn.rows, generator=learner.run.generator(DRAWS))[:most])
    if not params.memory_rows:
        return pseudo
    memory = learner.training_rows.of(learner.training_rows.remembered(params.memory_rows))
    if not memory.rows:
        learner.notes.append("den: no row of the known classes is kept, so pseudo-rows stood in for memory_rows.")
        return pseudo
    if learner.training_rows.images:
        # a convolution has no pseudo-rows: what stood in for them were kept rows, more than were asked for
        pseudo = pseudo.take(slice(0))
    times = max(1, round((pseudo.rows * REHEARSED or most) / memory.rows))
    return Labelled(torch.cat([pseudo.x, *[memory.x] * times]), torch.cat([pseudo.y, *[memory.y] * times]))


def _train(
    learner: Learner, grown: Expansion, x: Tensor, activations: Labelled, widths: Sequence[int], params: Params
) -> tuple[list[int], list[int]]:
    """Trains what was added, and that alone. -> units a layer that died and were drawn anew, and that were removed."""
    if not grown.blocks:
        return [0] * len(grown.units), [0] * len(grown.units)
    learner.train_only(grown.blocks)
    lasso = GroupLasso([block for block in grown.units if block is not None], SPARSITY)
    warm = -(-params.epochs // WARM)
    for epochs, salt in ((warm, TRAINING), (params.epochs - warm, TRAINING + 1)):
        part = params.model_copy(update={"epochs": epochs})
        phase = Phase("training" if salt > TRAINING else "warming up", salt)
        if epochs:
            with training_added_part(learner, grown, widths):
                learner.fit(part, activations, hooks=Hooks(after_step=lasso.step), phase=phase)
        if salt == TRAINING:
            dead = grown.revive(grown.firing(x), learner.run.generator(DRAWS))
    return dead, grown.prune(grown.firing(x))


def _nothing_added(probed: Probe, protect: bool) -> str:
    reason = "no unit moved more than by chance" if probed.worth else "moving old units would win nothing"
    rest = (
        "only output rows for the new classes were added" if protect else "nothing was added; l2_sp or replay may help"
    )
    return f"den: {reason}, so {rest}."


METHOD = Method(
    name="den",
    family=Family.EXPAND,
    summary="After DEN: adds units where new rows would change old ones, trains those; old scores can keep their bits.",
    paper="Yoon, Yang, Lee, Hwang: Lifelong learning with dynamically expandable networks, 2018",
    Params=Params,
    update=update,
    needs=frozenset({"dense", "ledger"}),
    good_when="Old weights and old scores must not move, and the network may grow.",
    limits="A new class can still win on an old row. The network grows with each update. Under protect, mistakes among "
    "old classes stay. Left out of the paper: the sparse retraining of old units, and an output layer for each task "
    "with its time stamp (no row says which task it is of). Units are added where a short training on the new rows "
    "would move old ones, not where the loss is high.",
)
