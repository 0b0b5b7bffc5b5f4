"""The pace of a version: how long a pass takes, and how many rows pass at once.

It is measured while the version is warmed, and corrected while it serves, since the machine may have been busy then.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

AT_ONCE_SECONDS = 0.02
"""Most time of one pass: other questions wait for it."""
MEASURING_SECONDS = 0.005
"""Most time that measuring takes, since it holds up the versions that serve already."""
MOST_ROWS = 256
"""Most rows of a pass: beyond it nothing gets faster, and memory grows."""
MOST_NUMBERS, MOST_PROBABILITIES = 2 * 2**20, 2**18
"""Most input numbers and most probabilities of a pass: a few arrays of each are in memory at once."""


@dataclass(eq=False)
class Pace:
    """A pass of n rows takes about `fixed` + n x `a_row` seconds.

    cap: most rows of a pass, a power of two, never above `most`.
    slower: how many times longer passes take at the moment, because the processor is busy or texts are long.
    """

    fixed: float
    a_row: float
    cap: int
    slower: float = 1.0
    most: int = MOST_ROWS

    def seconds(self, rows: int) -> float:
        """The expected time of a pass of so many rows."""
        return self.fixed + rows * self.a_row

    def waiting(self, rows: int) -> float:
        """The expected time until so many waiting rows are computed."""
        return rows * self.a_row * self.slower

    def within(self, seconds: float) -> int:
        """How many rows, at least one, pass in so many seconds."""
        return max(1, int((seconds - self.fixed) / self.a_row)) if self.a_row > 0 else MOST_ROWS

    def observe(self, rows: int, seconds: float) -> None:
        """Corrects the pace by a pass that was quicker than expected; a slower one shared the processor."""
        if (spare := self.seconds(rows) - seconds) > 0:
            if rows * self.a_row > self.fixed:
                self.a_row = max(self.a_row - spare / rows, 0.0)
            else:
                self.fixed = max(self.fixed - spare, 0.0)
        # by the time it took: the expected time is too short if the first measurement was disturbed
        if rows >= self.cap and 2 * self.cap <= self.most and seconds + rows * self.a_row < AT_ONCE_SECONDS:
            self.cap *= 2

    @classmethod
    def measured(cls, answer: Callable[[int], object], most: int = MOST_ROWS) -> Pace:
        """Measures `answer(n)`, which computes n rows, for n = 1, 2, 4 ... up to `most`, while that is quick."""
        answer(1)  # the first call also does what is done once
        rows, took = 1, _timed(answer, 1)
        one = spent = took
        while 2 * rows <= most and 2 * took < AT_ONCE_SECONDS and spent + 2 * took < MEASURING_SECONDS / 2:
            rows *= 2
            took = _timed(answer, rows)
            spent += took
        a_row = max(took - one, 0.0) / (rows - 1) if rows > 1 else one
        return cls(max(one - a_row, 0.0), a_row, rows, most=most)


def most_rows(numbers: int, classes: int) -> int:
    """How many rows of so many numbers, for so many classes, a pass may have without taking much memory."""
    return max(1, min(MOST_ROWS, MOST_NUMBERS // max(numbers, 1), MOST_PROBABILITIES // max(classes, 1)))


def _timed(answer: Callable[[int], object], rows: int) -> float:
    """The quicker of two runs."""
    took = []
    for _ in range(2):
        began = time.perf_counter()
        answer(rows)
        took.append(time.perf_counter() - began)
    return min(took)
