"""Learning numbers by closed form: adds the update's rounded features and goals to the ledger, and solves.

The grid of the targets is fitted to the first batch, and stands from then on. One set of sums gives three kinds of
heads: the *served* one knows every row, the *judged* one folds 2-9, and five others answer the update's own rows, each
without its group of folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.learning.data.rows import FeatureRows
from service.learning.data.target_grid import NumberGrid, goals_of
from service.learning.exact.exact_head import SolvedHeads, earlier_with_new_settings, head_parts
from service.learning.exact.frozen_features import FrozenFeatures, frozen_features_for
from service.learning.exact.params import ExactParams
from service.learning.exact.source_heads import PULLS
from service.learning.exact.weighted_data import WeightedData
from service.learning.ledger.batch_weights import BatchWeights
from service.learning.method import Learned
from service.learning.network.checkpoint import Checkpoint
from service.learning.number_heads.equations import NumberEquations, NumberHead, goals_in_units, grid_of, number_head
from service.learning.number_heads.number_lift_choice import BySquaredError
from service.learning.number_heads.number_out_of_fold import LeavingOut, counted
from service.learning.number_heads.number_source_heads import TOO_FEW, answered_by_own, number_source_heads
from service.learning.number_heads.stream_choice import StreamChoice, stream_choice
from service.learning.number_heads.strength import NUMBER_ALPHAS, StrengthChoice, StrengthErrors, choose_strength
from service.learning.run import Run
from service.learning.update_data import Data

REACH_ROWS = 200
"""Rows kept back below which they say too little of where targets end."""
TO_BE_EXACT = ' "decay": 1 asks for the exact head.'


def learn_numbers(
    base: Checkpoint | None, data: Data, params: ExactParams, run: Run, alphas: Sequence[float] = NUMBER_ALPHAS
) -> Learned:
    """Makes the version of a closed form on frozen features. alphas: strengths to choose from, ascending.

    An empty batch solves the ledger anew, as after a retraction. Once no row is known, the next batch begins anew, with
    a grid of its own.
    """
    base = base if base is not None and (base.outputs or data.known_rows) else None
    grid = grid_for(base, data)
    base = params.under(base, data)
    frozen = frozen_features_for(base, data, params.lifts, BySquaredError(grid, alphas), run, _fades(base, params))
    run.check()
    chosen = stream_choice(base, data, frozen, params, alphas)
    frozen, weights = chosen.frozen, BatchWeights(chosen.decay.decay, params.source_weights)
    run.check()
    selected = data.grown(frozen.space).selected
    sources = {selected.sources[k] for k in np.unique(selected.source)} - {""}
    weighted = WeightedData(data, frozen.space, weights, selecting=bool(params.per_source) and len(sources) > 1)
    solved = _solve(weighted, params, chosen.alphas or alphas, run)
    outputs = grid.size if weighted.ledger.all.mass > 0 else 0
    by_order = chosen.alphas is not None and not data.merged
    reach = reach_of(selected, grid) if by_order else []
    exact = {"method": "ridge", "alpha": solved.strength.alpha, "prior": 1.0, "reach": reach}
    made = solved.version(frozen, data, weights, exact, outputs=outputs, classes=[], temperature=1.0)
    return Learned(
        made,
        out_of_fold=solved.out_of_fold,
        details={**frozen.details, **_details(frozen, solved, weights, chosen)},
        notes=(*frozen.notes, *params.notes(data, weights, solved.sources, TOO_FEW, TO_BE_EXACT)),
        multiply_adds=_multiply_adds(frozen, data.entry(frozen.space), solved),
        without=_without(base, made, weighted, run),
    )


def _without(base: Checkpoint | None, made: Checkpoint, weighted: WeightedData, run: Run) -> Checkpoint | None:
    """What the settings of this version make of all rows but the update's own, where they are not those of the base;
    shared heads alone."""
    earlier, grid, exact = earlier_with_new_settings(base, made, weighted), weighted.space.numbers, made.layout.exact
    if earlier is None or grid is None or exact is None or exact.alpha is None:
        return None
    run.check()
    heads = (number_head(sums, grid.size, earlier.shift, exact.alpha) for sums in (earlier.all, earlier.unjudged))
    parts = head_parts(*heads)
    return Checkpoint(made.layout.model_copy(update={"sources": []}), {**made.parts, **parts}, made.learned)


def reach_of(selected: FeatureRows, grid: NumberGrid) -> list[tuple[float, float]]:
    """The least and the largest answer of each number, in units; [] where answers have no end. selected: rows of all
    batches that are kept back for choosing.

    A line goes on for ever, and where a logarithm is learned its exponential soon leaves all that was ever seen: of the
    few large diamonds one was answered by 61,700, where no price is above 18,900. So answers end where the targets of
    these rows end, and beyond by as much as the later half of them went beyond the earlier: where levels grow, answers
    grow, too. Of prices of electricity, whose logarithm is not learned, ends made 4 % more error at spikes.
    """
    if grid.scale != "log" or len(selected) < REACH_ROWS:
        return []
    goals = goals_in_units(selected.take(np.lexsort((selected.row, np.array(selected.batches)[selected.batch]))), grid)
    earlier, low, high = goals[: len(goals) // 2], goals.min(0), goals.max(0)
    ends = 2 * low - earlier.min(0), 2 * high - earlier.max(0)
    return [(float(least), float(most)) for least, most in zip(*ends, strict=True)]


def grid_for(base: Checkpoint | None, data: Data) -> NumberGrid:
    """The grid of the base, or one fitted to the batch."""
    if base is not None and base.layout.numbers is not None:
        return base.layout.numbers
    target, rows = data.target, data.batch
    assert target.kind == "number", "numbers are learned where targets are numbers"
    return NumberGrid.fitted(target, goals_of(target.scale, target.from_, rows.targets, rows.inputs))


@dataclass(frozen=True, eq=False)
class Solved(SolvedHeads[NumberHead]):
    """The heads of numbers. out_of_fold [n, k]: in units"""

    strength: StrengthChoice


def _solve(weighted: WeightedData, params: ExactParams, alphas: StrengthErrors | Sequence[float], run: Run) -> Solved:
    space, ledger = weighted.space, weighted.ledger
    entry, grid = weighted.data.entry(space), grid_of(space)
    run.progress("solving", 0, 3)
    sums = ledger.learn, ledger.select, grid.size, space.shift
    strength = alphas.choose(*sums, run) if isinstance(alphas, StrengthErrors) else choose_strength(*sums, alphas, run)
    alpha = strength.alpha
    run.progress("solving", 1, 3)
    served, out_of_fold = NumberHead.blank(grid.size, space.features), np.full((len(entry), grid.size), np.nan)
    if ledger.all.mass > 0:
        leaving_out = LeavingOut(NumberEquations(ledger.all, grid.size, space.shift), alpha, grid, run)
        served = leaving_out.head
        if len(entry):
            out_of_fold = leaving_out.judged(entry, counted(entry, weighted))
    run.progress("solving", 2, 3)
    judged = number_head(ledger.unjudged, grid.size, space.shift, alpha)
    run.check()
    sources = number_source_heads(params.per_source, weighted, strength.head, alpha, run)
    if sources is not None and len(entry):
        out_of_fold = answered_by_own(sources, weighted, alpha, out_of_fold, run)
    run.progress("solving", 3, 3)
    return Solved(served, judged, out_of_fold, sources, strength)


def _fades(base: Checkpoint | None, params: ExactParams) -> bool:
    """Whether older batches count less: as asked for, else as in the base."""
    if params.decay not in (None, "search") or params.half_life is not None:
        return params.fades
    return base is not None and base.layout.exact is not None and base.layout.exact.decay < 1


def _details(frozen: FrozenFeatures, solved: Solved, weights: BatchWeights, chosen: StreamChoice) -> dict[str, object]:
    by, strength, grid = solved.sources, solved.strength, grid_of(frozen.space)
    return {
        **weights.report(),
        **(by.report() if by else {}),
        **chosen.decay.report(),
        **({"lifts_tested": chosen.errors} if chosen.errors else {}),
        **(
            {"alphas_tested": {f"{alpha:g}": round(e, 6) for alpha, e in chosen.alphas.errors.items()}}
            if chosen.alphas
            else {}
        ),
        "lift": [lift.kind for lift in frozen.layout.lifts] or ["none"],
        "features": frozen.space.features,
        "grid": frozen.space.step,
        "form": "ridge",
        "alpha": strength.alpha,
        "alphas_tried": {f"{alpha:g}": error for alpha, error in strength.errors.items()},
        "target_offset": grid.offset,
        "target_step": grid.step,
    }


def _multiply_adds(frozen: FrozenFeatures, entry: FeatureRows, solved: Solved) -> int:
    """Counts features of the new rows, their sums, a Cholesky of M^3 / 6 a head, and the answers out of fold."""
    width = frozen.space.features
    heads = max(len(solved.strength.errors), 1) + 2
    heads += (len(PULLS) + 2) * len(solved.sources.names) if solved.sources else 0
    sums = 2 * len(entry) * (frozen.space.width + 1) ** 2
    return len(entry) * (frozen.space.multiply_adds + width**2) + sums + heads * (width**3 // 6)
