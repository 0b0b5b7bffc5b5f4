"""Expansion in five steps, after DEN: probe, find the units that would have moved, copy those, train the copies alone.

Old weights are never written to. In `protect` (the default when classes are new) old scores stay bit-identical: nothing
that is new reaches an old output. In `adapt` added units correct the old outputs, starting from no correction at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from pydantic import Field
from torch import Tensor

from service.contract.enums import Family
from service.errors import MethodRefused
from service.learning.checkpoint import Checkpoint
from service.learning.expansion import Expansion, expand
from service.learning.learner import DRAWS, TRAINING, Learner
from service.learning.losses import GroupLasso
from service.learning.method import Data, GradientParams, Learned, Method, Run
from service.learning.probing import EPOCHS, Probe, probe
from service.learning.training import Labelled

MOST_UNITS = 32
"""Units added to a layer at most."""
SPARSITY = 1e-3
"""Strength of the group lasso on added units."""
SLOWER = 3
"""What is added trains at a third of the rate: at a rate that suits a whole network half of the new units die."""
WARM = 3
"""After a third of the epochs, units that no row wakes are drawn anew."""


class Params(GradientParams):
    """What every gradient method takes, and what may happen to old scores."""

    epochs: int = Field(30, ge=1, le=1000, description="Passes over the learning rows for what was added.")
    mode: Literal["auto", "protect", "adapt"] = Field(
        "auto",
        description="protect: old scores keep their bits; adapt: they may move; auto: protect if classes are new.",
    )


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """The five steps. Raises MethodRefused where `protect` is asked for and no class is new."""
    if base is None:
        learner = Learner.start(base, data, run)
        learner.fit(params)
        return learner.finish()
    protect = _protects(base, data, params)
    start = partial(Learner.start, base, data, run, freeze=base.layout.backbone.name != "mlp")
    learner = start(keep_head=protect)
    old = learner.stand_ins(learner.batch)
    rows = learner.batch + old
    slow = params.model_copy(update={"lr": params.lr / SLOWER})
    if not learner.batch.rows:
        learner.fit(slow)
        return learner.finish(merged=False)

    found = probe(start, rows, old, params, grow=protect)
    chosen = _choose(found, protect)
    grown = expand(learner.network, chosen, found.layers, learner.added, run.generator(DRAWS), adapt=not protect)
    added = grown.added
    if not any(added):
        learner.notes.append(_nothing_added(found, protect))
    dead, pruned = _train(learner, grown, rows, slow)
    learner.multiply_adds += found.multiply_adds
    mode = "protect" if protect else "adapt"
    steps = [
        {"step": "probe", "epochs": EPOCHS, "accuracy": found.accuracy, "without": found.without, "worth": found.worth},
        {"step": "detect", "layers": _layers(grown, **_drifts(found))},
        {"step": "add", "layers": _layers(grown, added=added)},
        {"step": "initialise", "mode": mode, "copied": added, "new_rows": len(learner.classes) - learner.known},
        {
            "step": "train",
            "epochs": slow.epochs,
            "lr": slow.lr,
            "negatives": old.rows,
            "layers": _layers(grown, dead=dead, pruned=pruned),
        },
    ]
    return learner.finish({"mode": mode, "steps": steps}, merged=False)


def _protects(base: Checkpoint, data: Data, params: Params) -> bool:
    new = set(data.batch.present()) - set(base.classes)
    if params.mode == "protect" and not new:
        raise MethodRefused.at(
            "/method/mode", "No class is new, so protect leaves nothing to learn. Use adapt, or l2_sp."
        )
    return bool(new) if params.mode == "auto" else params.mode == "protect"


def _choose(found: Probe, protect: bool) -> list[Tensor]:
    """The most drifted of the flagged units, at most 32 a layer. What protected units find must reach the new columns
    through units that see them, so each layer above gets as many, flagged or not."""
    chosen: list[Tensor] = []
    for flagged, drift in zip(found.flagged(), found.drifts, strict=True):
        least = len(chosen[-1]) if chosen and protect else 0
        most = drift.argsort(descending=True, stable=True)
        chosen.append(most[: max(min(len(flagged), MOST_UNITS), min(least, len(most)))])
    return chosen


def _train(learner: Learner, grown: Expansion, rows: Labelled, params: GradientParams) -> tuple[list[int], list[int]]:
    """Train what was added, and that alone. -> units a layer that died and were drawn anew, and that were removed."""
    if not grown.blocks:
        return [0] * len(grown.units), [0] * len(grown.units)
    learner.train_only(grown.blocks)
    lasso = GroupLasso([block for block in grown.units if block is not None], SPARSITY)
    warm = -(-params.epochs // WARM)
    for epochs, salt in ((warm, TRAINING), (params.epochs - warm, TRAINING + 1)):
        if epochs:
            part = params.model_copy(update={"epochs": epochs})
            learner.fit(
                part, rows, after_step=lasso.step, salt=salt, phase="training" if salt > TRAINING else "warming up"
            )
        if salt == TRAINING:
            dead = grown.revive(grown.firing(rows.x), learner.run.generator(DRAWS))
    return dead, grown.prune(grown.firing(rows.x))


def _layers(grown: Expansion, **numbers: Sequence[Any]) -> list[dict[str, Any]]:
    """One dict a hidden layer, with its name and its number of each kind."""
    rows = zip(*numbers.values(), strict=True)
    return [
        {"layer": name, **dict(zip(numbers, row, strict=True))} for name, row in zip(grown.names, rows, strict=True)
    ]


def _drifts(found: Probe) -> dict[str, Sequence[Any]]:
    return {
        "units": [len(d) for d in found.drifts],
        "drift": [float(d.median()) for d in found.drifts],
        "largest": [float(d.max()) for d in found.drifts],
        "sigma": found.sigmas,
        "flagged": [len(f) for f in found.flagged()],
    }


def _nothing_added(found: Probe, protect: bool) -> str:
    reason = "no unit moved more than by chance" if found.worth else "moving old units would win nothing"
    rest = (
        "only output rows for the new classes were added" if protect else "nothing was added; l2_sp or replay may help"
    )
    return f"den: {reason}, so {rest}."


def refuse(base: Checkpoint | None, data: Data) -> str | None:
    """Where there is no hidden dense layer that could grow."""
    backbone = base.layout.backbone if base else data.architecture.backbone
    neck = bool(base and base.layout.neck)
    if neck or (backbone.name == "mlp" and not (base and base.layout.lifts)):
        return None
    if data.architecture.backbone.name == "mlp":
        return (
            "den adds units to hidden dense layers, and no mlp was trained here yet: the live version is an exact "
            "head. Learn once with retrain, then den can expand what it made."
        )
    if backbone.name == "cnn":
        return (
            "den adds units to dense layers; filters of a cnn backbone cannot grow. Use an mlp backbone, give the head "
            "hidden layers with linear_probe, or learn with replay or ridge."
        )
    return (
        "den adds units to hidden dense layers, and this model has none. Use a model with an mlp backbone, give the "
        "head hidden layers with linear_probe, or learn with ridge."
    )


METHOD = Method(
    name="den",
    family=Family.EXPAND,
    summary="Adds units where new rows would change old ones, and trains only those; old scores can keep their bits.",
    paper="Yoon, Yang, Lee, Hwang: Lifelong learning with dynamically expandable networks, 2018",
    Params=Params,
    update=update,
    needs=frozenset({"dense", "ledger"}),
    good_when="Old weights and old scores must not move, and the network may grow.",
    limits="A new class can still win on an old row. Dense layers only; the network grows with each update.",
    refuse=refuse,
)
