"""Questions to one version wait in line, small and large ones apart."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from service.serving.batching.passes import Question
from service.serving.compute.forward import Forward
from service.serving.predictor import Predictor

SHARE = 16
"""Rows that one large question gives to a pass while others wait beside it; one of no more rows is small."""


@dataclass(eq=False)
class Queue:
    """Questions in order of arrival, and rows of them that wait."""

    waiting: deque[Question] = field(default_factory=deque)
    rows: int = 0


@dataclass(eq=False)
class Line:
    """Questions to one version (and head). `large_next`: the small ones had the turn before, with `turn` rows."""

    predictor: Predictor
    step: Forward
    small: Queue = field(default_factory=Queue)
    large: Queue = field(default_factory=Queue)
    large_next: bool = False
    turn: int = 0

    @property
    def rows(self) -> int:
        """That wait."""
        return self.small.rows + self.large.rows

    def of(self, rows: int) -> Queue:
        """Where a question of so many rows waits."""
        return self.small if rows <= SHARE else self.large

    @property
    def asked(self) -> float:
        """When the question came that is answered next."""
        return self.due.waiting[0].asked

    @property
    def due(self) -> Queue:
        """Whose turn it is."""
        return self.large if self.large.waiting and (self.large_next or not self.small.waiting) else self.small
