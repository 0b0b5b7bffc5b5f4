"""Which lift a model gets: each candidate is tried as it would be used, on rows that no judge will see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from service.contract.inputs import InputSpec
from service.learning.data.rows import SELECT_FOLD, Array, FeatureRows, Ints, Rows
from service.learning.exact.out_of_fold import out_of_fold_logits
from service.learning.exact.solver import Solver
from service.learning.ledger.feature_space import Space, feature_rows
from service.learning.ledger.headless_networks import identity_network
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums
from service.learning.network.checkpoint import Layout, LiftLayout
from service.learning.network.input_scale import InputScale, input_reach
from service.learning.network.lifts import WIDE_ROWS, Lift, candidate_lifts, make_lift, twice_the_filters
from service.learning.run import Run

TRIED_ROWS = 4000
"""Rows that candidates are tried on, those with the smallest hash."""
MOST_CLASSES = 1000
"""Classes that candidates are tried on where there are too many rows for all: a head learns little of one row a class,
and costs the more, the more classes there are."""
SELECTING_ROWS = 200
"""Rows of fold 2 from which they alone decide; until then all rows but the judges' do, out of fold."""
LEAST_ROWS = 20
"""Rows below which nothing can be told: the lift that owes nothing to the rows."""
WORTH = 0.005
"""Balanced accuracy that more filters, or lifts beside a pretrained backbone, must win: they double the width."""
ROOM = 0.9
"""Balanced accuracy from which on more filters are not tried."""
AHEAD, FAR = 2.0, 0.01
"""A lift is far behind that answers so many times as often wrong, and that much worse in balanced accuracy."""


@dataclass(frozen=True, eq=False)
class LiftChoice:
    """The lifts that were chosen, and each candidate's balanced accuracy; none where too few rows could tell.

    ahead: all others are far behind, on 200 rows of fold 2 or more.
    """

    lifts: list[Lift]
    scores: dict[str, float]
    ahead: bool = False


def choose_lifts(spec: InputSpec, scale: InputScale, rows: Rows, solver: Solver, run: Run) -> LiftChoice:
    """By balanced accuracy on fold 2 of a head fitted on folds 3-9, ties to the smaller; judging folds are left out.

    `rows`: raw inputs, all there are. With fewer than 200 rows in fold 2, out of fold over folds 2-9 instead (groups
    k = fold // 2); with fewer than 20 rows or one class: convolutions for images, none for vectors. Where convolutions
    do best and leave a tenth of the rows wrong, twice as many filters are tried, too.
    """
    tried = _tried(rows)
    if not _can_tell(tried):
        return LiftChoice(_without_rows(spec), {})
    candidates, scores = candidate_lifts(spec, len(rows)), dict[str, float]()

    def score_of(lifts: list[Lift]) -> float:
        run.check()
        run.progress("choosing a lift", len(scores), len(candidates))
        space = Space.of(identity_network(spec, scale, lifts))
        score = unseen_accuracy(feature_rows(space, tried, run.check), space.shift, solver, run)
        scores[told(lifts)] = round(score, 4)
        return score

    best, chosen = -1.0, candidates[0]
    for lifts in candidates:
        if (score := score_of(lifts)) > best:
            best, chosen = score, lifts
    if best >= ROOM:
        enough = int((tried.folds == SELECT_FOLD).sum()) >= SELECTING_ROWS
        return LiftChoice(chosen, scores, enough and _ahead(scores, told(chosen)))
    wider = twice_the_filters(spec, chosen, len(rows))
    if wider is not None and score_of(wider) > best + WORTH:
        chosen = wider
    return LiftChoice(chosen, scores)


def stays(base: Layout, grown: Callable[[], Ledger], rows: int, solver: Solver) -> dict[str, float] | None:
    """Can the lift of the base stay untried for so many rows, since it was far ahead when it was chosen, and still does
    well on fold 2? -> its balanced accuracy there, by a head of folds 3-9; null: one is to be chosen.

    `grown`: the ledger that knows all rows, in the base's space, which holds up to 200 rows of fold 2 a class.
    """
    exact = base.exact
    if exact is None or not exact.lift_ahead or exact.lift_rows <= WIDE_ROWS < rows:
        return None
    ledger, name = grown(), told(base.lifts) or f"none {prod(base.input.shape)}"
    selected = ledger.selected
    head = solver.solve(ledger.learn, ledger.shift, exact.alpha).aligned(selected.names)
    score = balanced_accuracy(head.logits(selected.values(ledger.shift)), selected.labels)
    return {name: round(score, 4)} if score >= ROOM else None


def told(lifts: Sequence[Lift] | Sequence[LiftLayout]) -> str:
    """Their kinds and widths, as reports name them."""
    return " + ".join(f"{lift.kind} {lift.width}" for lift in lifts)


def _ahead(scores: Mapping[str, float], best: str) -> bool:
    most = scores[best]
    return all(s <= most - FAR and 1 - s >= AHEAD * (1 - most) for name, s in scores.items() if name != best)


def worth_beside(both: Space, alone: int, rows: Rows, solver: Solver, run: Run) -> tuple[bool, dict[str, float]]:
    """Do lifts beside the first `alone` features of the space win enough? -> that, and both scores, as `choose_lifts`
    has them; without rows that could tell: no, and none."""
    tried = _tried(rows)
    if not _can_tell(tried):
        return False, {}
    entry = feature_rows(both, tried, run.check, run.progress)
    sides = (entry.with_features(entry.inputs[:, :m]) for m in (alone, both.width))
    scores = [unseen_accuracy(side, both.shift, solver, run) for side in sides]
    report = {f"{m} features": round(s, 4) for m, s in zip((alone, both.width), scores, strict=True)}
    return scores[1] > scores[0] + WORTH, report


def _tried(rows: Rows) -> Rows:
    """Rows that no judge will see, those with the smallest hash; of very many classes those of some, in which their
    rows stay together."""
    tried = rows.take(rows.folds >= SELECT_FOLD)
    order = np.argsort(tried.hashes, kind="stable")
    if len(tried) > TRIED_ROWS and len(np.unique(tried.labels)) > MOST_CLASSES:
        _, first = np.unique(tried.labels[order], return_index=True)
        names = tried.labels[order][np.sort(first)[:MOST_CLASSES]]
        order = order[np.isin(tried.labels[order], names)]
    return tried.take(order[:TRIED_ROWS])


def _can_tell(tried: Rows) -> bool:
    return len(tried) >= LEAST_ROWS and len(tried.present()) >= 2


def _without_rows(spec: InputSpec) -> list[Lift]:
    image = len(spec.shape) == 3 and min(spec.shape[1:]) >= 3
    return [make_lift("conv" if image else "none", spec.shape, reach=input_reach(spec))]


def unseen_accuracy(entry: FeatureRows, shift: int, solver: Solver, run: Run) -> float:
    """Balanced accuracy on fold 2 of a head of folds 3-9; with fewer than 200 rows in fold 2, on folds 2-9 out of fold.

    entry: rows of folds 2-9 whose inputs are features rounded to the grid 2^-shift.
    """
    selecting = entry.take(entry.folds == SELECT_FOLD)
    learn, select = Sums.of(entry.take(entry.folds > SELECT_FOLD)), Sums.of(selecting)
    fitted = solver.fit(learn, select, selecting, shift, run.check)
    if len(selecting) >= SELECTING_ROWS:
        logits = fitted.head.aligned(entry.names).logits(selecting.values(shift))
        return balanced_accuracy(logits, selecting.labels)
    _, answers = fitted.solver.apart(learn + select, entry, shift, fitted.alpha, run.check)
    return balanced_accuracy(out_of_fold_logits(answers, len(entry), entry.names), entry.labels)


def balanced_accuracy(logits: Array, columns: Ints) -> float:
    """Mean over the classes at hand of the share of their rows answered right. logits [n, C], columns [n]; n >= 1"""
    right = np.nan_to_num(logits, nan=-np.inf).argmax(1) == columns
    return float(np.mean([right[columns == k].mean() for k in np.unique(columns)]))
