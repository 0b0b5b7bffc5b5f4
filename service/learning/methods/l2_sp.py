"""L2-SP, the elastic pull: weights may move, but are drawn back to where they started.

The loss is the cross-entropy + strength x sum of (theta - theta*)^2 over the weights that were there before; theta* is
the previous version, or the weights of the first training. Strong enough, nothing moves; at 0 it is fine-tuning, to the
last bit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from service.contract.enums import Family
from service.learning.checkpoint import Checkpoint, Tensors
from service.learning.learner import ORIGIN, Learner
from service.learning.losses import Pull
from service.learning.method import Data, GradientParams, Learned, Method, Run
from service.learning.search import search
from service.learning.training import Labelled, accuracy

Strength = Annotated[float, Field(ge=0, le=1e12)]


class Params(GradientParams):
    """What every gradient method takes, how strong the pull is, and where to."""

    strength: Literal["search"] | Strength = Field("search", description="Strength of the pull; searched on fold 2.")
    anchor: Literal["previous", "base"] = Field(
        "previous", description="Pulled to the previous version, or to the weights of the first training."
    )


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Cross-entropy on the batch's learning rows; after each step shared weights go back towards theta*."""
    if base is None:
        learner = Learner.start(base, data, run)
        learner.fit(params)
        return learner.finish()
    anchor = Learner.start(base if params.anchor == "previous" else _origin(base), data, run)
    stars = {name: p.detach().clone() for name, p in anchor.body.named_parameters()}

    def train(strength: float, run: Run) -> Trained:
        learner = Learner.start(base, data, run)
        pull = Pull(_shared(learner, stars), strength)
        learner.fit(params, after_step=pull.step)
        return Trained(learner, pull)

    if params.strength != "search":
        return train(params.strength, run).finish(params)
    old, new = _selecting(anchor)
    found = search(train, lambda t: (accuracy(t.learner.body, old, run), accuracy(t.learner.body, new, run)), run)
    return found.best.finish(params, [point.told() for point in found.points])


@dataclass(frozen=True, eq=False)
class Trained:
    """A learner that was trained under a pull."""

    learner: Learner
    pull: Pull

    def finish(self, params: Params, points: list[dict[str, float | None]] | None = None) -> Learned:
        """The version, with how far it went and what that cost."""
        told = {
            "strength": self.pull.strength,
            "anchor": params.anchor,
            "distance": float(self.pull.distance().detach()),
            "penalty": float(self.pull.loss().detach()),
        }
        self.learner.multiply_adds *= len(points or [0])
        return self.learner.finish(told | ({"points": points} if points else {}))


def _shared(learner: Learner, stars: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """(theta, theta*) of the weights that the base had."""
    added = set() if learner.added is None else {id(p) for p in learner.added.parameters()}
    return [(p, stars[name]) for name, p in learner.body.named_parameters() if id(p) not in added]


def _origin(base: Checkpoint) -> Checkpoint:
    """The base with the weights of the first training; rows and blocks that came later stay as they are."""
    parts = dict(base.parts)
    for name, first in base.parts.items():
        part = name.removeprefix(ORIGIN)
        if name != part and part in parts and not (part.startswith("head") and base.layout.exact):
            parts[part] = _overlaid(parts[part], first)
    return replace(base, parts=parts)


def _overlaid(now: Tensors, first: Tensors) -> Tensors:
    found = dict(now)
    for key, tensor in first.items():
        if key in now and now[key].shape[1:] == tensor.shape[1:] and len(tensor) <= len(now[key]):
            found[key] = torch.cat([tensor, now[key][len(tensor) :]])
    return found


def _selecting(learner: Learner) -> tuple[Labelled, Labelled]:
    """Selecting rows of what was known (pseudo-rows where there are none) and of the batch (else its learning rows)."""
    old, new = learner.view.selected, learner.selecting
    return old if old.rows else learner.stand_ins(learner.batch), new if new.rows else learner.batch


METHOD = Method(
    name="l2_sp",
    family=Family.CONSTRAIN,
    summary="Pulls weights back towards the previous version while it learns; the strength is searched.",
    paper="Li, Grandvalet, Davoine: Explicit inductive bias for transfer learning with convolutional networks, 2018",
    Params=Params,
    update=update,
    needs=frozenset(),
    good_when="Known classes whose inputs have shifted, on a trained network, with few rows.",
    limits="All weights are equally stiff; it does nothing for the balance between old classes and new ones.",
)
