"""Where the seconds of an update go, told by its progress: how long each phase lasted."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST = "reading"


class Parts:
    """Seconds of each phase; of one that comes again the sum. A phase that is done gives back to the one around it.

    tell: where progress goes on to.
    """

    def __init__(self, tell: Callable[[str, int, int], None]) -> None:
        self._tell = tell
        self._open, self._since = [FIRST], time.perf_counter()
        self._seconds: dict[str, float] = {}

    def progress(self, phase: str, done: int, total: int) -> None:
        """As the child's progress."""
        self._count()
        if phase in self._open:
            del self._open[self._open.index(phase) + 1 :]
        else:
            self._open.append(phase)
        if done >= total and len(self._open) > 1:
            self._open.pop()
        self._tell(phase, done, total)

    def seconds(self) -> dict[str, float]:
        """Up to now, in order of appearance."""
        self._count()
        return {phase: round(seconds, 6) for phase, seconds in self._seconds.items()}

    def _count(self) -> None:
        at = time.perf_counter()
        self._seconds[self._open[-1]] = self._seconds.get(self._open[-1], 0.0) + at - self._since
        self._since = at
