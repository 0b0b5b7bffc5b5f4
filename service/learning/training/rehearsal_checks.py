"""Checks of rehearsal: whether remembered rows are the wrong past, or were learned by heart."""

from __future__ import annotations

from dataclasses import dataclass

from service.learning.training.aims.aim import Answered
from service.learning.training.fit import Labelled
from service.learning.training.learner import Learner

ENOUGH = 30
"""Fewest rows for which errors say something."""


@dataclass(frozen=True, eq=False)
class Watch:
    """A learner and its memory. moved: the note that the memory is the wrong past, by the answers of the version before
    to the memory and to the update's rows of classes that it knew; None: it is not, or there are too few rows."""

    learner: Learner
    memory: Labelled
    moved: str | None

    @classmethod
    def before(cls, learner: Learner, memory: Labelled) -> Watch:
        new = learner.batch.take(~learner.aim.new(learner.batch.y))
        enough = memory.rows >= ENOUGH and new.rows >= ENOUGH
        return cls(
            learner, memory, learner.aim.moved(*(_answered(learner, r) for r in (memory, new))) if enough else None
        )

    def after(self) -> None:
        """Measures after training, and adds notes to the learner."""
        learner = self.learner
        if self.moved is not None:
            learner.notes.append(self.moved)
        held = learner.training_rows.selected
        if self.memory.rows < ENOUGH or held.rows < ENOUGH:
            return
        if (note := learner.aim.by_heart(*(_answered(learner, rows) for rows in (self.memory, held)))) is not None:
            learner.notes.append(note)


def _answered(learner: Learner, rows: Labelled) -> Answered:
    return Answered(learner.answers(rows), rows.y)
