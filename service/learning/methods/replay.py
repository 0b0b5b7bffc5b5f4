"""Experience replay: as many remembered rows as new ones in every step.

The memory is the rows with the smallest keyed hash of each class, the same number a class: it does not depend on the
order in which rows came, and after a retraction it is what it would have been without the batch. Its rows are few,
so the loss is a balanced softmax: otherwise new classes would win for having more rows in every step.
"""

from __future__ import annotations

from functools import partial

from pydantic import Field

from service.contract.enums import Family
from service.learning.checkpoint import Checkpoint
from service.learning.learner import Learner
from service.learning.memory import refuse_without_rows, remember
from service.learning.method import Data, GradientParams, Learned, Method, Run
from service.learning.rehearsed import Watch


class Params(GradientParams):
    """What every gradient method takes (beside remembered rows a higher rate is stable), and the size of the memory."""

    lr: float = Field(0.06, gt=0, le=10, description="Learning rate of SGD with momentum 0.9.")
    memory_rows: int = Field(
        500, ge=1, le=100_000, description="Kept rows that are learned again, shared by the classes."
    )


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Cross-entropy, balanced, on each step's new rows and as many rows of the memory."""
    learner = Learner.start(base, data, run)
    old = learner.view.kept
    remembered = remember(old.take(old.learning), params.memory_rows)
    memory = learner.view.of(remembered)
    watch = Watch.before(learner, memory)
    learner.fit(params, memory=memory)
    watch.after()
    return learner.finish({"memory": remembered.counts()})


METHOD = Method(
    name="replay",
    family=Family.REHEARSE,
    summary="Mixes remembered rows into every step: simple, and hard to beat where old rows are kept.",
    paper="Rolnick, Ahuja, Schwarz, Lillicrap, Wayne: Experience replay for continual learning, 2019; Ren et al.: "
    "Balanced meta-softmax for long-tailed visual recognition, 2020",
    Params=Params,
    update=update,
    needs=frozenset({"kept"}),
    good_when="A trained network must learn new classes and rows of the old ones are kept.",
    limits="On a drifting stream the remembered rows are the wrong past; few remembered rows are learned by heart.",
    refuse=partial(refuse_without_rows, "replay"),
)
