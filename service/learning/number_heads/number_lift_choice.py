"""Compares lifts where targets are numbers: by the squared error of their heads on rows that these never saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from service.contract.inputs import WIDEST_EXACT, InputSpec
from service.contract.tables import TableInput
from service.learning.data.rows import SELECT_FOLD, FeatureRows, Rows
from service.learning.data.target_grid import NumberGrid
from service.learning.exact.lift_choice import (
    LEAST_ROWS,
    SELECTING_ROWS,
    LiftChoice,
    chosen_of,
    lift_names,
    lifted,
    scores_of,
    tried_rows,
    without_rows,
)
from service.learning.ledger.feature_space import Space, feature_rows
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums
from service.learning.network.checkpoint import Layout
from service.learning.network.lifts import (
    NARROW,
    WIDE_ROWS,
    WIDTH,
    Lift,
    LiftKind,
    candidate_lifts,
    lift_of,
    table_candidates,
)
from service.learning.number_heads.equations import NumberEquations, NumberMoments, goals_in_units, grid_of
from service.learning.number_heads.number_out_of_fold import LeavingOut
from service.learning.number_heads.strength import NUMBER_ALPHAS, choose_strength
from service.learning.run import Run
from service.learning.update_data import Data

NUMBER_TABLE_LIFTS: tuple[LiftKind, ...] = ("relu", "fourier")
"""Random features that are tried on tables. Sparse ones made 5 % less error on diamonds, where nothing drifts, but a
feature that hardly any row had may jump: with a decay one week of hotel rooms was off by 45 in place of 25."""
WORTH = 0.02
"""Part of the squared error that lifts beside a pretrained backbone must win: they double the width."""

LEAN = 0.03
"""Part of the squared error that random features of tables may lose and still be chosen: they stay until rows have
doubled, and gain more by these rows. On diamonds the features alone were ahead by 1 to 3 % at 2,000 and 4,000 rows, and
made 13 % more error until 8,000."""


@dataclass(frozen=True)
class BySquaredError:
    """Compares lifts by the mean squared error of their heads, in units of the grid."""

    numbers: NumberGrid
    alphas: Sequence[float] = NUMBER_ALPHAS

    def choose(self, unlifted: Space, rows: Rows, data: Data, run: Run) -> LiftChoice:
        """Chooses by the error on fold 2 of a head of folds 3-9, from sums, ties to the smaller; no judging fold
        decides. With fewer than 200 rows in fold 2, out of fold over folds 2-9; with fewer than 20 rows none is tried.
        """
        tried, spec = tried_rows(rows), data.input
        if len(tried) < LEAST_ROWS:
            return LiftChoice(without_rows(spec), {})
        candidates = candidates_for(spec, len(rows))
        errors = scores_of(candidates, self.error_of_lifts, unlifted, tried, data, run)
        scores = {lift_names(lifts): round(error, 6) for lifts, error in zip(candidates, errors, strict=True)}
        lean = LEAN * errors[0] if isinstance(spec, TableInput) else 0.0
        return LiftChoice(candidates[chosen_of(errors, lean)], scores)

    def error_of_lifts(self, unlifted: Space, tried: Rows, run: Run, lifts: Sequence[Lift]) -> float:
        """The error with these lifts, see `unseen_error`."""
        run.check()
        space = lifted(unlifted, lifts)
        return unseen_error(feature_rows(space, tried, run.silent), space, self.alphas, run)

    def stays(self, base: Layout, grown: Callable[[], Ledger], rows: int) -> dict[str, float] | None:
        """Gives None: lifts are always compared anew."""
        return None

    def beside(self, both: Space, alone: int, rows: Rows, run: Run) -> tuple[bool, dict[str, float]]:
        """Whether lifts beside the first `alone` features of the space win enough, and the errors of both."""
        tried = tried_rows(rows)
        if len(tried) < LEAST_ROWS:
            return False, {}
        entry = feature_rows(both, tried, run)
        fewer = entry.with_features(np.delete(entry.inputs, np.s_[alone : both.features], 1))
        errors = [unseen_error(side, both, self.alphas, run) for side in (fewer, entry)]
        scores = zip((alone, both.features), errors, strict=True)
        return errors[1] < errors[0] * (1 - WORTH), {f"{m} features": round(error, 6) for m, error in scores}


def candidates_for(spec: InputSpec, rows: int) -> list[list[Lift]]:
    """The lifts that are tried for so many rows, smallest first: the scaled vector, alone and beside random features,
    which answer what is not linear and level out where nothing was seen. Of images those that classes have."""
    if isinstance(spec, TableInput):
        return table_candidates(spec, min(rows, WIDE_ROWS), NUMBER_TABLE_LIFTS)
    if len(spec.shape) != 1 or prod(spec.shape) + WIDTH > WIDEST_EXACT:
        return candidate_lifts(spec, min(rows, WIDE_ROWS))
    width = WIDTH if rows > WIDE_ROWS else NARROW
    kinds: list[tuple[LiftKind, ...]] = [("none",), ("none", "relu"), ("none", "fourier")]
    return [[lift_of(spec, kind, width) for kind in side_by_side] for side_by_side in kinds]


def unseen_error(entry: FeatureRows, space: Space, alphas: Sequence[float], run: Run) -> float:
    """The mean squared error on fold 2 of a head of folds 3-9, in units; with fewer than 200 rows in fold 2, that of
    out-of-fold answers to folds 2-9. entry: rows of folds 2-9 in the space."""
    grid = grid_of(space)
    selecting = entry.folds == SELECT_FOLD
    learn, select = Sums.of(entry.take(~selecting)), Sums.of(entry.take(selecting))
    strength = choose_strength(learn, select, grid.size, space.shift, alphas, run)
    if int(selecting.sum()) >= SELECTING_ROWS:
        return float(NumberMoments.of(select, grid.size).squared_errors(strength.head(), space.shift).mean())
    equations = NumberEquations(learn + select, grid.size, space.shift)
    answers = LeavingOut(equations, strength.alpha, grid, run).answers(entry, np.ones(len(entry)))
    misses = answers - goals_in_units(entry, grid)
    return float(np.nanmean(misses**2)) if np.isfinite(misses).any() else np.inf
