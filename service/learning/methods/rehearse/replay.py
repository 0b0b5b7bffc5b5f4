"""Experience replay: as many remembered rows as new ones in every step, held to their labels and to the old answers.

The loss is CE(z + log shares) over new and remembered rows + distillation T^2 KL(softmax(z* / T) || softmax(z / T)).
The second term is over the old columns of remembered rows that the version before, z*, got right. This is replay with
behavioural cloning (Rolnick et al., 2019) and balanced softmax (Ren et al., 2020, eq. 4).

Where targets are numbers, both losses are Huber's, and right is an answer that is off by no more than its delta.

What is different here: the memory is the rows of each class with the smallest keyed hashes, the same number a class. So
it does not depend on the order in which rows came, and after a retraction it is what it would have been without the
batch. The softmax is balanced, since new classes would else win for having more rows in every step. Old answers are
kept because few rows are soon learned by heart, and an answer tells more of a row than its label does.
"""

from __future__ import annotations

from functools import partial

from pydantic import Field
from torch import Tensor, nn

from service.contract.enums import Family
from service.learning.absent_rows import refuse_without_rows
from service.learning.method import Learned, Method
from service.learning.method_params import RehearsalParams
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.training.fit import Hooks
from service.learning.training.learner import Learner
from service.learning.training.rehearsal_checks import fit_beside
from service.learning.training.training_set import Labelled, Objective, Step
from service.learning.update_data import Data

TEMPERATURE = 2.0
"""Old and new answers are softened by this before they are compared."""


class Params(RehearsalParams):
    """What every gradient method takes (beside remembered rows a higher rate is stable), and the size of the memory."""

    distillation: float = Field(
        0.3,
        ge=0,
        le=100,
        description="Weight of the divergence from what the version before answered on remembered rows that it got "
        "right; 0: their labels alone.",
    )


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Cross-entropy, balanced, on each step's new rows and as many of the memory, and on these the old answers."""
    learner = Learner.start(base, data, run, unfreeze=params.unfreeze)
    remembered = learner.training_rows.remembered(params.memory_rows)
    memory = learner.training_rows.of(remembered)
    objective = _objective(learner, memory, params) if memory.rows and params.distillation else None
    fit_beside(learner, params, memory, Hooks(objective, balanced=objective is not None))
    return learner.finish({"memory": learner.aim.counts(remembered)})


def _objective(learner: Learner, memory: Labelled, params: Params) -> Objective:
    """The loss; what the version before got wrong is left to the labels."""
    known = learner.known
    own = learner.loss(params)
    teacher = learner.answers(memory)[:, :known]
    right = own.right(teacher, memory.y).float()
    mixed = own.mixed(len(learner.classes), learner.batch.y, memory.y)

    def loss(body: nn.Module, step: Step) -> Tensor:
        z, j = body(step.x), step.memory
        labels = mixed(z, step.y)
        answers = own.between(z[len(step.at) :, :known], teacher[j].to(z.device), TEMPERATURE)
        return labels + params.distillation * (right[j].to(z.device) * answers).mean()

    return loss


METHOD = Method(
    name="replay",
    family=Family.REHEARSE,
    summary="Mixes remembered rows, and the old answers on them, into every step: hard to beat where rows are kept.",
    paper="Rolnick, Ahuja, Schwarz, Lillicrap, Wayne: Experience replay for continual learning, 2019; Ren et al.: "
    "Balanced meta-softmax for long-tailed visual recognition, 2020",
    Params=Params,
    update=update,
    needs=frozenset({"kept"}),
    good_when="A trained network must learn new classes and rows of the old ones are kept.",
    limits="On a drifting stream the remembered rows are the wrong past; few remembered rows are learned by heart.",
    refuse=partial(refuse_without_rows, "replay"),
)
