"""The interface of a closed form: fit, solve and answer out of fold; ridge and lda implement it.

Once its strength is chosen, a closed form is an `Estimator`: a function from sums to a head.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np

from service.learning.data.near_duplicates import parted
from service.learning.data.rows import FeatureRows, Floats
from service.learning.exact.discriminants import Compared
from service.learning.exact.out_of_fold import LeftOut
from service.learning.exact.solve import Head, gains
from service.learning.ledger.batch_weights import weighted_sums
from service.learning.ledger.sums import Sums
from service.learning.run import UNWATCHED, Run

Name = Literal["ridge", "lda", "both"]
"""Names of closed forms; both: ridge with discriminants beside it."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """The head of the learning rows and how it came about.

    solver: solves the other heads: the one that was asked, or that without its discriminants · alpha: the strength of
    the head, None where the form has none · tried: the score of each strength tried · compared: ridge alone and with
    discriminants, None where that was not asked or rows were too few.
    """

    head: Head
    solver: Solver
    alpha: float | None = None
    tried: dict[float, float] = field(default_factory=dict)
    compared: Compared | None = None


class Solver(Protocol):
    """A closed form with its parameters."""

    @property
    def prior(self) -> float:
        """Power of the counts to which the prior of a class is proportional."""

    @property
    def name(self) -> Name: ...

    def fit(self, learn: Sums, select: Sums, selected: FeatureRows, shift: int, run: Run) -> Fitted:
        """Solves the learning rows; strength and form are those that suit the selecting rows best: `select` are sums of
        all of those, `selected` some of the rows."""

    def solve(self, sums: Sums, shift: int, alpha: float | None) -> Head:
        """Solves any rows with a strength that was chosen before."""

    def out_of_fold(
        self, total: Sums, entry: FeatureRows, shift: int, alpha: float | None, run: Run
    ) -> tuple[Head, Iterator[LeftOut]]:
        """Returns the head of `total`, as `solve` does, and answers to the entry's rows, which are in it, by heads
        without their group of folds."""


@dataclass(frozen=True, eq=False)
class Estimator:
    """A closed form with its strength chosen: makes heads of the same classes from any sums on the grid 2^-shift.

    log_share: what a class's score gains by the logarithm of its share of the rows."""

    solver: Solver
    alpha: float | None
    shift: int
    classes: tuple[str, ...]
    run: Run = UNWATCHED
    log_share: float = 0.0

    def head(self, sums: Sums) -> Head:
        """Solves these sums; a class without rows scores -1e9."""
        return self.solver.solve(sums, self.shift, self.alpha).moved(sums, self.log_share).aligned(self.classes)

    def out_of_fold(self, total: Sums, rows: FeatureRows) -> tuple[Head, Iterator[LeftOut]]:
        """Returns the head of `total`, and answers to these of its rows by heads without their group of folds."""
        head, answers = self.solver.out_of_fold(total, rows, self.shift, self.alpha, self.run)
        if not self.log_share:
            return head, answers
        moved = (replace(a, logits=a.logits + gains(a.classes, total, self.log_share)) for a in answers)
        return head.moved(total, self.log_share), moved

    def weighted_out_of_fold(self, others: Sums, rows: FeatureRows, weight: Mapping[str, float]) -> Floats:
        """Answers weighted rows by heads without their group of folds k = fold // 2. -> [n, C]

        others: weighted sums of everything but these rows · weight: of each batch, its age included. Nothing is
        subtracted from sums: a head does not know a class that its group alone has. Rows with a near-duplicate in
        another fold are not answered.
        """
        group = rows.folds // 2
        sums = {k: weighted_sums(rows.take(group == k), weight) for k in np.unique(group)}
        logits = np.full((len(rows), len(self.classes)), np.nan)
        for k in sums:
            self.run.check()
            rest = others
            for other, more in sums.items():
                rest = rest + more if other != k else rest
            if rest.mass:
                logits[group == k] = self.head(rest).logits(rows.take(group == k).values(self.shift))
        logits[parted(rows.marks, rows.folds)] = np.nan  # a head has learned what is nearly the same
        return logits
