"""Memory aware synapses: weights to which the outputs are sensitive are held stiffly; no label is needed for that.

The loss is CE + strength x sum of O (theta - theta*)^2 with O = mean over rows x of |d |f(x)|^2 / d theta|, where f are
the logits (Aljundi et al., 2018, eq. 2, for the squared norm of the output). Any rows serve: unlabelled ones, too, and
those of an imported network. Where targets are numbers, O = mean over rows and numbers j of |d f_j / d theta|.

Sizes are taken row by row, before the mean, in which rows would cancel.

What is different here: rows of two or more new classes are scored over the new columns alone, unless `masked` is false.
O is brought to mean 1, and the mean of all updates' O by their rows holds the next one; with `memory` what earlier
updates left counts by that share instead, so that the past fades.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from service.contract.enums import Family
from service.learning.method import Learned, Method
from service.learning.methods.constrain.anchored import PulledParams, choose, prepared_held
from service.learning.methods.constrain.importance import (
    Held,
    Importance,
    as_state,
    held_by,
    known_rows,
    old_rows,
    sample_of,
    unlabelled_rows,
)
from service.learning.methods.constrain.per_row_gradients import sensitivity
from service.learning.methods.constrain.strength_trials import Prepared, Pulled
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.network import forward_cost
from service.learning.run import Run
from service.learning.training.learner import Learner
from service.learning.training.training_set import Labelled
from service.learning.update_data import Data

STATE = "state.mas"


class Params(PulledParams):
    """What every gradient method takes, the strength in units of the mean importance, and how long the past counts."""

    memory: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of the importances that earlier updates left; the rest is this update's. null: each by its "
        "rows, so that many small updates do not wipe out what a large one left.",
    )


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Cross-entropy on the batch's learning rows; after each step shared weights go back, by their sensitivity."""
    if base is None:
        start = Learner.start(base, data, run, unfreeze=params.unfreeze)
        start.fit(params)
        return _finish(start, None, params, {})
    chosen = choose(prepare, base, data, params, run)
    return _finish(chosen.best.learner, chosen.importance, params, chosen.report())


def prepare(base: Checkpoint, data: Data, params: Params, run: Run) -> Prepared[Pulled]:
    """What is trained, and what holds its weights."""
    start = Learner.start(base, data, run, unfreeze=params.unfreeze)
    return prepared_held(start, held_by(start, STATE, "what earlier updates by mas left", _measured))


def output_sensitivity(learner: Learner, rows: Labelled, columns: int) -> dict[str, Tensor]:
    """Sum over rows of the sizes of gradients of the first `columns` outputs, see `Aim.sensitive`; by parameter, {}
    without rows."""
    if not rows.rows:
        return {}

    def score(outputs: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        return learner.aim.sensitive(outputs[:, :columns])

    learner.multiply_adds += rows.rows * forward_cost(learner.body) * 3
    return sensitivity(learner.body, rows.x, score, torch.abs, learner.run)


def _measured(start: Learner) -> tuple[Held | None, str]:
    """The sensitivity of a base that mas did not make, on rows of what was known, else on this update's."""
    rows, source = old_rows(start), "rows of what was known"
    if not rows.rows:
        rows, source = _update_rows(start), "rows of this update, since none of what was known is at hand"
    importance = Importance.normalised(output_sensitivity(start, rows, start.known), known_rows(start))
    if importance is None:
        return None, "No row moves an output of the base, so its weights are all held alike, as l2_sp does."
    note = f"The base was not made by mas, so its weights were measured now, on {rows.rows} {source}."
    return Held(importance, source), note


def _update_rows(learner: Learner) -> Labelled:
    """At most 500 of the update's learning rows and of its rows without a label."""
    return sample_of(learner, learner.batch + unlabelled_rows(learner))


def _finish(learner: Learner, held: Importance | None, params: Params, report: dict[str, object]) -> Learned:
    """Measures the weights on the new rows, and stores that for the next update, mixed with what was held."""
    rows, unlabelled = _update_rows(learner), len(learner.data.unlabelled)
    sums = output_sensitivity(learner, rows, len(learner.classes))
    new = Importance.normalised(sums, float(len(learner.data.batch) + unlabelled))
    if rows.rows and new is None:
        learner.notes.append("No new row moves an output, so this update's weights are not held by the next one.")
    if held is None or new is None:
        kept = new or held
    else:
        kept = held.joined(new) if params.memory is None else held.mixed(new, params.memory)
    report = report | {"sensitivity": {"rows": rows.rows, "unlabelled": unlabelled}}
    return learner.finish(report, state=as_state(STATE, kept, learner))


METHOD = Method(
    name="mas",
    family=Family.CONSTRAIN,
    summary="Holds each weight by how much the outputs move with it; measured without labels, also on imported models.",
    paper="Aljundi, Babiloni, Elhoseiny, Rohrbach, Tuytelaars: Memory aware synapses, 2018, eq. 2",
    Params=Params,
    update=update,
    good_when="An imported network, whose old rows are elsewhere; unlabelled rows of daily use make it better.",
    limits="What moves an output is held, be the output right or wrong. Measured on new rows alone it guards what they "
    "use, and the report notes that; it also notes the share of old rows that new classes have taken.",
    unlabelled=True,
)
