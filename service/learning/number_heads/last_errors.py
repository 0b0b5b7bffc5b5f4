"""Errors of heads on the last batches, before they were learned: by them decay, strength and lift are chosen.

Rows that are kept back for choosing lie among rows of the same days that a head has learned. They flatter small alphas
and wide lifts: over ten streams in time, alphas chosen on them made the mean error on half-hourly demand 1.8 times, and
on the weather a day ahead 1.2 times what those chosen here do; on shuffled rows these cost 0.7 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from service.learning.data.rows import FeatureRows, Floats
from service.learning.data.target_grid import NumberGrid
from service.learning.exact.decay import LAST_BATCHES, DecayChoice, surely_better
from service.learning.exact.ridge_solver import TIE
from service.learning.ledger.batch_weights import BatchWeights
from service.learning.ledger.feature_space import Space
from service.learning.ledger.sums import Sums
from service.learning.network.lifts import Lift
from service.learning.number_heads.equations import NumberMoments, goals_in_units, grid_of
from service.learning.update_data import Data

WORTH = 0.01
"""Part of the mean error that a decay must save: less is not worth an exact head."""
NARROW = 300
"""Features up to which every alpha is tested, in float64. Wider equations are tested in float32, which takes less than
half the time, and by alphas from `LEAST_WIDE` on: no smaller one did better on any of ten streams."""
LEAST_WIDE = 1e-2
BLOCK = 64
"""Rows of the equations that are made at once: they stay in the processor's cache."""
STEP = 2.0**-16
"""Errors below this, in units, count as this: a step of the grid."""


@dataclass(frozen=True, eq=False)
class SettingsChoice:
    """The settings that did best. errors [b]: their mean |error| on each of the last batches, in units · alphas: their
    geometric mean for each one that was tested with this decay."""

    decay: DecayChoice
    alpha: float
    errors: Floats
    alphas: dict[float, float] = field(default_factory=dict)

    def surely_beats(self, other: SettingsChoice, batches: int) -> bool:
        """Whether their errors on the last so many batches are smaller by more than one standard error."""
        gain = (other.errors - self.errors)[-batches:]
        return len(gain) > 1 and float(gain.mean()) > float(gain.std(ddof=1)) / np.sqrt(len(gain))


@dataclass(frozen=True, eq=False)
class LastErrors:
    """Mean |error| in units: errors [decays, batches, alphas], by the head of the batches before each."""

    decays: Sequence[float]
    alphas: Sequence[float]
    errors: Floats

    def choice(self) -> SettingsChoice:
        """Chooses for each decay the alpha with the least geometric mean of the batches' errors, ties to the larger;
        then the decay. Logarithms, so that a week of large errors, or a batch of wrong targets, does not decide alone.

        Of several decays, 1 unless the errors of another are smaller by more than a hundredth, and by more than one
        standard error of the difference, batch by batch: 1 weighs all batches alike.
        """
        logs = np.log(np.maximum(self.errors, STEP))
        means = np.exp(logs.mean(1))
        place = [max(np.flatnonzero(row <= row.min() * (1 + TIE)).tolist()) for row in means]
        by_decay = {d: logs[k, :, place[k]] for k, d in enumerate(self.decays)}
        decay = DecayChoice(self.decays[0])
        if len(self.decays) > 1:
            decay = surely_better({d: (-errors).tolist() for d, errors in by_decay.items()}, WORTH)
            decay = replace(decay, scores={d: float(np.exp(-score)) for d, score in decay.scores.items()})
        chosen = list(self.decays).index(decay.decay)
        alphas = dict(zip(self.alphas, means[chosen].tolist(), strict=True))
        return SettingsChoice(decay, self.alphas[place[chosen]], self.errors[chosen, :, place[chosen]], alphas)


def last_errors(
    data: Data, space: Space, weights: Sequence[BatchWeights], alphas: Sequence[float]
) -> tuple[LastErrors, LastErrors | None] | None:
    """Tests, then trains, over the last batches in the order of their ids. A function of the rows alone.

    weights: those that are compared, which differ in their decay; one is below 1 at least. -> in this space, and of the
    scaled vector alone where lifts stand beside it, from the same sums: its features are the first columns. None before
    the second batch.
    """
    grid = grid_of(space)
    widths = [space.features, *_alone(space)]
    tried = [_tried(width, alphas) for width in widths]
    alike = tried[0] == tried[-1]  # then the equations of both are solved at once
    parts = [(widths, tried[0])] if alike else [([width], some) for width, some in zip(widths, tried, strict=True)]

    def score(before: Sums, entry: FeatureRows) -> list[float]:
        moments, errors = NumberMoments.of(before, grid.size), list[float]()
        for some, of_width in parts:
            errors += errors_by_alpha(moments, some, of_width, entry, grid)
        return errors

    key = f"numbers {alphas!r}"
    scores = data.tested(space, weights, LAST_BATCHES, key, score)
    whole = [k for k in range(len(scores[0])) if all(of_decay[k] for of_decay in scores)]
    if not whole:
        return None
    errors = np.array([[of_decay[k] for k in whole] for of_decay in scores])
    decays, first = [one.decay for one in weights], len(tried[0])
    alone = LastErrors(decays, tried[1], errors[:, :, first:]) if len(tried) > 1 else None
    return LastErrors(decays, tried[0], errors[:, :, :first]), alone


def errors_by_alpha(
    moments: NumberMoments, widths: Sequence[int], alphas: Sequence[float], entry: FeatureRows, grid: NumberGrid
) -> list[float]:
    """Mean |error| in units on the rows of an entry, by the head of these moments with each alpha, of all features and
    then of the first ones alone, so many; infinite where it cannot be solved. widths: descending

    Equations of the first features are the first of all equations, and so is their Cholesky factor.
    """
    from scipy.linalg.lapack import get_lapack_funcs  # of no use to a process that only serves

    moments = moments.first(widths[0])
    goals, scale, mean = goals_in_units(entry, grid) - moments.goal, 1 / np.sqrt(moments.variance), moments.mean
    places = [int(np.searchsorted(moments.columns, width)) for width in widths]
    kind = "float64" if moments.features <= NARROW else "float32"
    left: NDArray[Any] = np.empty((places[0], places[0]), kind)
    for start in range(0, places[0], BLOCK):
        rows, rest = slice(start, start + BLOCK), slice(start, None)
        scatter = moments.products[rows, rest] / moments.mass
        scatter -= mean[rows, None] * mean[rest]
        left[rows, rest] = scatter * (scale[rows, None] * scale[rest])
    right: NDArray[Any] = (moments.cross * scale[:, None]).astype(kind)
    asked: NDArray[Any] = (moments.centred(entry) * scale).astype(kind)
    factor_of, solve = get_lapack_funcs(("potrf", "potrs"), (left,))
    errors = np.full((len(widths), len(alphas)), np.inf)
    for k, alpha in enumerate(alphas):
        shrunk = left.T.copy(order="F")  # of symmetric equations only what is factored in place was made
        shrunk.ravel("K")[:: len(left) + 1] = left.diagonal() + alpha
        factor, failed = factor_of(shrunk, lower=True, overwrite_a=True, clean=False) if len(left) else (left, 0)
        for w, n in enumerate(places):
            if not n:  # nothing tells rows apart: whatever alpha is, the mean answers
                errors[w, k] = np.abs(goals).mean()
            elif not failed:
                weight = solve(factor[:n, :n], right[:n], lower=True)[0]
                errors[w, k] = np.abs(goals - asked[:, :n] @ weight).mean()
    return [float(error) for error in errors.ravel()]


def _alone(space: Space) -> list[int]:
    """Features of the scaled vector, where lifts stand beside it."""
    lifts = space.network.lifts
    beside = len(lifts) > 1 and space.network.layout.backbone.name == "identity"
    first = cast(Lift, lifts[0]) if beside else None
    return [first.width] if first is not None and first.kind == "none" else []


def _tried(width: int, alphas: Sequence[float]) -> list[float]:
    tried = [alpha for alpha in alphas if width <= NARROW or alpha >= LEAST_WIDE]
    return tried or list(alphas)
