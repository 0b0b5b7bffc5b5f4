"""Interpolation of weights: fine-tunes, then goes back towards the base as far as is best on rows kept back.

theta(alpha) = (1 - alpha) theta* + alpha theta_tuned for shared weights (WiSE-FT, Wortsman et al., 2022, eq. 1).
Between two networks of one basin every point is a network, and the best one often beats both ends.

What is different here: new columns of the head stay as they were tuned. alpha is chosen on rows kept back: of points as
good as the best, to two standard errors, the one nearest to the middle is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from service.contract.enums import Family
from service.learning.method import Learned, Method
from service.learning.method_params import SCHEDULE, Schedule, TrunkParams
from service.learning.methods.constrain.anchored import shared_weights
from service.learning.methods.constrain.strength_search import Point, preferred
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.training.kept_back import KeptBack, new_share, watch_old
from service.learning.training.learner import Learner
from service.learning.update_data import Data

MIDDLE = 0.5
ALPHAS = tuple(k / 10 for k in range(11))
BARRIER = 0.02
"""How far below both ends a point may fall before the two networks are said to share no basin."""


class Params(TrunkParams):
    """What every gradient method takes, and how far to go."""

    schedule: Schedule = Field("cosine", description=SCHEDULE)
    alpha: Literal["search"] | Annotated[float, Field(ge=0, le=1)] = Field(
        "search",
        description="0 keeps the base, 1 is fine-tuning; search takes it from 0, 0.1, ... 1 by rows kept back for "
        f"choosing, and {MIDDLE:g} where they do not tell.",
    )


class Segment:
    """The line of shared weights from where they stood when this was made to where training left them."""

    def __init__(self, learner: Learner) -> None:
        self.shared = list(shared_weights(learner).values())
        self.base = [p.detach().clone() for p in self.shared]
        self.tuned: list[Tensor] = self.base

    def end(self) -> None:
        """Takes the weights that training left as the far end."""
        self.tuned = [p.detach().clone() for p in self.shared]

    @torch.no_grad()
    def go(self, alpha: float) -> None:
        """Puts the weights at theta(alpha); at 0 and 1 they have the bits of the ends."""
        for p, start, end in zip(self.shared, self.base, self.tuned, strict=True):
            p.copy_(start if alpha == 0 else end if alpha == 1 else torch.lerp(start, end, alpha))


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Cross-entropy on the batch's learning rows, then the best of eleven points on the way back."""
    learner = Learner.start(base, data, run, unfreeze=params.unfreeze)
    segment = Segment(learner)
    kept_back = KeptBack.of(learner) if base is not None else None
    learner.fit(params)
    if kept_back is None:
        return learner.finish()
    segment.end()
    share = new_share(learner)

    def score(alpha: float) -> Point:
        segment.go(alpha)
        return Point(alpha, kept_back.scores(learner), share)

    tried = ALPHAS if params.alpha == "search" else sorted({0.0, params.alpha, 1.0})
    points = [score(alpha) for alpha in tried]
    alpha = preferred(points, _away).strength if params.alpha == "search" else params.alpha
    segment.go(alpha)
    learner.notes += _notes(points, alpha, params.alpha == "search")
    watch_old(learner, learner)
    return learner.finish({"alpha": alpha, "points": [_report(point) for point in points]})


def _away(point: Point) -> float:
    """How far a point is from the middle; a little less on the base's side."""
    return abs(point.strength - MIDDLE + 1e-6)


def _report(point: Point) -> dict[str, Any]:
    report = point.report()
    return {"alpha": report.pop("strength"), **report}


def _notes(points: Sequence[Point], alpha: float, searched: bool) -> list[str]:
    """Notes where nothing could be chosen, the base was kept, or no path leads from one network to the other."""
    notes = []
    if searched and points[0].old is None:
        notes.append("No row of what was known is at hand, so the new rows alone chose alpha; set it to hold more.")
    if searched and alpha == 0:
        notes.append("The rows kept back like the base best: alpha is 0, and no shared weight moved.")
    ends = min(points[0].score, points[-1].score)
    lowest = min(points, key=lambda p: p.score)
    if lowest.score < ends - BARRIER:
        notes.append(
            f"Between the base and the tuned one the score falls to {lowest.score:.3f} (alpha {lowest.strength:g}), "
            f"below both ends ({ends:.3f}): they share no basin. A lower lr or fewer epochs stay nearer; l2_sp does."
        )
    return notes


METHOD = Method(
    name="interpolate",
    family=Family.CONSTRAIN,
    summary="Fine-tunes, then goes back part of the way to the previous version, as far as is best on rows kept back.",
    paper="Wortsman et al.: Robust fine-tuning of zero-shot models (WiSE-FT), CVPR 2022, eq. 1",
    Params=Params,
    update=update,
    good_when="Known classes in a new region or style, where both the old and the new rows must be answered well.",
    limits="Points between the old network and the fine-tuned one answer well only while the two are near: keep lr "
    "moderate; the report notes where they do not. New classes are not balanced against old ones, and the report notes "
    "the share of old rows that they take.",
)
