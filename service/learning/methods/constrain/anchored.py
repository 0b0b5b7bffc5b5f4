"""What all methods share that train under a pull to where weights stood, theta*: at one strength or the best of a few.

The loss is the cross-entropy + strength x sum of stiffness (theta - theta*)^2, see `training.losses.Pull`. l2_sp holds
all weights alike; ewc, si and mas hold each by its importance. Where classes are new the cross-entropy is masked, which
is no part of these papers and keeps much by itself, see `MASKED`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from service.learning.method_params import SCHEDULE, Schedule, TrunkParams
from service.learning.methods.constrain.importance import Held, Importance
from service.learning.methods.constrain.strength_search import Point, search
from service.learning.run import Run
from service.learning.training.body import SLOWER
from service.learning.training.fit import Hooks
from service.learning.training.kept_back import KeptBack, new_share, watch_old
from service.learning.training.learner import Learner
from service.learning.training.losses import Pull, without_old
from service.learning.training.training_set import Objective, Step

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
class Pulled:
    """A learner that was trained under a pull."""

    learner: Learner
    pull: Pull

    def report(self, points: Sequence[Point] = ()) -> dict[str, Any]:
        """The strength, how far the weights went, what that cost, and which other strengths were tried."""
        report: dict[str, Any] = {
            "strength": self.pull.strength,
            "distance": float(self.pull.distance().detach()),
            "penalty": float(self.pull.loss().detach()),
        }
        return report | ({"points": [point.report() for point in points]} if points else {})


T = TypeVar("T", bound=Pulled)
P = TypeVar("P", bound=PulledParams)
Train = Callable[[float, P, Run], T]


def choose(train: Train[P, T], params: P, start: Learner) -> tuple[T, tuple[Point, ...]]:
    """Trains at the strength, or at the one that rows kept back choose. -> the best, and what was tried.

    `start`: a learner that has not trained; its notes and its work go into the best.
    """
    if params.strength == "search":
        strength, points, work = _searched(train, params, start)
    else:
        strength, points, work = params.strength, (), 0
    best = train(strength, params, start.run)
    learner = best.learner
    learner.multiply_adds += work + start.multiply_adds
    learner.notes += search_notes(points, strength, params.strengths) if points else []
    learner.notes += [note for note in start.notes if note not in learner.notes]
    watch_old(learner, start)
    return best, points


def _searched(train: Train[P, T], params: P, start: Learner) -> tuple[float, tuple[Point, ...], int]:
    """Tries strengths for an eighth of the epochs each, one at least. -> the best, what was tried, and the work."""
    brief = params.model_copy(update={"epochs": max(round(params.epochs * BRIEF), 1)})
    kept_back, share, work = KeptBack.of(start), new_share(start), 0

    def tried(strength: float, run: Run) -> Point:
        nonlocal work
        learner = train(strength, brief, run).learner
        work += learner.multiply_adds
        return Point(strength, kept_back.scores(learner), share)

    strength, points = search(tried, start.run, params.strengths, USUAL)
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


def train_pulled(start: Learner, params: PulledParams, anchor: Anchor) -> tuple[Learner, dict[str, Any]]:
    """Trains the update of `start` under the pull to an anchor. -> the best, and its report."""

    def train(strength: float, params: PulledParams, run: Run) -> Pulled:
        learner = Learner.start(start.base, start.data, run, unfreeze=params.unfreeze)
        pull = anchor.pull(learner, strength)
        learner.fit(params, hooks=Hooks(objective(learner, params), after_step=pull.step))
        return Pulled(learner, pull)

    best, points = choose(train, params, start)
    return best.learner, best.report(points)


def train_held(start: Learner, params: PulledParams, held: Held) -> tuple[Learner, dict[str, Any]]:
    """Trains under a pull to where `start` stands, stiff by importance. -> the best, and its report."""
    learner, report = train_pulled(start, params, Anchor.of(start, held.importance))
    return learner, report | {"held_by": held.source}


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
