"""The exact head: ridge regression on a fixed lift of the input, solved from integer sums that forget nothing.

It equals the joint solution on every row ever learned, whatever the order in which rows and classes arrived, and a
batch can be taken out again exactly. A tempered prior keeps rare classes answerable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from service.contract.enums import Family
from service.learning.checkpoint import Checkpoint
from service.learning.closed_form import ExactParams, Form
from service.learning.exact import learn_exactly
from service.learning.features import Space
from service.learning.ground import Ground, ground_for
from service.learning.lift_choice import Fitted
from service.learning.method import Data, Learned, Method, Run
from service.learning.solve import Head, solve_ridge
from service.learning.strength import ALPHAS, DEFAULT_ALPHA, choose_alpha
from service.learning.sums import Sums

SEARCHED_WIDTH = 1200
"""Features up to which the whole grid is searched at every update; above, when the rows pass a power of two."""

FADING_ALPHA = 0.1
"""Where older batches count less: rows kept back are of the same batches as those that are learned, so they cannot tell
how far the next batch will be from them. Measured on prices by the week: 0.760 by such rows, 0.774 with this."""


class Params(ExactParams):
    """What every closed form takes, and the strength."""

    alpha: Literal["search"] | Annotated[float, Field(gt=0, le=1e6)] = Field(
        default="search",
        description="Strength of the ridge, in units of each feature's variance; search takes it from "
        f"{', '.join(f'{alpha:g}' for alpha in ALPHAS)} by rows kept back for choosing; {FADING_ALPHA:g} with a decay.",
    )


@dataclass(frozen=True)
class Ridge:
    """(G_b + alpha D) W = [pi_1 mu_1 ... pi_C mu_C], alpha from `grid`."""

    prior: float
    grid: Sequence[float]

    def fit(self, learn: Sums, select: Sums, shift: int, check: Callable[[], None]) -> Fitted:
        choice = choose_alpha(learn, select, shift, self.prior, self.grid, check)
        return Fitted(choice.head, choice.alpha, choice.scores)

    def solve(self, sums: Sums, shift: int, alpha: float | None) -> Head:
        usual = self.grid[0] if len(self.grid) == 1 else DEFAULT_ALPHA
        return solve_ridge(sums, shift, usual if alpha is None else alpha, self.prior)


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Add the batch to the sums and solve. Every batch works: new, known or mixed classes, one row, one class, none."""
    base = params.under(base, data)
    whole = (params.alpha,) if params.alpha != "search" else (FADING_ALPHA,) if params.fades else ALPHAS
    ground = ground_for(base, data, params.kinds, params.width, Ridge(params.tau, whole), run, params.fades)
    settled = _settled(base, data, params, ground)
    ridge = Ridge(params.tau, whole if settled is None else (settled,))
    return learn_exactly(base, data, ground, Form("ridge", params.tau, ridge), params, run)


def _settled(base: Checkpoint | None, data: Data, params: Params, ground: Ground) -> float | None:
    """The base's alpha, where a wide head keeps it until the rows pass a power of two; null: search the grid."""
    exact = base.layout.exact if base is not None else None
    if base is None or exact is None or ground.space.width <= SEARCHED_WIDTH or params.alpha != "search":
        return None
    passed = data.known_rows.bit_length() < (data.known_rows + len(data.batch)).bit_length()
    if passed or not len(data.batch) or exact.prior != params.tau or Space.of(base).id != ground.space.id:
        return None
    return exact.alpha


METHOD = Method(
    name="ridge",
    family=Family.FREEZE,
    summary="Solves the head in closed form from exact sums of all rows ever learned; nothing is forgotten.",
    paper="McDonnell, Gong, Parvaneh, Abbasnejad, van den Hengel: RanPAC, random projections and pre-trained models "
    "for continual learning, NeurIPS 2023; Zhuang et al.: ACIL, analytic class-incremental learning, NeurIPS 2022",
    Params=Params,
    update=update,
    needs=frozenset(),
    good_when="Nearly always: new classes, known classes, few rows or many; an update takes a fraction of a second.",
    limits="The features stand still: what the lift or the frozen backbone does not show cannot be learned.",
)
