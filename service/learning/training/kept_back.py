"""Old and new rows kept back: what a strength is chosen on, what tells that new classes took old rows."""

from __future__ import annotations

from service.learning.training.fit import Labelled
from service.learning.training.learner import Learner


def selecting_rows(learner: Learner) -> tuple[Labelled, Labelled]:
    """Selecting rows of what was known (pseudo-rows where there are none) and of the batch (else its learning rows)."""
    old, new = learner.training_rows.selected, learner.selecting
    return old if old.rows else learner.stand_ins(learner.batch), new if new.rows else learner.batch


def new_share(learner: Learner) -> float:
    """How much the batch counts beside what was known: half, and where it brings new classes each class alike."""
    if not 0 < learner.known < len(learner.classes):
        return 0.5
    own = len(learner.data.batch.present())
    return own / (own + learner.known)


def watch_old(learner: Learner, start: Learner) -> None:
    """Old rows that tell in the end whether new classes have taken them: a pull holds weights, not the balance between
    classes. `start`: a learner that has not trained."""
    if 0 < learner.known < len(learner.classes):
        learner.watched = selecting_rows(start)[0]
