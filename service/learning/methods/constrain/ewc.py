"""Elastic weight consolidation, online: weights that the old answers rest on are held stiffly, the others may move.

The loss is CE + strength x sum of F (theta - theta*)^2 (Kirkpatrick et al., 2017, eq. 3), where F is the diagonal of
the Fisher information of the answers: F = sum over rows x and classes k of p_k(x) (d log p_k(x) / d theta)^2.

Where targets are numbers, the answers f_j are means, and F = sum over rows and j of (d f_j / d theta)^2: no label is
asked.

What is different here: rows of two or more new classes are scored over the new columns alone, unless `masked` is
false. F is exact, for each row the expectation over all classes, and never the square of a batch's
gradient, in which rows cancel. Each update's F is brought to mean 1, so that one strength suits every network. The mean
of all updates' F by their rows holds the next one (online, Schwarz et al., 2018, section 4, with the count in place of
a decay).
"""

from __future__ import annotations

import torch
from torch import Tensor

from service.contract.enums import Family
from service.learning.method import Learned, Method
from service.learning.methods.constrain.anchored import PulledParams, choose, prepared_held
from service.learning.methods.constrain.importance import (
    LABELS,
    Held,
    Importance,
    as_state,
    held_by,
    known_rows,
    mean_of,
    old_rows,
    sample_of,
)
from service.learning.methods.constrain.per_row_gradients import sensitivity
from service.learning.methods.constrain.strength_trials import Prepared, Pulled
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.network import forward_cost
from service.learning.run import Run
from service.learning.training.learner import Learner
from service.learning.training.training_set import Labelled
from service.learning.update_data import Data

STATE = "state.ewc"
EXACT = 10_000
"""Rows x classes up to which the expectation runs over all classes; above, one label a row is drawn."""
SURE = 1e-4
"""Fisher information of a row, summed over all weights, below which a network is too sure to tell weights apart."""


class Params(PulledParams):
    """What every gradient method takes, and the strength of the pull in units of the mean Fisher information."""


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Cross-entropy on the batch's learning rows; after each step weights go back, by Fisher information."""
    if base is None:
        start = Learner.start(base, data, run, unfreeze=params.unfreeze)
        start.fit(params)
        return _finish(start, None, {})
    chosen = choose(prepare, base, data, params, run)
    return _finish(chosen.best.learner, chosen.importance, chosen.report())


def prepare(base: Checkpoint, data: Data, params: Params, run: Run) -> Prepared[Pulled]:
    """What is trained, and what holds its weights."""
    start = Learner.start(base, data, run, unfreeze=params.unfreeze)
    return prepared_held(
        start, held_by(start, STATE, "the Fisher information that earlier updates by ewc left", _measured)
    )


def fisher(learner: Learner, rows: Labelled, columns: int) -> dict[str, Tensor]:
    """Fisher information of the answers over the first `columns`, summed over rows, by parameter; {} without rows."""
    if not rows.rows:
        return {}
    exact = _exact(learner, rows, columns)

    def score(outputs: Tensor, chance: Tensor) -> tuple[Tensor, Tensor]:
        return learner.aim.information(outputs[:, :columns], chance, exact)

    learner.multiply_adds += rows.rows * forward_cost(learner.body) * (1 + 2 * (columns if exact else 1))
    chance = torch.rand(rows.rows, generator=learner.run.generator(LABELS))
    return sensitivity(learner.body, rows.x, score, torch.square, learner.run, chance)


def _exact(learner: Learner, rows: Labelled, columns: int) -> bool:
    return learner.aim.labels is None or rows.rows * columns <= EXACT


def _measured(start: Learner) -> tuple[Held | None, str]:
    """The Fisher information of a base that ewc did not make, on rows of what was known."""
    rows = old_rows(start)
    importance = Importance.normalised(fisher(start, rows, start.known), known_rows(start))
    if importance is None:
        return None, f"{_nothing_known(start, rows)} All are held alike, as l2_sp does."
    return Held(importance, "the Fisher information of the base on rows of what was known"), (
        "The base was not made by ewc, so its Fisher information was measured now, on "
        f"{rows.rows} {'kept rows' if len(start.training_rows.kept) else 'pseudo-rows'} of what was known."
    )


def _nothing_known(start: Learner, rows: Labelled) -> str:
    """Why no weight of the base is known to matter more than another."""
    if not rows.rows:
        return (
            "Nothing tells which of the base's weights matter: it was not made by ewc and no row of what was known is "
            "at hand."
        )
    if start.aim.trivial:
        return "The base knows one class and answers every row with it, so its answer rests on no weight."
    return f"The base is so sure of {rows.rows} rows of what was known that no weight seems to matter to its answers."


def _finish(learner: Learner, held: Importance | None, report: dict[str, object]) -> Learned:
    """Measures the new Fisher information, and stores it for the next update, joined with what was held."""
    rows, columns = sample_of(learner, learner.batch), len(learner.classes)
    sums = fisher(learner, rows, columns)
    trace = mean_of(sums) * sum(v.numel() for v in sums.values()) / max(rows.rows, 1)
    new = Importance.normalised(sums, float(len(learner.data.batch)))
    if rows.rows and trace < SURE:
        learner.notes.append(
            f"The network is so sure of the new rows that their Fisher information is nearly nothing ({trace:.2g} a "
            "row), so it hardly tells weights apart. Fewer epochs, or mas, which does not look at answers, tell more."
        )
    measured = {
        "rows": rows.rows,
        "a_row": trace,
        "labels": (learner.aim.labels or "none")
        if _exact(learner, rows, columns)
        else f"one drawn a row, seed {learner.run.seed}",
    }
    state = as_state(STATE, new.joined(held) if new is not None else held, learner)
    return learner.finish(report | {"fisher": measured}, state=state)


METHOD = Method(
    name="ewc",
    family=Family.CONSTRAIN,
    summary="Holds each weight by how much the old answers rest on it: the exact Fisher information of every update.",
    paper="Kirkpatrick et al.: Overcoming catastrophic forgetting in neural networks, 2017; Schwarz et al.: Progress & "
    "compress, 2018, section 4 (online)",
    Params=Params,
    update=update,
    good_when="Known classes in a new region or style, on a trained network. Old rows judge it, none is learned again.",
    limits="New classes are told from each other, and from old ones only by chance; the report notes the share of old "
    "rows that they take. A network that is too sure of its rows has no Fisher information; the report notes that, "
    "too.",
)
