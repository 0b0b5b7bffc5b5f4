"""What follows the training of a head: balance between old and new classes, and the temperature of its scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from service.learning.exact.calibration import ENOUGH_ROWS, fit_temperature
from service.learning.training.fit import logits
from service.learning.training.rebalance import Trained, rebalance

if TYPE_CHECKING:
    from service.learning.training.learner import Learner


TAKEN_OVER = 0.1
"""Share of old rows that are answered with a new class from which the report says so."""
NO_OLD = "no row of some old class was learned beside, so its score knows nothing of shares"
"""Why there is no prior to take off after such a training."""


def balance(learner: Learner) -> dict[str, Any]:
    """Apply what was asked for against a head that favours new classes, in place. -> what was done, for the report

    The notes tell how many old rows are still answered with a new class then, where the method watches some.
    """
    prior_free = learner.prior_free or (NO_OLD if learner.lacks_old else None)
    trained = Trained(
        learner.body.head,
        learner.known,
        learner.body.unit,
        lambda: _chosen_on(learner),
        lambda: _seen(learner),
        prior_free,
    )
    done = rebalance(learner.balance, trained)
    learner.notes += [*([done.note] if done.note else []), *_taken_over(learner)]
    if done.taken is not None:
        learner.adjusted = {"columns": done.taken}
    return done.told


def _taken_over(learner: Learner) -> list[str]:
    """A note where new classes have taken old rows."""
    if learner.watched is None or not learner.watched.rows:
        return []
    said = logits(learner.body, learner.watched.x, learner.run).argmax(1)
    share = float((said >= learner.known).double().mean())
    if share <= TAKEN_OVER:
        return []
    level = ' "balance": "correct" levels them afterwards;' if learner.balance == "none" else ""
    return [
        f"{share:.0%} of the old rows kept back are now answered with a new class: nothing held the balance between "
        f"old classes and new ones.{level} ridge, replay and linear_probe hold it."
    ]


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
