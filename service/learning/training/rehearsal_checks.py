"""Whether rehearsal could work: what notices that remembered rows are the wrong past, or were learned by heart."""

from __future__ import annotations

from dataclasses import dataclass

from service.learning.training.fit import Labelled, accuracy
from service.learning.training.learner import Learner

ENOUGH = 30
"""Rows from which a share says something."""
MOVED = 0.2
"""How much worse the version before is on new rows of classes it knows than on remembered ones, for a note."""
BY_HEART = 0.1
"""How much better remembered rows are answered than rows kept back, for a note."""


@dataclass(frozen=True, eq=False)
class Watch:
    """A learner and its memory. `on_memory`, `on_new`: what the version before got right of the memory, and of the
    update's rows of classes that it knew; null: too few rows."""

    learner: Learner
    memory: Labelled
    on_memory: float | None
    on_new: float | None

    @classmethod
    def before(cls, learner: Learner, memory: Labelled) -> Watch:
        """Look before training."""
        new = learner.batch.take(learner.batch.y < learner.known)
        enough = memory.rows >= ENOUGH and new.rows >= ENOUGH
        shares = [accuracy(learner.body, rows, learner.run) if enough else None for rows in (memory, new)]
        return cls(learner, memory, shares[0], shares[1])

    def after(self) -> None:
        """Look after training, and tell the learner what there is to note."""
        learner = self.learner
        if self.on_memory is not None and self.on_new is not None and self.on_memory - self.on_new > MOVED:
            learner.notes.append(
                f"The version before got {self.on_memory:.0%} of the remembered rows right and {self.on_new:.0%} of "
                "the update's rows of known classes: if the stream moves on, remembered rows are the wrong past, and "
                "fine_tune or a ridge that decays does better."
            )
        held = learner.training_rows.selected
        if self.memory.rows < ENOUGH or held.rows < ENOUGH:
            return
        right, held_right = (accuracy(learner.body, rows, learner.run) or 0.0 for rows in (self.memory, held))
        if right - held_right > BY_HEART:
            learner.notes.append(
                f"{right:.0%} of the remembered rows are answered rightly, and {held_right:.0%} of rows kept back: "
                "they were learned by heart. A larger memory_rows helps."
            )
