"""The exact head: ridge regression on a fixed lift of the input, solved from integer sums that forget nothing.

h is the lifted input or a frozen backbone's features (ACIL, Zhuang et al., 2022; RanPAC, McDonnell et al., 2023). Of
all n rows ever learned, in C classes, class k has n_k with the mean mu_k. The score z_k and the probability p:

```
pi_k = n_k^tau / sum_j n_j^tau,    mu = sum_k pi_k mu_k
S    = sum over rows (h - mu_own) (h - mu_own)' / (n - C)
w_k  = (S + sum_j pi_j (mu_j - mu) (mu_j - mu)' + alpha D)^-1 pi_k (mu_k - mu)
b_k  = pi_k - w_k' mu
z_k  = w_k' h + b_k + g log(n_k / n),    p = softmax(z / T)
```

- w and b are a ridge regression of one-hot answers in which a class counts pi_k, whatever its rows. tau is 0.25 unless
  `prior` names it, so a rare class stays answerable; with tau 1 it is ordinary ridge, but for n - C in place of n.
- S, the spread within classes, is pooled and not weighed by pi: each row counts alike, so a class with few rows borrows
  the spread of all.
- D is diagonal, with the variance of each feature over all rows (at least 1e-6 of their mean): columns of every unit
  are shrunk alike.
- alpha is searched at every update: heads of seven rows in ten answer one in ten, kept back for choosing. Of the alphas
  whose squared error, weighed as above, is within a tenth of the least, the smallest is taken; on tables the best.
- T and g are fitted to the log loss of these rows kept back, once they are 50. Each row stands for its part of all
  learned rows of its class, so scores are right for rows that come in the shares that were learned. g / T is 0 to 1,
  and drawn to 0 while they are few, as by a normal prior of standard deviation sqrt(rows / 200). g is 0 unless `prior`
  is fitted, as it is by default.
- With `discriminants` those of lda are added to z, in the unit in which both set the class means apart as far.

What it rests on, sums of h h' and of h by class, are integers. So w does not depend on the order in which rows and
classes arrived, and a batch can be taken out again exactly. In one feature space alpha, T and g are functions of the
rows, too. With `decay` or `source_weights` rows count less, in n_k as in the sums.

Where targets are numbers y, w = (S + alpha D)^-1 cov(h, y) and b = mean(y) - w' mean(h), with S the covariance of h
over all rows. D is at least a hundredth of its mean: a feature that hardly any row has must not jump on the next.

What a fitted `prior` trades: more answers are right, but rare classes are answered less often. In brackets with
`prior` 0.25: on nine streams of two classes, the rare one of 4 to 20 %, accuracy is 0.954 (0.945), its mean over the
classes 0.772 (0.819), and scores are 0.010 (0.014) off what is right. On six streams of 5, 10 and 26 unequal classes
these are 0.884 (0.881), 0.772 (0.778) and 0.042 (0.046). Were all rows kept back counted alike, of which rare classes
have more, scores would be 0.035 off on the nine. Classes that come late with five or 20 rows are found as often either
way, with 100 rows each beside 6,000 a little less (0.614, 0.652). Where a rare class must not be missed, ask for
`prior` 0.25 or less: then its scores are too high.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from service.contract.enums import Family
from service.contract.targets.class_target import ClassTarget
from service.contract.targets.number_target import NumberTarget
from service.learning.exact.exact_head import learn_exactly
from service.learning.exact.frozen_features import features_of_base, frozen_features_for
from service.learning.exact.lift_choice import ByAccuracy
from service.learning.exact.params import ExactParams
from service.learning.exact.ridge_solver import ALPHAS, TABLE_ALPHAS, Alphas, Ridge, alphas_of
from service.learning.exact.stable_columns import can_stay, with_old_columns
from service.learning.method import Learned, Method
from service.learning.method_params import NO_STABLE_SCORES, OfOneKind
from service.learning.network.checkpoint import Checkpoint
from service.learning.number_heads.learn import learn_numbers
from service.learning.number_heads.strength import NUMBER_ALPHAS
from service.learning.run import Run
from service.learning.update_data import Data

FADING_ALPHA = 0.1
"""The strength where older batches count less: rows kept back are of the same batches as those that are learned, so
they cannot tell how far the next batch will be from them. On employment, stops and late, which come in order of time
(`benchmarks.drift`), mean accuracy is 0.794, 0.797, 0.798, 0.796 and 0.792 with 0.01, 0.1, 0.3, 1 and 3, AUC 0.812,
0.823, 0.822, 0.823 and 0.819."""


def _of_classes(name: str, why: str) -> tuple[type[ClassTarget], str]:
    return ClassTarget, f"{name} means nothing here: {why}, and the targets of this model are numbers. Leave it out."


class Params(ExactParams):
    """What every closed form takes, and the strength."""

    of_one_kind: ClassVar[OfOneKind] = {
        "prior": _of_classes("prior", "it weighs classes by how many rows they have"),
        "discriminants": _of_classes("discriminants", "they set classes apart"),
        "stable_scores": (ClassTarget, NO_STABLE_SCORES),
    }

    alpha: Literal["search"] | Annotated[float, Field(gt=0, le=1e6)] = Field(
        default="search",
        description="Strength of the ridge, in units of each feature's variance; search takes it from "
        f"{', '.join(f'{alpha:g}' for alpha in ALPHAS)} by rows kept back for choosing; {FADING_ALPHA:g} with a decay. "
        f"On tables: {', '.join(f'{alpha:g}' for alpha in TABLE_ALPHAS)}. "
        f"Of numbers: {', '.join(f'{alpha:g}' for alpha in NUMBER_ALPHAS)}.",
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
    """Adds the batch to the sums and solves. Every batch works: new, known or mixed classes, one row or none."""
    base = params.under(base, data)
    alphas = alphas_of(data.input)
    if params.alpha != "search" or params.fades:
        alphas = Alphas((FADING_ALPHA if params.alpha == "search" else params.alpha,))
    ridge = Ridge(params.tau, alphas, params.discriminants)
    kept = base if base is not None and params.stable_scores and can_stay(base, data) else None
    frozen = (
        features_of_base(kept, data)
        if kept is not None
        else frozen_features_for(base, data, params.lifts, ByAccuracy(ridge), run, params.fades)
    )
    if kept is None:
        return learn_exactly(base, data, frozen, ridge, params, run)
    whole_head = learn_exactly(base, data, frozen, ridge, params.model_copy(update={"per_source": False}), run)
    return with_old_columns(kept, whole_head, data)


def numbers(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Does the same where targets are numbers: their sums are columns of the same ledger."""
    return learn_numbers(base, data, params, run, NUMBER_ALPHAS if params.alpha == "search" else (params.alpha,))


METHOD = Method(
    name="ridge",
    family=Family.FREEZE,
    summary="Solves the head in closed form from exact sums of all rows ever learned; nothing is forgotten.",
    paper="McDonnell, Gong, Parvaneh, Abbasnejad, van den Hengel: RanPAC, random projections and pre-trained models "
    "for continual learning, NeurIPS 2023; Zhuang et al.: ACIL, analytic class-incremental learning, NeurIPS 2022",
    Params=Params,
    update=update,
    good_when="Nearly always: new classes, known classes, few rows or many; an update takes a fraction of a second.",
    limits="The features stand still: what the lift or the frozen backbone does not show cannot be learned.",
    others={NumberTarget: numbers},
)
