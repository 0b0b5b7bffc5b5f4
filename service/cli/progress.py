"""How far a long command is: a bar on a terminal, now and then a line where somebody keeps what it says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress

LINE_SECONDS = 5.0
"""Between two lines; what takes less says nothing."""


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """Gives a function to call with what is done and how much there is. It speaks on the stream of errors."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(console, title).show
        return
    with Progress(console=console, transient=True) as bars:
        bar = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


class _Lines:
    """Lines in the place of a bar."""

    def __init__(self, console: Console, title: str) -> None:
        self._console, self._title = console, title
        self._last = time.monotonic()

    def show(self, done: int, total: int) -> None:
        if time.monotonic() - self._last >= LINE_SECONDS:
            self._last = time.monotonic()
            self._console.print(f"{self._title}: {done:,} of {total:,}", highlight=False, soft_wrap=True)
