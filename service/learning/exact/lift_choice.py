"""Chooses the lift of a model: each candidate is tried as it would be used, on rows that never judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Protocol

import numpy as np

from service.contract.inputs import InputSpec
from service.contract.tables import TableInput
from service.errors import CorruptArtifact
from service.learning.data.rows import SELECT_FOLD, Array, FeatureRows, Ints, Rows
from service.learning.data.target_grid import NumberGrid
from service.learning.exact.out_of_fold import out_of_fold_logits
from service.learning.exact.solver import Solver
from service.learning.ledger.feature_space import Space, feature_rows
from service.learning.ledger.headless_networks import identity_network
from service.learning.ledger.ledger import Ledger
from service.learning.ledger.sums import Sums
from service.learning.network.checkpoint import Layout, LiftLayout
from service.learning.network.input_scale import scaled_shape
from service.learning.network.lifts import WIDE_ROWS, Lift, candidate_lifts, lift_of, twice_the_filters
from service.learning.network.network import lift_layouts
from service.learning.run import Run
from service.learning.update_data import Data

TRIED_ROWS = 4000
"""Rows on which candidates are tried, those with the smallest hash."""
MOST_CLASSES = 1000
"""Classes that candidates are tried on where there are too many rows for all: a head learns little of one row a class,
and costs the more, the more classes there are."""
SELECTING_ROWS = 200
"""Rows of fold 2 from which they alone decide; until then all rows but the judges' do, out of fold."""
SPREAD_TRIALS = 1000
"""Rows from which on candidates are tried side by side, if there are other processes: below, a trial takes less time
than they do to load."""
LEAST_ROWS = 20
"""Rows below which none is tried, and the lift does not depend on rows."""
WORTH = 0.005
"""Balanced accuracy that more filters, or lifts beside a pretrained backbone, must win: they double the width."""
ROOM = 0.9
"""Balanced accuracy from which on more filters are not tried."""
LEAN = 0.05
"""Balanced accuracy that random features of tables may lose and still be chosen: candidates are tried on 4,000 rows at
most, and these gain more by the rows beyond. On the census they lost 0.03 on 4,000 rows, and with all 15,000 rows
ranked better than the features alone, by 0.002 of AUC."""
AHEAD = 2.0
"""A lift is far behind with so many times the errors ..."""
FAR = 0.01
"""... and so much less balanced accuracy."""

ScoreOf = Callable[[Space, Rows, Run, Sequence[Lift]], float]
"""Scores lifts in front of a space without any, on these rows."""


@dataclass(frozen=True, eq=False)
class LiftChoice:
    """The lifts that were chosen, and each candidate's balanced accuracy; no scores where rows were too few.

    ahead: all others are far behind, on 200 rows of fold 2 or more.
    """

    lifts: list[Lift]
    scores: dict[str, float]
    ahead: bool = False


class LiftTrial(Protocol):
    """How lifts are compared where nobody named one."""

    @property
    def numbers(self) -> NumberGrid | None:
        """The grid of targets that are numbers, None where they are classes."""

    def choose(self, unlifted: Space, rows: Rows, data: Data, run: Run) -> LiftChoice:
        """Chooses lifts of the scaled input, which is the space without any, by `rows` of the data, all there are."""

    def stays(self, base: Layout, grown: Callable[[], Ledger], rows: int) -> dict[str, float] | None:
        """The score of the base's lift where it may stay without a trial. grown: makes the ledger of all rows in the
        base's space, which holds up to 200 rows of fold 2 a class."""

    def beside(self, both: Space, alone: int, rows: Rows, run: Run) -> tuple[bool, dict[str, float]]:
        """Whether lifts beside the first `alone` features of the space help, and the scores of both."""


@dataclass(frozen=True)
class ByAccuracy:
    """Compares lifts by the balanced accuracy of a closed form's heads."""

    solver: Solver
    numbers: NumberGrid | None = None

    def choose(self, unlifted: Space, rows: Rows, data: Data, run: Run) -> LiftChoice:
        """Chooses by the balanced accuracy on fold 2 of a head of folds 3-9, ties to convolutions, or else to the
        smaller; no judging fold decides.

        With fewer than 200 rows in fold 2, out of fold over folds 2-9 instead (groups k = fold // 2); with fewer than
        20 rows or one class: convolutions for images, none for vectors. Where convolutions do best and leave a tenth of
        the rows wrong, twice as many filters are tried, too.
        """
        tried, spec = tried_rows(rows), data.input
        if not _can_tell(tried):
            return LiftChoice(without_rows(spec), {})
        candidates = candidate_lifts(spec, len(rows))
        tried_scores = scores_of(candidates, self.score_of_lifts, unlifted, tried, data, run)
        scores = {lift_names(lifts): round(score, 4) for lifts, score in zip(candidates, tried_scores, strict=True)}
        losses = [-score for score in tried_scores]
        place = chosen_of(losses, LEAN if isinstance(spec, TableInput) else 0.0)
        best, chosen = -losses[place], candidates[place]
        if scores.get(lift_names(without_rows(spec))) == scores[lift_names(chosen)] and len(spec.shape) == 3:
            chosen = without_rows(spec)
        if best >= ROOM:
            enough = int((tried.folds == SELECT_FOLD).sum()) >= SELECTING_ROWS
            return LiftChoice(chosen, scores, enough and _ahead(scores, lift_names(chosen)))
        wider = twice_the_filters(spec, chosen, len(rows))
        if wider is not None:
            score = self.score_of_lifts(unlifted, tried, run, wider)
            scores[lift_names(wider)] = round(score, 4)
            chosen = wider if score > best + WORTH else chosen
        return LiftChoice(chosen, scores)

    def score_of_lifts(self, unlifted: Space, tried: Rows, run: Run, lifts: Sequence[Lift]) -> float:
        run.check()
        space = lifted(unlifted, lifts)
        return unseen_accuracy(feature_rows(space, tried, run.silent), space.shift, self.solver, run)

    def stays(self, base: Layout, grown: Callable[[], Ledger], rows: int) -> dict[str, float] | None:
        """Returns the balanced accuracy of the base's lift on fold 2, by a head of folds 3-9, where it may stay
        untried: it was far ahead when it was chosen, and still does well. None: a lift is to be chosen."""
        exact = base.exact
        if exact is None or not exact.lift_ahead or exact.lift_rows <= WIDE_ROWS < rows:
            return None
        ledger, name = grown(), lift_names(base.lifts) or f"none {prod(scaled_shape(base.input))}"
        selected = ledger.selected
        head = self.solver.solve(ledger.learn, ledger.shift, exact.alpha).aligned(selected.names)
        score = balanced_accuracy(head.logits(selected.values(ledger.shift)), selected.labels)
        return {name: round(score, 4)} if score >= ROOM else None

    def beside(self, both: Space, alone: int, rows: Rows, run: Run) -> tuple[bool, dict[str, float]]:
        """Whether they win enough, and both scores, as in `choose`; False and no scores where rows are too few."""
        tried = tried_rows(rows)
        if not _can_tell(tried):
            return False, {}
        entry = feature_rows(both, tried, run)
        sides = (entry.with_features(entry.inputs[:, :m]) for m in (alone, both.width))
        scores = [unseen_accuracy(side, both.shift, self.solver, run) for side in sides]
        report = {f"{m} features": round(s, 4) for m, s in zip((alone, both.width), scores, strict=True)}
        return scores[1] > scores[0] + WORTH, report


def scores_of(
    candidates: Sequence[list[Lift]], score_of: ScoreOf, unlifted: Space, tried: Rows, data: Data, run: Run
) -> list[float]:
    """Returns what each candidate scores on these rows, tried side by side where that is worth it: other processes have
    no accelerator."""
    here, scores = partial(score_of, unlifted, tried, run), list[float]()
    trials: Iterator[float] = map(here, candidates)
    spread = len(tried) >= SPREAD_TRIALS and run.device.type == "cpu" and run.tasks.has(run.device)
    with data.shared(unlifted, tried) if spread else nullcontext() as read:
        if read is not None:
            trials = run.tasks.each(partial(score_elsewhere, score_of, read, run), [*map(lift_layouts, candidates)])
        while len(scores) < len(candidates):
            run.progress("choosing a lift", len(scores), len(candidates))
            try:
                scores.append(next(trials))
            except CorruptArtifact:  # an erasure swept the shared rows
                trials = map(here, candidates[len(scores) :])
    return scores


def score_elsewhere(
    score_of: ScoreOf, read: Callable[[], tuple[Space, Rows]], run: Run, lifts: Sequence[LiftLayout]
) -> float:
    """Returns the score of lifts that are named by kind and width: their random weights follow from a fixed seed."""
    unlifted, tried = read()
    spec = unlifted.network.layout.input
    return score_of(unlifted, tried, run, [lift_of(spec, lift.kind, lift.width) for lift in lifts])


def lifted(unlifted: Space, lifts: Sequence[Lift]) -> Space:
    """Returns the space of the scaled input behind these lifts."""
    layout = unlifted.network.layout
    return Space.of(identity_network(layout.input, unlifted.network.scale, lifts, layout.numbers))


def chosen_of(losses: Sequence[float], lean: float) -> int:
    """Place of the least loss, the first of equals; where that is the first of all, which has no random features, of
    the least among the others if it is less than `lean` above it."""
    best = min(range(1, len(losses)), key=losses.__getitem__, default=0)
    return best if losses[best] < losses[0] + lean else 0


def lift_names(lifts: Sequence[Lift] | Sequence[LiftLayout]) -> str:
    """Returns kinds and widths, as reports name them."""
    return " + ".join(f"{lift.kind} {lift.width}" for lift in lifts)


def _ahead(scores: Mapping[str, float], best: str) -> bool:
    most = scores[best]
    return all(s <= most - FAR and 1 - s >= AHEAD * (1 - most) for name, s in scores.items() if name != best)


def tried_rows(rows: Rows) -> Rows:
    """Returns the rows to try on, of folds 2-9, those with the smallest hash; where classes are very many, the rows of
    some of them."""
    tried = rows.take(rows.folds >= SELECT_FOLD)
    order = np.argsort(tried.hashes, kind="stable")
    if len(tried) > TRIED_ROWS and len(np.unique(tried.labels)) > MOST_CLASSES:
        _, first = np.unique(tried.labels[order], return_index=True)
        names = tried.labels[order][np.sort(first)[:MOST_CLASSES]]
        order = order[np.isin(tried.labels[order], names)]
    return tried.take(order[:TRIED_ROWS])


def _can_tell(tried: Rows) -> bool:
    return len(tried) >= LEAST_ROWS and len(tried.present()) >= 2


def without_rows(spec: InputSpec) -> list[Lift]:
    image = len(spec.shape) == 3 and min(spec.shape[1:]) >= 3
    return [lift_of(spec, "conv" if image else "none")]


def unseen_accuracy(entry: FeatureRows, shift: int, solver: Solver, run: Run) -> float:
    """Returns the balanced accuracy on fold 2 of a head of folds 3-9; with fewer than 200 rows in fold 2, that of
    out-of-fold answers to folds 2-9.

    entry: rows of folds 2-9 on the grid 2^-shift.
    """
    selecting = entry.take(entry.folds == SELECT_FOLD)
    learn, select = Sums.of(entry.take(entry.folds > SELECT_FOLD)), Sums.of(selecting)
    fitted = solver.fit(learn, select, selecting, shift, run)
    if len(selecting) >= SELECTING_ROWS:
        logits = fitted.head.aligned(entry.names).logits(selecting.values(shift))
        return balanced_accuracy(logits, selecting.labels)
    _, answers = fitted.solver.out_of_fold(learn + select, entry, shift, fitted.alpha, run)
    return balanced_accuracy(out_of_fold_logits(answers, len(entry), entry.names), entry.labels)


def balanced_accuracy(logits: Array, columns: Ints) -> float:
    """Returns the mean over the classes that have rows of their accuracy. logits [n, C], columns [n]; n >= 1"""
    right = np.nan_to_num(logits, nan=-np.inf).argmax(1) == columns
    return float(np.mean([right[columns == k].mean() for k in np.unique(columns)]))
