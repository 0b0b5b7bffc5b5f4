"""How long each phase of an update lasts, by the progress that it reports."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST = "reading"


class PhaseTimes:
    """Seconds of each phase, summed where it comes again. A phase that is done gives back to the one around it.

    report: where progress goes on to.
    """

    def __init__(self, report: Callable[[str, int, int], None]) -> None:
        self._report = report
        self._open, self._since = [FIRST], time.perf_counter()
        self._seconds: dict[str, float] = {}

    def progress(self, phase: str, done: int, total: int) -> None:
        """Notes when a phase begins or is done, and passes it on."""
        self._count()
        if phase in self._open:
            del self._open[self._open.index(phase) + 1 :]
        else:
            self._open.append(phase)
        if done >= total and len(self._open) > 1:
            self._open.pop()
        self._report(phase, done, total)

    def seconds(self) -> dict[str, float]:
        self._count()
        return {phase: round(seconds, 6) for phase, seconds in self._seconds.items()}

    def _count(self) -> None:
        at = time.perf_counter()
        self._seconds[self._open[-1]] = self._seconds.get(self._open[-1], 0.0) + at - self._since
        self._since = at
