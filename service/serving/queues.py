"""The queues of a version: small and large questions wait apart."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from service.serving.compute.forward import Forward
from service.serving.passes import Question
from service.serving.predictor import Predictor

SHARE = 16
"""Most rows of a small question, and of a large one's share in a pass while other questions wait."""


@dataclass(eq=False)
class Queue:
    """Questions in order of arrival, and how many of their rows wait."""

    waiting: deque[Question] = field(default_factory=deque)
    rows: int = 0


@dataclass(eq=False)
class VersionQueues:
    """Questions to one version and head. `large_next`: the latest pass was of small questions; `small_rows`: how many
    rows that pass had."""

    predictor: Predictor
    step: Forward
    small: Queue = field(default_factory=Queue)
    large: Queue = field(default_factory=Queue)
    large_next: bool = False
    small_rows: int = 0

    @property
    def rows(self) -> int:
        return self.small.rows + self.large.rows

    def queue_for(self, rows: int) -> Queue:
        return self.small if rows <= SHARE else self.large

    @property
    def arrived(self) -> float:
        """When the question that is answered next arrived."""
        return self.due.waiting[0].arrived

    @property
    def due(self) -> Queue:
        return self.large if self.large.waiting and (self.large_next or not self.small.waiting) else self.small
