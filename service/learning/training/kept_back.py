"""Rows kept back, old and new: a strength is chosen on them, and they show whether new classes took old rows."""

from __future__ import annotations

from service.learning.training.fit import Labelled
from service.learning.training.learner import Learner


def selecting_rows(learner: Learner) -> tuple[Labelled, Labelled]:
    """Selecting rows of what was known (pseudo-rows where there are none) and of the batch (else its learning rows)."""
    old, new = learner.training_rows.selected, learner.selecting
    return old if old.rows else learner.stand_ins(learner.batch), new if new.rows else learner.batch


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
