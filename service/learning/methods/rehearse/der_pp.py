"""Dark experience replay: remembered rows keep the scores they had when they were learned, and their labels.

Each step draws twice from the memory: the first rows are held to the scores that the version gave which learned them,
the second to their labels. Scores are kept with the columns there were then and compared on those alone; a row that
comes from elsewhere (learned by another method) has those of the version before.
"""

from __future__ import annotations

from functools import partial

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from service.contract.enums import Family
from service.learning.data.memory import remember
from service.learning.data.rows import Rows
from service.learning.method import Data, Learned, Method, TrunkParams
from service.learning.methods.rehearse.stored_logits import Scores, recall
from service.learning.network.checkpoint import Checkpoint
from service.learning.retention import refuse_without_rows
from service.learning.run import Run
from service.learning.training.fit import Labelled, Objective, Step, logits
from service.learning.training.learner import DRAWS, Learner
from service.learning.training.losses import log_shares
from service.learning.training.rebalance import LEVEL
from service.learning.training.rehearsal_checks import Watch
from service.learning.training.unfreezing import unfit

STATE = "state.der_pp"
MANY_WRONG = 0.1
"""Share of remembered scores that name another class than the row's label, from which the report says so."""


class Params(TrunkParams):
    """What every gradient method takes, the size of the memory, and how much each draw from it counts."""

    lr: float = Field(0.06, gt=0, le=10, description="Learning rate of SGD with momentum 0.9.")
    memory_rows: int = Field(
        500, ge=1, le=100_000, description="Kept rows that are learned again, shared by the classes."
    )
    alpha: float = Field(0.1, ge=0, le=100, description="Weight of the squared distance to the scores that were.")
    beta: float = Field(0.5, ge=0, le=100, description="Weight of the cross-entropy on remembered rows.")


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """CE(new rows) + alpha |z - z'|^2 + beta CE(remembered rows), the two draws independent."""
    learner = Learner.start(base, data, run, unfreeze=params.unfreeze)
    old = learner.training_rows.kept
    remembered = remember(old.take(old.learning), params.memory_rows)
    memory = learner.training_rows.of(remembered)
    before = logits(learner.body, memory.x, run)[:, : learner.known] if memory.rows else torch.zeros(0, learner.known)
    scores = recall(base.parts.get(STATE) if base else None, remembered, before)
    objective = _objective(learner, memory, scores, params) if memory.rows else None
    watch = Watch.before(learner, memory)
    learner.fit(params, memory=memory, objective=objective)
    watch.after()
    wrong = _wrongly_held(scores, memory)
    if wrong > MANY_WRONG:
        learner.notes.append(
            f"{wrong:.0%} of the remembered scores name another class than the row's label, and are held on to. A "
            "smaller alpha holds less, replay holds none."
        )
    told = {"memory": remembered.counts(), "columns_then": _tally(scores.width)}
    return learner.finish(told, state={STATE: _noted(learner, remembered, scores, params)})


def _objective(learner: Learner, memory: Labelled, scores: Scores, params: Params) -> Objective:
    """Of as many remembered rows as new ones: half of them for each draw. Both cross-entropies are balanced."""
    generator, columns, there = learner.run.generator(DRAWS), scores.logits.shape[1], scores.mask
    shares = log_shares(len(learner.classes), learner.batch.y, memory.y, weights=(1.0, params.beta))
    learner.prior_free = LEVEL

    def loss(body: nn.Module, step: Step) -> Tensor:
        own, device = len(step.at), step.x.device
        half = own + -(-own // 2)
        j = torch.randint(memory.rows, (half - own,), generator=generator)
        z = body(torch.cat([step.x[:half], memory.x[j].to(device)]))
        labelled = z[:half] + shares.to(device)
        there_then = there[j].to(device)
        apart = (z[half:, :columns] - scores.logits[j].to(device)) ** 2 * there_then
        held = apart.sum() / there_then.sum().clamp(min=1)
        new = F.cross_entropy(labelled[:own], step.y[:own])
        again = F.cross_entropy(labelled[own:], step.y[own:half])
        total: Tensor = new + params.alpha * held + params.beta * again
        return total

    return loss


def _noted(learner: Learner, remembered: Rows, scores: Scores, params: Params) -> dict[str, Tensor]:
    """The next memory with its scores: those that were, and of what this update taught, the ones it ended with."""
    view, own = learner.training_rows, learner.data.batch
    rows = Rows.concat([view.kept, own])
    chosen = remember(rows.take(rows.learning), params.memory_rows)
    after = logits(learner.body, view.of(chosen).x, learner.run)
    return recall(scores.noted(remembered), chosen, after).noted(chosen)


def _wrongly_held(scores: Scores, memory: Labelled) -> float:
    """Share of rows whose own class had a column when they were learned, and another one scored higher."""
    there = memory.y < scores.width
    if not bool(there.any()):
        return 0.0
    best = scores.logits.masked_fill(scores.mask == 0, -torch.inf).argmax(1)
    return float((best != memory.y)[there].double().mean())


def _tally(width: Tensor) -> dict[str, int]:
    """Rows of the memory by how many columns there were when they were learned."""
    counts = width.bincount()
    return {str(k): int(counts[k]) for k in counts.nonzero().flatten().tolist()}


METHOD = Method(
    name="der_pp",
    family=Family.REHEARSE,
    summary="Holds remembered rows to the scores they had when they were learned, and to their labels.",
    paper="Buzzega, Boschini, Porrello, Abati, Calderara: Dark experience for general continual learning: a strong, "
    "simple baseline, NeurIPS 2020, eq. 6",
    Params=Params,
    update=update,
    needs=frozenset({"kept"}),
    good_when="A trained network must learn new classes, old rows are kept, and old scores shall change little.",
    limits="What an old version got wrong is held on to as well; few remembered rows are learned by heart.",
    refuse=partial(refuse_without_rows, "der_pp"),
    unfit=unfit,
)
