"""How long a version takes for so many rows: what may run on the event loop, and how many rows pass at once.

Measured while the version is warmed, and corrected while it serves: a machine that was busy then is not busy for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

AT_ONCE_SECONDS = 0.02
"""Most time of one pass: others wait behind it."""
MEASURING_SECONDS = 0.005
"""Most time that measuring takes: it holds up the versions that serve already. The rest shows while it serves."""
MOST_ROWS = 256
"""Rows a pass at most: beyond it nothing gets faster, and memory grows."""
MOST_NUMBERS, MOST_SCORES = 2 * 2**20, 2**18
"""Numbers of the rows of a pass, and scores that it finds, at most: of each a few arrays are held at once."""


@dataclass(eq=False)
class Pace:
    """Seconds of one pass of n rows are near `fixed` + n x `a_row`. `cap`: rows a pass at most, a power of two, and
    never more than `most`.

    slower: how much longer than that passes take at the moment, because others use the processor, or texts are long.
    """

    fixed: float
    a_row: float
    cap: int
    slower: float = 1.0
    most: int = MOST_ROWS

    def seconds(self, rows: int) -> float:
        """Of a pass of so many rows, about."""
        return self.fixed + rows * self.a_row

    def waiting(self, rows: int) -> float:
        """Seconds until so many rows have passed that wait now, about."""
        return rows * self.a_row * self.slower

    def within(self, seconds: float) -> int:
        """Rows, one at least, that pass in so long."""
        return max(1, int((seconds - self.fixed) / self.a_row)) if self.a_row > 0 else MOST_ROWS

    def seen(self, rows: int, seconds: float) -> None:
        """A pass took so long. Quicker ones than expected are believed: slower ones had company on the processor."""
        if (spare := self.seconds(rows) - seconds) > 0:
            if rows * self.a_row > self.fixed:
                self.a_row = max(self.a_row - spare / rows, 0.0)
            else:
                self.fixed = max(self.fixed - spare, 0.0)
        # by what it took, not by what was expected: that is too little where the first measurement was disturbed
        if rows >= self.cap and 2 * self.cap <= self.most and seconds + rows * self.a_row < AT_ONCE_SECONDS:
            self.cap *= 2

    @classmethod
    def measured(cls, answer: Callable[[int], object], most: int = MOST_ROWS) -> Pace:
        """`answer(n)` computes n rows; it is called for 1, 2, 4 ... rows, `most` at most, while that is quick."""
        answer(1)  # the first call pays for what is made once
        rows, took = 1, _timed(answer, 1)
        one = spent = took
        while 2 * rows <= most and 2 * took < AT_ONCE_SECONDS and spent + 2 * took < MEASURING_SECONDS / 2:
            rows *= 2
            took = _timed(answer, rows)
            spent += took
        a_row = max(took - one, 0.0) / (rows - 1) if rows > 1 else one
        return cls(max(one - a_row, 0.0), a_row, rows, most=most)


def most_rows(numbers: int, scores: int) -> int:
    """How many rows of so many numbers, each with so many scores, a pass may have without taking much memory."""
    return max(1, min(MOST_ROWS, MOST_NUMBERS // max(numbers, 1), MOST_SCORES // max(scores, 1)))


def _timed(answer: Callable[[int], object], rows: int) -> float:
    """Of two, the one that less came between."""
    took = []
    for _ in range(2):
        began = time.perf_counter()
        answer(rows)
        took.append(time.perf_counter() - began)
    return min(took)
