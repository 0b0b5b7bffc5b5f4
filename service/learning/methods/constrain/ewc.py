"""Elastic weight consolidation, online: weights that the old answers rest on are held stiffly, the others may move.

How much rests on a weight is the Fisher information of the answers, exact: for each row the expected square of its
gradient over all classes, never the square of a batch's gradient. Each update's is brought to mean 1, and the mean by
rows over all updates is what holds the next one (Schwarz et al., 2018, with the count in place of a decay).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from service.contract.enums import Family
from service.learning.method import Data, Learned, Method
from service.learning.methods.constrain.anchored import Anchor, Pulled, PulledParams, train_held
from service.learning.methods.constrain.importance import LABELS, Importance, mean_of, old_rows, sample_of
from service.learning.methods.constrain.per_row_gradients import sensitivity
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.multiply_adds import forward_cost
from service.learning.run import Run
from service.learning.training.fit import Labelled
from service.learning.training.learner import Learner
from service.learning.training.unfreezing import unfit

STATE = "state.ewc"
EXACT = 10_000
"""Rows x classes up to which the expectation runs over all classes; above, one label a row is drawn."""
SURE = 1e-4
"""Fisher information of a row, summed over all weights, below which a network is too sure to tell weights apart."""


class Params(PulledParams):
    """What every gradient method takes, and the strength of the pull in units of the mean Fisher information."""


def update(base: Checkpoint | None, data: Data, params: Params, run: Run) -> Learned:
    """Cross-entropy on the batch's learning rows; after each step weights go back, by Fisher information."""
    start = Learner.start(base, data, run, unfreeze=params.unfreeze)
    if base is None:
        start.fit(params)
        return _finish(Pulled(start, Anchor.of(start).pull(start, 0.0)), None, {})
    held, told = _held(start)
    best, details = train_held(base, data, params, start, held, told, run)
    return _finish(best, held, details)


def fisher(learner: Learner, rows: Labelled, columns: int) -> dict[str, Tensor]:
    """Fisher information of the answers over the first `columns`, summed over the rows; by parameter."""
    exact = rows.rows * columns <= EXACT

    def asked(logits: Tensor, chance: Tensor) -> tuple[Tensor, Tensor]:
        scores = F.log_softmax(logits[:, :columns], 1)
        shares = scores.detach().exp()
        if exact:
            return scores, shares
        drawn = (shares.cumsum(1)[:, :-1] < chance[:, None]).sum(1, keepdim=True)
        return scores.gather(1, drawn), torch.ones_like(shares[:, :1])

    learner.multiply_adds += rows.rows * forward_cost(learner.body, rows.x[:1]) * (1 + 2 * (columns if exact else 1))
    chance = torch.rand(rows.rows, generator=learner.run.generator(LABELS))
    return sensitivity(learner.body, rows.x, asked, torch.square, learner.run, chance)


def _held(start: Learner) -> tuple[Importance, str]:
    """What holds the base's weights, and in words where that comes from."""
    recalled = Importance.recalled(start, STATE)
    if recalled is not None:
        return recalled, "the Fisher information that earlier updates by ewc left"
    known = float(max(start.data.known_rows, 1))
    rows = old_rows(start)
    measured = Importance.normalised(fisher(start, rows, start.known), known) if rows.rows else None
    if measured is not None:
        start.notes.append(
            "The base was not made by ewc, so its Fisher information was measured now, on "
            f"{rows.rows} {'kept rows' if len(start.training_rows.kept) else 'pseudo-rows'} of what was known."
        )
        return measured, "the Fisher information of the base on rows of what was known"
    start.notes.append(f"{_nothing_known(start, rows)} All are held alike, as l2_sp does.")
    return Importance.alike(start.body, known), "nothing; all weights alike"


def _nothing_known(start: Learner, rows: Labelled) -> str:
    """Why no weight of the base is known to matter more than another."""
    if not rows.rows:
        return (
            "Nothing tells which of the base's weights matter: it was not made by ewc and no row of what was known is "
            "at hand."
        )
    if start.known == 1:
        return "The base knows one class and answers every row with it, so its answer rests on no weight."
    return f"The base is so sure of {rows.rows} rows of what was known that no weight seems to matter to its answers."


def _finish(best: Pulled, held: Importance | None, details: dict[str, object]) -> Learned:
    """Measure the new Fisher information, join it with what was held, and keep it for the next update."""
    learner = best.learner
    rows = sample_of(learner, learner.batch)
    columns = len(learner.classes)
    sums = fisher(learner, rows, columns) if rows.rows else {}
    count = sum(v.numel() for v in sums.values())
    trace = mean_of(sums) * count / max(rows.rows, 1)
    new = Importance.normalised(sums, float(len(learner.data.batch))) if sums else None
    if rows.rows and trace < SURE:
        learner.notes.append(
            f"The network is so sure of the new rows that their Fisher information is nearly nothing ({trace:.2g} a "
            "row), so it hardly tells weights apart. Fewer epochs, or mas, which does not look at answers, tell more."
        )
    kept = new.joined(held) if new is not None else held
    fisher_told = {
        "rows": rows.rows,
        "a_row": trace,
        "labels": "all classes" if rows.rows * columns <= EXACT else f"one drawn a row, seed {learner.run.seed}",
    }
    state = {STATE: kept.stored(learner)} if kept is not None else None
    return learner.finish(details | {"fisher": fisher_told}, state=state)


METHOD = Method(
    name="ewc",
    family=Family.CONSTRAIN,
    summary="Holds each weight by how much the old answers rest on it: the exact Fisher information of every update.",
    paper="Kirkpatrick et al.: Overcoming catastrophic forgetting in neural networks, 2017; Schwarz et al.: Progress & "
    "compress, 2018, section 3 (online)",
    Params=Params,
    update=update,
    needs=frozenset(),
    good_when="Known classes in a new region or style, on a trained network, when no old row may be kept.",
    limits="New classes are told from each other, and from old ones only by chance; the report notes the share of old "
    "rows that they take. A network that is too sure of its rows has no Fisher information, which it notes, too.",
    unfit=unfit,
)
