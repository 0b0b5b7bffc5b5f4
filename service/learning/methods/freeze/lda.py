"""Linear discriminant analysis from the exact sums: class means, and one covariance that all classes share, shrunk.

score_k(h) = mu_k' L h - mu_k' L mu_k / 2 + log pi_k with L = ((1 - s) S + s tr(S) / M I)^-1, S the covariance within
classes, and s by OAS (streaming LDA, Hayes, Kanan, 2020; Chen et al., 2010).

What is different here: S, mu and s come from integer sums, so the head does not depend on the order of the rows, and a
batch can be taken out exactly, as with ridge. It asks least of a new class: a mean, the spread is that of the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from service.contract.enums import Family
from service.contract.targets.number_target import NumberTarget
from service.learning.data.rows import FeatureRows
from service.learning.exact.exact_head import learn_exactly
from service.learning.exact.frozen_features import frozen_features_for
from service.learning.exact.lift_choice import ByAccuracy
from service.learning.exact.out_of_fold import LeftOut, lda_out_of_fold
from service.learning.exact.params import ExactParams
from service.learning.exact.solve import Head, solve_lda
from service.learning.exact.solver import Fitted, Name
from service.learning.ledger.sums import Sums
from service.learning.method import Learned, Method
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.update_data import Data


class Params(ExactParams):
    """What every closed form takes; by default no class is favoured for its number of rows."""

    prior: Literal["uniform", "counted"] | Annotated[float, Field(ge=0, le=1)] = Field(
        default="uniform",
        description="How much a class's rows count for its prior: their number to this power; uniform 0, counted 1.",
    )


@dataclass(frozen=True)
class Discriminants:
    """score_k = mu_k' L h - mu_k' L mu_k / 2 + log pi_k; the shrinkage of L comes from the sums (OAS)."""

    prior: float
    name: Name = "lda"

    def fit(self, learn: Sums, select: Sums, selected: FeatureRows, shift: int, run: Run) -> Fitted:
        run.check()
        return Fitted(solve_lda(learn, shift, self.prior), self)

    def solve(self, sums: Sums, shift: int, alpha: float | None) -> Head:
        return solve_lda(sums, shift, self.prior)

    def out_of_fold(
        self, total: Sums, entry: FeatureRows, shift: int, alpha: float | None, run: Run
    ) -> tuple[Head, Iterator[LeftOut]]:
        return lda_out_of_fold(total, entry, shift, self.prior, run)


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Adds the batch to the sums and solves. Every batch works: new, known or mixed classes, one row or none."""
    base = params.under(base, data)
    discriminants = Discriminants(params.tau)
    frozen = frozen_features_for(base, data, params.lifts, ByAccuracy(discriminants), run, params.fades)
    return learn_exactly(base, data, frozen, discriminants, params, run)


METHOD = Method(
    name="lda",
    family=Family.FREEZE,
    summary="Solves linear discriminants in closed form from the same exact sums as ridge; good with very few rows.",
    paper="Hayes, Kanan: Lifelong machine learning with deep streaming linear discriminant analysis, CVPR workshops "
    "2020; Chen, Wiesel, Eldar, Hero: Shrinkage algorithms for MMSE covariance estimation, 2010",
    Params=Params,
    update=update,
    lacks={NumberTarget: "its discriminants set classes apart"},
    good_when="A new class has fewer than five rows, or the features are those of a good pretrained backbone.",
    limits="Each class is taken for one Gaussian, all of one shape; the features stand still.",
)
