"""Checks of rehearsal: whether remembered rows are the wrong past, or were learned by heart."""

from __future__ import annotations

from dataclasses import dataclass

from service.learning.training.fit import Labelled, accuracy
from service.learning.training.learner import Learner

ENOUGH = 30
"""Fewest rows for which a share says something."""
MOVED = 0.2
"""A note is given where the version before is that much worse on new rows of known classes than on memory."""
BY_HEART = 0.1
"""A note is given where remembered rows are answered so much better than rows kept back."""


@dataclass(frozen=True, eq=False)
class Watch:
    """A learner and its memory. `on_memory`, `on_new`: accuracy of the version before on the memory, and on the
    update's rows of classes that it knew; None: too few rows."""

    learner: Learner
    memory: Labelled
    on_memory: float | None
    on_new: float | None

    @classmethod
    def before(cls, learner: Learner, memory: Labelled) -> Watch:
        """Measures before training."""
        new = learner.batch.take(learner.batch.y < learner.known)
        enough = memory.rows >= ENOUGH and new.rows >= ENOUGH
        shares = [accuracy(learner.body, rows, learner.run) if enough else None for rows in (memory, new)]
        return cls(learner, memory, shares[0], shares[1])

    def after(self) -> None:
        """Measures after training, and adds notes to the learner."""
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
