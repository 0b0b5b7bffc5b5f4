"""Training under a pull to where weights stood, at one strength or the best of a few; what all such methods share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from service.learning.method import SCHEDULE, Data, Schedule, TrunkParams
from service.learning.methods.constrain.importance import Importance
from service.learning.methods.constrain.strength_search import Point, search
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.training.fit import Objective, Step, rights
from service.learning.training.kept_back import new_share, selecting_rows, watch_old
from service.learning.training.learner import Learner
from service.learning.training.losses import Pull, without_old
from service.learning.training.unfreezing import SLOWER

Strength = Annotated[float, Field(ge=0, le=1e12)]
STRENGTHS = (0.01, 0.1, 1.0, 10.0)
"""Of pulls whose importances have mean 1."""
USUAL = 0.1
"""Of those, where rows kept back do not tell them apart."""
BRIEF = 1 / 8
"""Part of the epochs that a strength is tried for. Mostly three are, so a search costs two fifths of a training."""


class PulledParams(TrunkParams):
    """What every gradient method takes, and how strong the pull is."""

    schedule: Schedule = Field("cosine", description=SCHEDULE)
    strength: Literal["search"] | Strength = Field(
        "search",
        description="Strength of the pull in units of the mean importance; search takes it from "
        f"{', '.join(f'{s:g}' for s in STRENGTHS)} by rows kept back for choosing, and "
        f"{USUAL:g} where they do not tell.",
    )


@dataclass(frozen=True, eq=False)
class Anchor:
    """theta*, by name of the body's parameters, and how stiffly each of its weights is held; null: all alike."""

    stars: Mapping[str, Tensor]
    stiffness: Mapping[str, Tensor] | None = None

    @classmethod
    def of(cls, learner: Learner, importance: Importance | None = None) -> Anchor:
        """Where a learner stands."""
        stars = {name: p.detach().clone() for name, p in learner.body.named_parameters() if p.requires_grad}
        return cls(stars, importance.clipped() if importance else None)

    def pull(self, learner: Learner, strength: float) -> Pull:
        """On the weights that the base had."""
        added = set() if learner.added is None else {id(p) for p in learner.added.parameters()}
        shared = {n: p for n, p in learner.body.named_parameters() if id(p) not in added and n in self.stars}
        stiffness = [self.stiffness[name] for name in shared] if self.stiffness is not None else None
        slow = {id(p) for p in learner.slow}
        rates = [SLOWER if id(p) in slow else 1.0 for p in shared.values()] if slow else None
        return Pull([(p, self.stars[name]) for name, p in shared.items()], strength, stiffness, rates)


@dataclass(frozen=True, eq=False)
class Pulled:
    """A learner that was trained under a pull."""

    learner: Learner
    pull: Pull

    def told(self, points: Sequence[Point] = ()) -> dict[str, Any]:
        """For the report: the strength, how far the weights went, what that cost, and what else was tried."""
        told: dict[str, Any] = {
            "strength": self.pull.strength,
            "distance": float(self.pull.distance().detach()),
            "penalty": float(self.pull.loss().detach()),
        }
        return told | ({"points": [point.told() for point in points]} if points else {})


T = TypeVar("T", bound=Pulled)
P = TypeVar("P", bound=PulledParams)


def choose(
    train: Callable[[float, P, Run], T],
    params: P,
    start: Learner,
    run: Run,
    strengths: Sequence[float] = STRENGTHS,
    usual: float = USUAL,
) -> tuple[T, tuple[Point, ...]]:
    """Train at the strength, or at one of `strengths` that rows kept back choose. -> it, and what was tried.

    Each is tried for an eighth of the epochs, one at least. `start`: a learner that has not trained, for its rows.
    """
    if params.strength != "search":
        best = train(params.strength, params, run)
        watch_old(best.learner, start)
        return best, ()
    brief = params.model_copy(update={"epochs": max(round(params.epochs * BRIEF), 1)})
    (old, new), share, spent = selecting_rows(start), new_share(start), 0

    def look(strength: float, run: Run) -> Point:
        nonlocal spent
        learner = train(strength, brief, run).learner
        spent += learner.multiply_adds
        return Point(strength, (rights(learner.body, old, run), rights(learner.body, new, run)), share)

    strength, points = search(look, run, strengths, usual)
    best = train(strength, params, run)
    best.learner.multiply_adds += spent
    best.learner.notes += search_notes(points, strength, strengths)
    watch_old(best.learner, start)
    return best, points


def asks_new_alone(learner: Learner) -> bool:
    """Are new classes to be told from each other alone? Not one new class by itself: that would teach nothing."""
    y = learner.batch.y
    return learner.known > 0 and len(set(y[y >= learner.known].tolist())) > 1


def objective(learner: Learner, strength: float) -> Objective | None:
    """Of a training under a pull: new rows are scored without the old columns, which they would push down however stiff
    the weights are. Null where it is the cross-entropy as ever: at strength 0 all is fine-tuning."""
    if not strength or not asks_new_alone(learner):
        return None
    known = learner.known

    def loss(body: nn.Module, step: Step) -> Tensor:
        return F.cross_entropy(without_old(body(step.x), step.y, known), step.y)

    return loss


def train_held(
    base: Checkpoint,
    data: Data,
    params: PulledParams,
    start: Learner,
    held: Importance,
    told: str,
    run: Run,
) -> tuple[Pulled, dict[str, Any]]:
    """Cross-entropy under a pull to where `start` stands, stiff by `held`. -> the best, and what the report tells.

    `told`: where the importances come from, in words. What measuring them cost `start` counts.
    """
    anchor = Anchor.of(start, held)

    def train(strength: float, params: PulledParams, run: Run) -> Pulled:
        learner = Learner.start(base, data, run, unfreeze=params.unfreeze)
        pull = anchor.pull(learner, strength)
        learner.fit(params, objective=objective(learner, strength), after_step=pull.step)
        return Pulled(learner, pull)

    best, points = choose(train, params, start, run)
    details = best.told(points) | {"held_by": told}
    best.learner.notes += [note for note in start.notes if note not in best.learner.notes]
    best.learner.multiply_adds += start.multiply_adds
    return best, details


def search_notes(points: Sequence[Point], strength: float, strengths: Sequence[float]) -> list[str]:
    """What a search could not see, and whether it ended at an end of its grid, `strengths`."""
    if points[0].old is None:
        return ["No row of what was known is at hand, so the new rows alone chose the strength; set it to hold more."]
    if len({point.score for point in points}) == 1:
        return ["Every strength that was tried did the same on the rows kept back; the usual one was taken."]
    if strength == max(strengths) and points[0].share < 0.5:
        return [
            f"The search ended at its strongest pull, {strength:g}: new classes would have cost the old ones more than "
            "they bring, so they are hardly learned. ridge, replay and linear_probe learn them."
        ]
    if strength == max(strengths):
        return [
            f"The search ended at its strongest pull, {strength:g}: a stiffer one may do better still. Name a larger "
            "strength, or use interpolate, which looks for the best place on the way."
        ]
    if strength == min(strengths):
        return [
            f"The search ended at its weakest pull, {strength:g}: the new rows need weights that the old ones held."
        ]
    return []
