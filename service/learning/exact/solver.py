"""What a closed form is: fit, solve, out_of_fold; ridge and lda implement it."""

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
"""Of a closed form; both: ridge and the discriminants beside it."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """The head of the learning rows and how it came about.

    solver: what the other heads are solved by: the one that was asked, or that without its discriminants · alpha: the
    strength it was solved with, null where the form has none · tried: the score of every one · compared: how ridge did
    alone and with discriminants, null where that was not asked or could not be told.
    """

    head: Head
    solver: Solver
    alpha: float | None = None
    tried: dict[float, float] = field(default_factory=dict)
    compared: Compared | None = None


class Solver(Protocol):
    """A closed form: ridge or lda with its parameters."""

    @property
    def name(self) -> Name:
        """How a layout tells of it."""
        ...

    @property
    def left_out(self) -> bool:
        """Whether discriminants were asked for, and ridge alone was surely better."""
        ...

    def fit(self, learn: Sums, select: Sums, selected: FeatureRows, shift: int, check: Callable[[], None]) -> Fitted:
        """Solve the learning rows, with the strength that suits the selecting rows best, and the form: `select` are
        sums of all of those, `selected` rounded features of some."""
        ...

    def solve(self, sums: Sums, shift: int, alpha: float | None) -> Head:
        """Solve any rows with a strength that was chosen before."""
        ...

    def apart(
        self, total: Sums, entry: FeatureRows, shift: int, alpha: float | None, check: Callable[[], None]
    ) -> tuple[Head, Iterator[LeftOut]]:
        """The head of `total`, as `solve` has it, and the entry's rows, which are in it, answered by heads that never
        saw their group of folds."""
        ...
