"""Training under a pull to where weights stood, at one strength or the best of a few; what all such methods share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field
from torch import Tensor

from service.learning.checkpoint import Checkpoint
from service.learning.importance import Importance
from service.learning.learner import Learner
from service.learning.losses import Pull
from service.learning.method import Data, GradientParams, Run
from service.learning.search import Point, search
from service.learning.training import Labelled, logits, rights

Strength = Annotated[float, Field(ge=0, le=1e12)]
STRENGTHS = (0.1, 1.0, 10.0, 100.0)
"""Of pulls whose importances have mean 1."""
USUAL = 1.0
"""Of those, where rows kept back do not tell them apart."""
TAKEN_OVER = 0.1
"""Share of old rows that are answered with a new class from which the report says so."""


class PulledParams(GradientParams):
    """What every gradient method takes, and how strong the pull is."""

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
        stars = {name: p.detach().clone() for name, p in learner.body.named_parameters()}
        return cls(stars, importance.clipped() if importance else None)

    def pull(self, learner: Learner, strength: float) -> Pull:
        """On the weights that the base had."""
        added = set() if learner.added is None else {id(p) for p in learner.added.parameters()}
        shared = {n: p for n, p in learner.body.named_parameters() if id(p) not in added and n in self.stars}
        stiffness = [self.stiffness[name] for name in shared] if self.stiffness is not None else None
        return Pull([(p, self.stars[name]) for name, p in shared.items()], strength, stiffness)


@dataclass(frozen=True, eq=False)
class Pulled:
    """A learner that was trained under a pull."""

    learner: Learner
    pull: Pull

    def told(self, points: Sequence[Point] = ()) -> dict[str, Any]:
        """For the report: the strength, how far the weights went, what that cost, and what else was tried."""
        self.learner.multiply_adds *= max(len(points), 1)
        told: dict[str, Any] = {
            "strength": self.pull.strength,
            "distance": float(self.pull.distance().detach()),
            "penalty": float(self.pull.loss().detach()),
        }
        return told | ({"points": [point.told() for point in points]} if points else {})


T = TypeVar("T", bound=Pulled)


def choose(
    train: Callable[[float, Run], T],
    strength: Literal["search"] | float,
    start: Learner,
    run: Run,
    strengths: Sequence[float] = STRENGTHS,
    usual: float = USUAL,
) -> tuple[T, tuple[Point, ...]]:
    """Train at the strength, or at each of `strengths` and keep one by rows kept back. -> it, and what was tried.

    `start`: a learner that has not trained, for its rows.
    """
    if strength != "search":
        best = train(strength, run)
        best.learner.notes += taken_over(best.learner, start)
        return best, ()
    old, new = selecting_rows(start)
    found = search(
        train, lambda t: (rights(t.learner.body, old, run), rights(t.learner.body, new, run)), run, strengths
    )
    best = found.best
    best.learner.notes += [*search_notes(found.points, found.strength), *taken_over(best.learner, start)]
    return best, found.points


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

    def train(strength: float, run: Run) -> Pulled:
        learner = Learner.start(base, data, run)
        pull = anchor.pull(learner, strength)
        learner.fit(params, after_step=pull.step)
        return Pulled(learner, pull)

    best, points = choose(train, params.strength, start, run)
    details = best.told(points) | {"held_by": told}
    best.learner.notes += [note for note in start.notes if note not in best.learner.notes]
    best.learner.multiply_adds += start.multiply_adds
    return best, details


def selecting_rows(learner: Learner) -> tuple[Labelled, Labelled]:
    """Selecting rows of what was known (pseudo-rows where there are none) and of the batch (else its learning rows)."""
    old, new = learner.view.selected, learner.selecting
    return old if old.rows else learner.stand_ins(learner.batch), new if new.rows else learner.batch


def search_notes(points: Sequence[Point], strength: float) -> list[str]:
    """What a search could not see, and whether it ended at an end of its grid."""
    if points[0].old is None:
        return ["No row of what was known is at hand, so the new rows alone chose the strength; set it to hold more."]
    if len({point.score for point in points}) == 1:
        return ["Every strength did the same on the rows kept back; the usual one was taken."]
    tried = [point.strength for point in points]
    if strength == min(tried):
        return [
            f"The search ended at its weakest pull, {strength:g}: the new rows need weights that the old ones held."
        ]
    return []


def taken_over(learner: Learner, start: Learner) -> list[str]:
    """A note where new classes have taken old rows: a pull holds weights, not the balance between classes."""
    if not learner.known or learner.known == len(learner.classes):
        return []
    old = selecting_rows(start)[0]
    if not old.rows:
        return []
    share = float((logits(learner.body, old.x, learner.run).argmax(1) >= learner.known).double().mean())
    if share <= TAKEN_OVER:
        return []
    return [
        f"{share:.0%} of the old rows kept back are now answered with a new class: weights are held, the balance "
        "between old classes and new ones is not. ridge, replay and linear_probe hold it."
    ]
