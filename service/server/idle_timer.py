"""The timer of an idle connection: a single one, though every request moves the deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class IdleTimer:
    """Calls `over` when a deadline passes.

    since: when the deadline was set. until: the deadline, or None. Both on the clock of the loop.
    """

    __slots__ = ("_at", "_loop", "_over", "_timer", "since", "until")

    def __init__(self, loop: asyncio.AbstractEventLoop, over: Callable[[], None]) -> None:
        self._loop, self._over = loop, over
        self.since: float | None = None
        self.until: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0

    def expect(self, seconds: float) -> None:
        """Sets the deadline. A timer that fires earlier stays: it looks again then."""
        self.since = now = self._loop.time()
        self.until = until = now + seconds
        if self._timer is None or self._at > until:
            if self._timer is not None:
                self._timer.cancel()
            self._at, self._timer = until, self._loop.call_at(until, self._look)

    def end(self) -> None:
        """Removes the deadline and the timer."""
        self.until = None
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self.until is None:
            return  # a request is being answered; its end sets the timer
        if self.until > self._loop.time():
            self._at, self._timer = self.until, self._loop.call_at(self.until, self._look)
        else:
            self._over()
