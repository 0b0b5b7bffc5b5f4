"""Fine-tuning: training goes on for all weights that can move, on the new rows alone.

The loss is CE(new rows). Nothing holds the old knowledge, so classes that the batch lacks are forgotten (catastrophic
interference, McCloskey, Cohen, 1989). It is the baseline that shows what the other methods are for; on known classes
whose inputs have shifted a little it can be all that is needed.
"""

from __future__ import annotations

from pydantic import Field

from service.contract.enums import Family
from service.learning.method import Learned, Method
from service.learning.method_params import SCHEDULE, Schedule, TrunkParams
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.training.kept_back import watch_old
from service.learning.training.learner import Learner
from service.learning.update_data import Data


class Params(TrunkParams):
    schedule: Schedule = Field("cosine", description=SCHEDULE)


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Cross-entropy on the batch's learning rows, from the base's weights."""
    learner = Learner.start(base, data, run, unfreeze=params.unfreeze)
    learner.fit(params)
    watch_old(learner, learner)
    return learner.finish()


METHOD = Method(
    name="fine_tune",
    family=Family.BASELINE,
    summary="Goes on training on the new rows alone; nothing holds what was known.",
    paper="McCloskey, Cohen: Catastrophic interference in connectionist networks, 1989",
    Params=Params,
    update=update,
    good_when="The batch holds every class, in a shape that is new to the model; or to see forgetting.",
    limits="Classes that the batch lacks are forgotten within an epoch or two; the report notes the share of old rows "
    "that new classes have taken.",
)
