"""Ridge or discriminants: which closed form answers the rows at hand better, from the same sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from service.contract.inputs import PretrainedBackbone
from service.learning.batch import SELECT_FOLD
from service.learning.checkpoint import Checkpoint
from service.learning.features import Space
from service.learning.ground import ground_for
from service.learning.lift_choice import SELECTING_ROWS, Fitted, balanced_accuracy
from service.learning.method import Data, Run
from service.learning.solve import Head, out_of_fold, solve_lda, solve_ridge
from service.learning.strength import choose_alpha
from service.learning.sums import Sums

Name = Literal["ridge", "lda"]

RIDGE_PRIOR, LDA_PRIOR = 0.25, 0.0
"""What each form takes where nobody says."""
LEAST_ROWS = 20
"""Rows below which nothing can be told."""
MARGIN = 0.005
"""What serves stays unless the other is better by more than this."""


@dataclass(frozen=True)
class BetterForm:
    """The form, and the balanced accuracy of each on rows that it had not seen; none where too few could tell."""

    name: Name
    scores: dict[str, float]
    rows: int = 0

    def told(self) -> str:
        """In a sentence."""
        if not self.scores:
            return "too few rows to compare it with lda"
        other: Name = "lda" if self.name == "ridge" else "ridge"
        return (
            f"of {self.rows:,} rows it had not seen {self.name} answers {self.scores[self.name]:.3f} rightly, class by "
            f"class, {other} {self.scores[other]:.3f}"
        )


def better_form(base: Checkpoint | None, data: Data, run: Run) -> BetterForm:
    """By balanced accuracy on selecting rows, which no judge will see, by heads of the learning rows.

    With fewer than 200 of those the update's own rows are asked too, out of fold. In the base's feature space, or for a
    first version in that of the pretrained backbone; where there is none yet, ridge, whose lift is chosen as it learns.
    A tie goes to what serves, else to ridge. Costs two solutions where there are rows enough and a ridge serves.
    """
    exact = base.layout.exact if base is not None else None
    usual: Name = exact.method if exact is not None else "ridge"
    space = _space(base, data, run)
    if space is None:
        return BetterForm("ridge", {})
    ledger = data.grown(space)
    own = data.entry(space)
    own = own.take(own.folds >= SELECT_FOLD)
    kept = ledger.selected
    if len(kept) < SELECTING_ROWS:
        mine = np.array([batch in own.batches for batch in kept.batches], bool)
        kept = kept.take(~mine[kept.batch])
    else:
        own = own.take(np.zeros(0, np.int64))
    classes, rows = ledger.unjudged.classes, len(own) + len(kept)
    if rows < LEAST_ROWS or len(classes) < 2:
        return BetterForm(usual, {}, rows)
    alpha = exact.alpha if exact is not None else None
    if alpha is None:
        alpha = choose_alpha(ledger.learn, ledger.select, space.shift, RIDGE_PRIOR, check=run.check).alpha
    forms: dict[Name, Callable[[Sums], Head]] = {
        "ridge": lambda sums: solve_ridge(sums, space.shift, alpha, RIDGE_PRIOR).aligned(classes),
        "lda": lambda sums: solve_lda(sums, space.shift, LDA_PRIOR).aligned(classes),
    }
    columns = np.concatenate([own.codes(classes), kept.codes(classes)])
    scores: dict[str, float] = {}
    for name, solve in forms.items():
        run.check()
        answered = out_of_fold(ledger.unjudged, own, space.shift, classes, solve, run.check)
        known = solve(ledger.learn).logits(kept.inputs.astype(np.float64) * space.step)
        scores[name] = round(balanced_accuracy(np.concatenate([answered, known]), columns), 4)
    other: Name = "lda" if usual == "ridge" else "ridge"
    chosen = other if scores[other] > scores[usual] + MARGIN else usual
    return BetterForm(chosen, scores, rows)


def _space(base: Checkpoint | None, data: Data, run: Run) -> Space | None:
    """Where both would be solved; null: not known before the lift is chosen."""
    if base is not None and base.layout.shift is not None:
        return Space.of(base)
    if base is None and isinstance(data.architecture.backbone, PretrainedBackbone):
        return ground_for(None, data, ["none"], None, _Unasked(), run).space
    return None


class _Unasked:
    """A pretrained backbone without lifts leaves nothing for a solver to choose."""

    def fit(self, learn: Sums, select: Sums, shift: int, check: Callable[[], None]) -> Fitted:
        return Fitted(solve_lda(learn, shift))

    def solve(self, sums: Sums, shift: int, alpha: float | None) -> Head:
        return solve_lda(sums, shift)
