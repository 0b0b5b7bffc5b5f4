"""The exact head: ridge regression on a fixed lift of the input, solved from integer sums that forget nothing.

It equals the joint solution on every row ever learned, whatever the order in which rows and classes arrived, and a
batch can be taken out again exactly. A tempered prior keeps rare classes answerable.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from service.contract.enums import Family
from service.learning.checkpoint import Checkpoint
from service.learning.closed_form import ExactParams, Form, unfit
from service.learning.exact import learn_exactly
from service.learning.features import Space
from service.learning.ground import Ground, as_base, ground_for
from service.learning.method import Data, Learned, Method, Run
from service.learning.new_columns import can_stay, with_old_columns
from service.learning.strength import ALPHAS, Ridge

SEARCHED_WIDTH, SEARCHED_AUTO = 1200, 1000
"""Features up to which the whole grid is searched at every update; above, when the rows pass a power of two. Behind
lifts that `auto` chose fewer: those depend on the order of the rows anyway."""

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
    discriminants: bool = Field(
        default=False,
        description="Add linear discriminants of the same sums, in one scale: a second solution, more often right. "
        "They are left out where ridge alone is surely better on rows kept back for choosing.",
    )
    stable_scores: bool = Field(
        default=False,
        description="Where classes are new, the raw scores (logits) of old ones keep their bits, at some cost in "
        "accuracy.",
    )


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Add the batch to the sums and solve. Every batch works: new, known or mixed classes, one row, one class, none."""
    base = params.under(base, data)
    whole = (params.alpha,) if params.alpha != "search" else (FADING_ALPHA,) if params.fades else ALPHAS
    ridge = Ridge(params.tau, whole, params.discriminants)
    kept = base if base is not None and params.stable_scores and can_stay(base, data) else None
    ground = (
        as_base(kept, data)
        if kept is not None
        else ground_for(base, data, params.kinds, params.width, ridge, run, params.fades)
    )
    form = Form(params.tau, _settled(ridge, base, data, params, ground))
    if kept is None:
        return learn_exactly(base, data, ground, form, params, run)
    whole_head = learn_exactly(base, data, ground, form, params.model_copy(update={"per_source": False}), run)
    return with_old_columns(kept, whole_head, data)


def _settled(ridge: Ridge, base: Checkpoint | None, data: Data, params: Params, ground: Ground) -> Ridge:
    """With what a wide head keeps of the base's choices until the rows pass a power of two: alpha where it is searched,
    and that discriminants are left out (where they are not, asking again costs nothing)."""
    exact = base.layout.exact if base is not None else None
    searched = SEARCHED_WIDTH if ground.lift_named else SEARCHED_AUTO
    if base is None or exact is None or ground.space.width <= searched:
        return ridge
    passed = data.known_rows.bit_length() < (data.known_rows + len(data.batch)).bit_length()
    if passed or not len(data.batch) or exact.prior != params.tau or Space.of(base).id != ground.space.id:
        return ridge
    if params.alpha == "search" and exact.alpha is not None:
        ridge = replace(ridge, grid=(exact.alpha,))
    if params.discriminants and exact.left_out:
        ridge = replace(ridge, discriminants=False, left_out=True)
    return ridge


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
    unfit=unfit,
)
