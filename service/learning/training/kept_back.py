"""Rows kept back, old and new: a strength is chosen on them, and they show whether new classes took old rows."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from service.learning.training.fit import Labelled
from service.learning.training.learner import Learner


def selecting_rows(learner: Learner) -> tuple[Labelled, Labelled]:
    """Selecting rows of what was known (pseudo-rows where there are none) and of the batch (else its learning rows)."""
    old, new = learner.training_rows.selected, learner.selecting
    return old if old.rows else learner.stand_ins(learner.batch), new if new.rows else learner.batch


@dataclass(frozen=True, eq=False)
class KeptBack:
    """Rows kept back, of what was known and of the batch, with what scores on each are measured by."""

    old: Labelled
    new: Labelled
    usual: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, start: Learner) -> KeptBack:
        """start: a learner that has not trained."""
        sides = selecting_rows(start)
        old, new = (_usual(start, rows) for rows in sides)
        return cls(*sides, (old, new))

    def scores(self, learner: Learner) -> tuple[Tensor | None, Tensor | None]:
        """How good the learner's answers to old and new rows are; None without rows. -> [n], [m]"""
        old, new = (_scores(learner, rows, by) for rows, by in zip((self.old, self.new), self.usual, strict=True))
        return old, new


def _usual(start: Learner, rows: Labelled) -> Tensor:
    return start.aim.usual(rows.y, lambda: start.answers(rows))


def _scores(learner: Learner, rows: Labelled, usual: Tensor) -> Tensor | None:
    if not rows.rows:
        return None
    return learner.aim.scores(learner.answers(rows), rows.y, usual)


def new_share(learner: Learner) -> float:
    """The weight of the batch beside what was known: half, or with new classes the same for each class."""
    if not 0 < learner.known < len(learner.classes):
        return 0.5
    own = len(learner.data.batch.present())
    return own / (own + learner.known)


def watch_old(learner: Learner, start: Learner) -> None:
    """Lets the learner watch old rows, which new classes may take: a pull holds weights, not the balance between
    classes. `start`: a learner that has not trained."""
    if 0 < learner.known < len(learner.classes):
        learner.watched = selecting_rows(start)[0]
