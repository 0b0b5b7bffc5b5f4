"""What follows the training of a head: balance between old and new classes, and the temperature of its scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from service.learning.balance import Trained, rebalance
from service.learning.calibration import ENOUGH_ROWS, fit_temperature
from service.learning.training import logits

if TYPE_CHECKING:
    from service.learning.learner import Learner


def balance(learner: Learner) -> dict[str, Any]:
    """Apply what was asked for against a head that favours new classes, in place. -> what was done, for the report"""
    if learner.balance == "none":
        return {}
    body = learner.body
    trained = Trained(
        body.head, learner.known, body.unit, lambda: _chosen_on(learner), lambda: _seen(learner), learner.prior_free
    )
    done = rebalance(learner.balance, trained)
    learner.notes += [done.note] if done.note else []
    if done.taken is not None:
        learner.adjusted = {"columns": done.taken}
    return done.told


def calibrate(learner: Learner) -> float:
    """The temperature, from selecting rows of batch and history where there are enough; else what it was."""
    columns = learner.kept_back.y
    if len(columns) < ENOUGH_ROWS or int(columns.min()) == int(columns.max()):
        return learner.temperature
    return fit_temperature(_chosen_on(learner)[0].double().numpy(), columns.numpy())


def _chosen_on(learner: Learner) -> tuple[Tensor, Tensor]:
    """Logits and columns of the selecting rows of batch and history."""
    rows = learner.kept_back
    return logits(learner.body, rows.x, learner.run), rows.y


def _seen(learner: Learner) -> list[int]:
    """Rows of each class, of history and batch."""
    known, own = learner.view.counted.all, learner.data.batch.counts()
    history = dict(zip(known.classes, known.n.tolist(), strict=True))
    return [int(history.get(name, 0)) + own.get(name, 0) for name in learner.classes]
