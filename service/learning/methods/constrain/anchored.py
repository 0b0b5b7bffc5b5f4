"""What all methods share that train under a pull to where weights stood, theta*: at one strength or the best of a few.

The loss is the cross-entropy + strength x sum of stiffness (theta - theta*)^2, see `training.losses.Pull`. l2_sp holds
all weights alike; ewc, si and mas hold each by its importance. Where classes are new the cross-entropy is masked, which
is no part of these papers and keeps much by itself, see `MASKED`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from service.learning.method_params import SCHEDULE, Schedule, TrunkParams
from service.learning.methods.constrain.importance import Held, Importance
from service.learning.methods.constrain.strength_search import Point, search
from service.learning.methods.constrain.strength_trials import Prepare, Prepared, Pulled, T, tried_at_once
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.training.body import SLOWER
from service.learning.training.fit import Hooks
from service.learning.training.kept_back import watch_old
from service.learning.training.learner import Learner
from service.learning.training.losses import Pull, without_old
from service.learning.training.training_set import Objective, Step
from service.learning.update_data import Data

Strength = Annotated[float, Field(ge=0, le=1e12)]
STRENGTHS = (0.01, 0.1, 1.0, 10.0)
"""Strengths of pulls whose importances have mean 1."""
USUAL = 0.1
"""The strength where rows kept back do not tell them apart."""
BRIEF = 1 / 8
"""Part of the epochs that a strength is tried for. Mostly three are, so a search costs two fifths of a training."""
MASKED = (
    "Rows of new classes, of two or more at once, are scored over the new columns alone, whatever the strength; that "
    "by itself keeps much of old classes. false: over all columns, as in the paper."
)


class PulledParams(TrunkParams):
    """What every gradient method takes, how strong the pull is, and whether the loss is masked."""

    strengths: ClassVar[tuple[float, ...]] = STRENGTHS
    """Strengths of which a search takes one."""
    schedule: Schedule = Field("cosine", description=SCHEDULE)
    strength: Literal["search"] | Strength = Field(
        "search",
        description="Strength of the pull in units of the mean importance; search takes it from "
        f"{', '.join(f'{s:g}' for s in STRENGTHS)} by rows kept back for choosing, and "
        f"{USUAL:g} where they do not tell.",
    )
    masked: bool = Field(True, description=MASKED)


def shared_weights(learner: Learner) -> dict[str, nn.Parameter]:
    """The weights that train and that were there before the head grew, by name."""
    added = set() if learner.added is None else {id(p) for p in learner.added.parameters()}
    return {name: p for name, p in learner.body.named_parameters() if p.requires_grad and id(p) not in added}


@dataclass(frozen=True, eq=False)
class Anchor:
    """theta* and the stiffness of each of its weights, by name of the body's parameters. None: all are alike."""

    stars: Mapping[str, Tensor]
    stiffness: Mapping[str, Tensor] | None = None

    @classmethod
    def of(cls, learner: Learner, importance: Importance | None = None) -> Anchor:
        stars = {name: p.detach().clone() for name, p in learner.body.named_parameters() if p.requires_grad}
        return cls(stars, importance.clipped() if importance else None)

    def pull(self, learner: Learner, strength: float) -> Pull:
        shared = {name: p for name, p in shared_weights(learner).items() if name in self.stars}
        stiffness = [self.stiffness[name] for name in shared] if self.stiffness is not None else None
        slow = {id(p) for p in learner.slow}
        rates = [SLOWER if id(p) in slow else 1.0 for p in shared.values()] if slow else None
        return Pull([(p, self.stars[name]) for name, p in shared.items()], strength, stiffness, rates)


@dataclass(frozen=True, eq=False)
class Chosen(Generic[T]):
    """The best that was trained, which strengths were tried for it, and what held the weights; None: all were alike."""

    best: T
    points: tuple[Point, ...]
    held: Held | None

    @property
    def importance(self) -> Importance | None:
        return self.held.importance if self.held is not None else None

    def report(self) -> dict[str, Any]:
        return self.best.report(self.points) | ({"held_by": self.held.source} if self.held is not None else {})


def choose(prepare: Prepare[T], base: Checkpoint, data: Data, params: PulledParams, run: Run) -> Chosen[T]:
    """Trains at the strength, or at the one that rows kept back choose. Notes and work of the learner that is prepared
    go into the best."""
    prepared = prepare(base, data, params, run)
    start = prepared.start
    if params.strength == "search":
        strength, points, work = _searched(prepare, prepared, params)
    else:
        strength, points, work = params.strength, (), 0
    best = prepared.at(strength, params, run)
    learner = best.learner
    learner.multiply_adds += work + start.multiply_adds
    learner.notes += search_notes(points, strength, params.strengths) if points else []
    learner.notes += [note for note in start.notes if note not in learner.notes]
    watch_old(learner, start)
    return Chosen(best, points, prepared.held)


def _searched(prepare: Prepare[T], prepared: Prepared[T], params: PulledParams) -> tuple[float, tuple[Point, ...], int]:
    """Tries strengths for an eighth of the epochs each, one at least. -> the best, what was tried, and the work."""
    brief = params.model_copy(update={"epochs": max(round(params.epochs * BRIEF), 1)})
    found, work = tried_at_once(prepare, prepared.start, brief, params.strengths)

    def point(strength: float, run: Run) -> Point:
        nonlocal work
        if strength not in found:
            found[strength], cost = prepared.point(strength, brief, run)
            work += cost
        return found[strength]

    strength, points = search(point, prepared.start.run, params.strengths, USUAL)
    return strength, points, work


def new_columns_alone(learner: Learner) -> bool:
    """Whether rows of new classes are scored over the new columns alone (the labels trick: Zeno, Golan, Hoffer, Soudry,
    2018, section 4): they would push all old columns down, however stiff the weights are. Not for one new class by
    itself, which would learn nothing."""
    y = learner.batch.y
    return learner.known > 0 and len(set(y[learner.aim.new(y)].tolist())) > 1


def objective(learner: Learner, params: PulledParams) -> Objective | None:
    """The cross-entropy with `new_columns_alone`. None: the usual one."""
    if not params.masked or not new_columns_alone(learner):
        return None
    known = learner.known

    def loss(body: nn.Module, step: Step) -> Tensor:
        return F.cross_entropy(without_old(body(step.x), step.y, known), step.y)

    return loss


def prepared(start: Learner, anchor: Anchor, held: Held | None = None) -> Prepared[Pulled]:
    """What trains the update of `start` under the pull to an anchor."""

    def train(strength: float, params: PulledParams, run: Run) -> Pulled:
        learner = Learner.start(start.base, start.data, run, unfreeze=params.unfreeze)
        pull = anchor.pull(learner, strength)
        learner.fit(params, hooks=Hooks(objective(learner, params), after_step=pull.step))
        return Pulled(learner, pull)

    return Prepared(start, train, held)


def prepared_held(start: Learner, held: Held) -> Prepared[Pulled]:
    """What trains under a pull to where `start` stands, stiff by importance."""
    return prepared(start, Anchor.of(start, held.importance), held)


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
