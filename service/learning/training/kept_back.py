"""Rows kept back, old and new: a strength is chosen on them, and they show whether new classes took old rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from service.learning.training.learner import Learner
from service.learning.training.training_set import Labelled


def selecting_rows(learner: Learner) -> tuple[Labelled, Labelled]:
    """Selecting rows of what was known (pseudo-rows where there are none) and of the batch (else its learning rows)."""
    old, new = learner.training_rows.selected, learner.selecting
    return old if old.rows else learner.stand_ins(learner.batch), new if new.rows else learner.batch


@dataclass(frozen=True, eq=False)
class KeptBack:
    """Rows kept back, of what was known and of the batch, with what scores on each are measured by."""

    old: Labelled
    new: Labelled
    usual: Sequence[Tensor]

    @classmethod
    def of(cls, start: Learner) -> KeptBack:
        """The rows kept back of an update. start: a learner that has not trained."""
        old, new = selecting_rows(start)
        return cls(old, new, [start.aim.usual(rows.y, partial(start.answers, rows)) for rows in (old, new)])

    def scores(self, learner: Learner) -> tuple[Tensor | None, Tensor | None]:
        """How good the learner's answers to old and new rows are; None without rows. -> [n], [m]"""
        sides = zip((self.old, self.new), self.usual, strict=True)
        old, new = (learner.aim.scores(learner.answers(rows), rows.y, by) if rows.rows else None for rows, by in sides)
        return old, new


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
