"""Dark experience replay: remembered rows keep the scores they had when they were learned, and their labels.

The loss is CE(new rows) + alpha |z - z'|^2 + beta CE(remembered rows) over two independent draws from the memory, where
z' are the stored scores of the first draw (DER++, Buzzega et al., 2020).

Where targets are numbers, all three are Huber losses: of new rows, between old values and new ones, of remembered rows.

What is different here: both cross-entropies are balanced softmaxes, and |z - z'|^2 is a mean over columns. Scores are
stored with the columns that there were then, and compared on those alone; a row that another method learned has the
scores of the version before.
"""

from __future__ import annotations

from functools import partial

import torch
from pydantic import Field
from torch import Tensor, nn

from service.contract.enums import Family
from service.learning.absent_rows import refuse_without_rows
from service.learning.data.memory import remember
from service.learning.data.rows import Rows
from service.learning.method import Learned, Method
from service.learning.method_params import RehearsalParams
from service.learning.methods.rehearse.stored_logits import Scores, recall
from service.learning.network.checkpoint import Checkpoint
from service.learning.run import Run
from service.learning.training.fit import DRAWS, Hooks
from service.learning.training.learner import Learner
from service.learning.training.rehearsal_checks import fit_beside
from service.learning.training.training_set import Labelled, Objective, Step
from service.learning.update_data import Data

STATE = "state.der_pp"
MANY_WRONG = 0.1
"""Share of remembered scores that name another class than the row's label, from which the report says so."""


class Params(RehearsalParams):
    """What every gradient method takes, the size of the memory, and how much each draw from it counts."""

    alpha: float = Field(0.1, ge=0, le=100, description="Weight of the squared distance to the scores that were.")
    beta: float = Field(0.5, ge=0, le=100, description="Weight of the cross-entropy on remembered rows.")


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Trains on new rows and two draws from the memory, and stores the next memory's scores."""
    learner = Learner.start(base, data, run, unfreeze=params.unfreeze)
    remembered = learner.training_rows.remembered(params.memory_rows)
    memory = learner.training_rows.of(remembered)
    before = learner.answers(memory)[:, : learner.known] if memory.rows else torch.zeros(0, learner.known)
    scores = recall(base.parts.get(STATE) if base else None, remembered, before)
    draws = run.generator(DRAWS)
    objective = _objective(learner, memory, scores, params, draws) if memory.rows else None
    fit_beside(learner, params, memory, Hooks(objective, kept=lambda: [draws], balanced=objective is not None))
    wrong = _wrongly_held(learner, params, scores, memory)
    if wrong > MANY_WRONG:
        learner.notes.append(
            f"{wrong:.0%} of the remembered answers were wrong when they were given, and are held on to. A smaller "
            "alpha holds less, replay holds none."
        )
    report = {"memory": learner.aim.counts(remembered), "columns_then": _tally(scores.width)}
    return learner.finish(report, state={STATE: _next_memory(learner, remembered, scores, params)})


def _objective(
    learner: Learner, memory: Labelled, scores: Scores, params: Params, generator: torch.Generator
) -> Objective:
    """The loss of a step with as many remembered rows as new ones, half of them for each draw."""
    columns, mask = scores.logits.shape[1], scores.mask
    own_loss = learner.loss(params)
    mixed = own_loss.mixed(len(learner.classes), learner.batch.y, memory.y, weights=(1.0, params.beta))

    def loss(body: nn.Module, step: Step) -> Tensor:
        own, device = len(step.at), step.x.device
        half = own + -(-own // 2)
        j = torch.randint(memory.rows, (half - own,), generator=generator)
        z = body(torch.cat([step.x[:half], memory.x[j].to(device)]))
        had_column = mask[j].to(device)
        squares = own_loss.apart(z[half:, :columns], scores.logits[j].to(device)) * had_column
        held = squares.sum() / had_column.sum().clamp(min=1)
        new = mixed(z[:own], step.y[:own])
        again = mixed(z[own:half], step.y[own:half])
        total: Tensor = new + params.alpha * held + params.beta * again
        return total

    return loss


def _next_memory(learner: Learner, remembered: Rows, scores: Scores, params: Params) -> dict[str, Tensor]:
    """The next memory with its scores: the stored ones, and of the update's rows those that it ended with."""
    rows = Rows.concat([learner.training_rows.kept, learner.data.batch])
    memory = remember(rows.take(rows.learning), params.memory_rows)
    after = learner.answers(learner.training_rows.of(memory))
    return recall(scores.stored(remembered), memory, after).stored(memory)


def _wrongly_held(learner: Learner, params: Params, scores: Scores, memory: Labelled) -> float:
    """Share of rows in which another column scored higher, of those whose class had one when they were learned."""
    had_column = learner.aim.had_column(memory.y, scores.width)
    if not bool(had_column.any()):
        return 0.0
    right = learner.loss(params).right(scores.logits.masked_fill(scores.mask == 0, -torch.inf), memory.y)
    return float((~right)[had_column].double().mean())


def _tally(width: Tensor) -> dict[str, int]:
    """Rows of the memory by how many columns there were when they were learned."""
    counts = width.bincount()
    return {str(k): int(counts[k]) for k in counts.nonzero().flatten().tolist()}


METHOD = Method(
    name="der_pp",
    family=Family.REHEARSE,
    summary="Holds remembered rows to the scores they had when they were learned, and to their labels.",
    paper="Buzzega, Boschini, Porrello, Abati, Calderara: Dark experience for general continual learning: a strong, "
    "simple baseline, NeurIPS 2020 (DER++)",
    Params=Params,
    update=update,
    needs=frozenset({"kept"}),
    good_when="A trained network must learn new classes, old rows are kept, and old scores shall change little.",
    limits="What an old version got wrong is held on to as well; few remembered rows are learned by heart.",
    refuse=partial(refuse_without_rows, "der_pp"),
)
