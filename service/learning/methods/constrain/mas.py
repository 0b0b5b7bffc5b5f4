"""Memory aware synapses: weights to which the outputs are sensitive are held stiffly; no label is needed for that.

How sensitive is the mean over rows of |gradient of the squared norm of the outputs|, row by row: sizes are taken before
the mean, or rows would cancel each other. It works on any rows, so on unlabelled ones and on imported networks, too.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from service.contract.enums import Family
from service.learning.method import Data, Learned, Method
from service.learning.methods.constrain.anchored import Anchor, Pulled, PulledParams, train_held
from service.learning.methods.constrain.importance import Importance, old_rows, sample_of, unlabelled_rows
from service.learning.methods.constrain.per_row_gradients import sensitivity
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.multiply_adds import forward_cost
from service.learning.run import Run
from service.learning.training.fit import Labelled
from service.learning.training.learner import Learner
from service.learning.training.unfreezing import unfit

STATE = "state.mas"


class Params(PulledParams):
    """What every gradient method takes, the strength in units of the mean importance, and how long the past counts."""

    memory: float = Field(
        0.5, ge=0, le=1, description="Share of the importances that earlier updates left; the rest is this update's."
    )


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Cross-entropy on the batch's learning rows; after each step shared weights go back, by their sensitivity."""
    start = Learner.start(base, data, run, unfreeze=params.unfreeze)
    if base is None:
        start.fit(params)
        return _finish(Pulled(start, Anchor.of(start).pull(start, 0.0)), None, params, {})
    held, told = _held(start)
    best, details = train_held(base, data, params, start, held, told, run)
    return _finish(best, held, params, details)


def output_sensitivity(learner: Learner, rows: Labelled, columns: int) -> dict[str, Tensor]:
    """Sum over rows of |d (squared norm of the first `columns` outputs / columns) / d theta|, by parameter."""

    def asked(logits: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        scores = (logits[:, :columns] ** 2).mean(1, keepdim=True)
        return scores, torch.ones_like(scores.detach())

    learner.multiply_adds += rows.rows * forward_cost(learner.body, rows.x[:1]) * 3
    return sensitivity(learner.body, rows.x, asked, torch.abs, learner.run)


def _held(start: Learner) -> tuple[Importance, str]:
    """What holds the base's weights, and in words where that comes from."""
    recalled = Importance.recalled(start, STATE)
    if recalled is not None:
        return recalled, "what earlier updates by mas left"
    known = float(max(start.data.known_rows, 1))
    rows, said = old_rows(start), "rows of what was known"
    if not rows.rows:
        rows, said = _all_rows(start), "rows of this update, since none of what was known is at hand"
    measured = Importance.normalised(output_sensitivity(start, rows, start.known), known) if rows.rows else None
    if measured is not None:
        start.notes.append(f"The base was not made by mas, so its weights were measured now, on {rows.rows} {said}.")
        return measured, said
    start.notes.append("No row moves an output of the base, so its weights are all held alike, as l2_sp does.")
    return Importance.alike(start.body, known), "nothing; all weights alike"


def _all_rows(learner: Learner) -> Labelled:
    """Learning rows of the batch and its unlabelled ones, at most 500; what their labels are is not looked at."""
    return sample_of(learner, learner.batch + unlabelled_rows(learner))


def _finish(best: Pulled, held: Importance | None, params: Params, details: dict[str, object]) -> Learned:
    """Measure the weights on the new rows, mix with what was held, and keep it for the next update."""
    learner = best.learner
    rows = _all_rows(learner)
    sums = output_sensitivity(learner, rows, len(learner.classes)) if rows.rows else {}
    unlabelled = len(learner.data.unlabelled)
    new = Importance.normalised(sums, float(len(learner.data.batch) + unlabelled)) if sums else None
    if rows.rows and new is None:
        learner.notes.append("No new row moves an output, so this update's weights are not held by the next one.")
    kept = held if new is None else new if held is None else held.mixed(new, params.memory)
    told = {"sensitivity": {"rows": rows.rows, "unlabelled": unlabelled}}
    return learner.finish(details | told, state={STATE: kept.stored(learner)} if kept is not None else None)


METHOD = Method(
    name="mas",
    family=Family.CONSTRAIN,
    summary="Holds each weight by how much the outputs move with it; measured without labels, also on imported models.",
    paper="Aljundi, Babiloni, Elhoseiny, Rohrbach, Tuytelaars: Memory aware synapses, 2018, eq. 2-3",
    Params=Params,
    update=update,
    needs=frozenset(),
    good_when="An imported network, or one whose old rows are gone; unlabelled rows of daily use make it better.",
    limits="What moves an output is held, be the output right or wrong. Measured on new rows alone it guards what they "
    "use, and the report notes that; it also notes the share of old rows that new classes have taken.",
    unlabelled=True,
    unfit=unfit,
)
