"""A linear probe: the trunk stands still, and a head is trained on its features by gradient.

The loss is CE over features of new rows and pseudo-features h ~ N(mu_k, S) of each known class k (after PASS, Zhu et
al., 2021, which adds noise of one size to class means). So new classes are learned without a stored row and old ones
stay.

What is different here: mu_k and S, the spread within classes, come from the exact ledger. With `unfreeze` the last
blocks of the trunk train too, at a tenth of the head's rate, which moves the feature space.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from service.contract.enums import Family
from service.contract.targets.class_target import ClassTarget
from service.learning.method import Learned, Method
from service.learning.method_params import UNFREEZING_COSTS, OfOneKind, TrunkParams, UnfrozenBlocks
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.growth import neck_widths
from service.learning.run import Run
from service.learning.training.learner import Learner
from service.learning.training.training_set import Labelled
from service.learning.update_data import Data, Setting

NO_PSEUDO_FEATURES = (
    "pseudo_features are drawn of the classes that were known, and the targets of this model are numbers. Leave "
    "pseudo_features out; ridge and replay remember what was known."
)

NO_NEW_HEAD = (
    "A new head starts from nothing, and no pseudo-features stand in for what was known of numbers. Leave hidden out, "
    "or learn all kept rows with retrain and an mlp."
)


class Params(TrunkParams):
    """What every gradient method takes; with another rate and more passes, since the trunk is passed only once."""

    of_one_kind: ClassVar[OfOneKind] = {
        "pseudo_features": (ClassTarget, NO_PSEUDO_FEATURES),
        **TrunkParams.of_one_kind,
    }

    epochs: int = Field(30, ge=1, le=1000, description="Passes over the features.")
    pseudo_features: bool | None = Field(
        None, description="Stand-ins for rows of the classes that were known; null: where targets are classes."
    )
    hidden: list[Annotated[int, Field(ge=1, le=4096)]] = Field(
        default=[], max_length=3, description="Hidden layers of a new head; [] keeps the head that there is."
    )
    unfreeze: UnfrozenBlocks = Field(
        0,
        description="Blocks of the backbone that train too, at a tenth of the head's rate: the last ones, so many; all "
        f"of them; or layers by name.{UNFREEZING_COSTS}",
    )

    def unfit(self, setting: Setting) -> tuple[str, str] | None:
        """Refuses, too, a new head of numbers that knows nothing of what was learned."""
        if self.hidden and setting.live is not None and not setting.target.has_classes:
            return self.misfit(setting.target) or ("hidden", NO_NEW_HEAD)
        return super().unfit(setting)

    @model_validator(mode="after")
    def _new_head_needs_old_classes(self) -> Params:
        if self.hidden and self.pseudo_features is False:
            raise ValueError(
                "a new head starts from nothing, so it needs pseudo_features of the classes that were known"
            )
        return self


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Cross-entropy on the batch's features and pseudo-features of known classes; early stop on selecting rows.

    Raises MethodRefused where there is no block to unfreeze.
    """
    learner = Learner.start(base, data, run, unfreeze=params.unfreeze)
    if params.hidden and params.hidden != neck_widths(learner.network):
        learner.renew_head(params.hidden)
    rows, drawn = learner.batch, 0
    if learner.aim.drawn and params.pseudo_features is not False:
        pseudo = learner.stand_ins(rows)
        rows, drawn = rows + pseudo, pseudo.rows
    done = learner.fit(params, rows, selecting=_selecting(learner))
    return learner.finish({"pseudo_features": drawn, "epochs": done.epochs})


def _selecting(learner: Learner) -> Labelled | None:
    """Selecting rows of history and batch, by which training stops; None where a class of the batch has none."""
    own = learner.selecting
    if not learner.aim.covered(learner.batch.y, own.y):
        return None
    return own + learner.training_rows.selected


METHOD = Method(
    name="linear_probe",
    family=Family.FREEZE,
    summary="Trains a head on frozen features; pseudo-features stand in for the classes that the batch lacks.",
    paper="Zhu, Zhang, Wang, Yin, Liu: Prototype augmentation and self-supervision for incremental learning, 2021",
    Params=Params,
    update=update,
    needs=frozenset({"ledger"}),
    good_when="The features are good, and a head that an exact method cannot give is wanted (hidden layers).",
    limits="What the features do not show cannot be learned. Each known class is taken for one Gaussian. Unfrozen "
    "blocks move old scores, too, and sums of the old features are made anew of kept rows.",
)
