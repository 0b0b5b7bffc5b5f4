"""The interface of a closed form: fit, solve and answer out of fold; ridge and lda implement it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

from service.learning.data.rows import FeatureRows
from service.learning.exact.discriminants import Compared
from service.learning.exact.out_of_fold import LeftOut
from service.learning.exact.solve import Head
from service.learning.ledger.sums import Sums

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
    def name(self) -> Name:
        """Name of the form in layouts."""
        ...

    @property
    def left_out(self) -> bool:
        """Whether discriminants were asked for, and ridge alone was surely better."""
        ...

    def fit(self, learn: Sums, select: Sums, selected: FeatureRows, shift: int, check: Callable[[], None]) -> Fitted:
        """Solves the learning rows; strength and form are those that suit the selecting rows best: `select` are sums of
        all of those, `selected` some of the rows."""
        ...

    def solve(self, sums: Sums, shift: int, alpha: float | None) -> Head:
        """Solves any rows with a strength that was chosen before."""
        ...

    def out_of_fold(
        self, total: Sums, entry: FeatureRows, shift: int, alpha: float | None, check: Callable[[], None]
    ) -> tuple[Head, Iterator[LeftOut]]:
        """Returns the head of `total`, as `solve` does, and answers to the entry's rows, which are in it, by heads
        without their group of folds."""
        ...
