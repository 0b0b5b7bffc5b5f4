"""How far a long command is, on stderr: bars on a terminal, now and then a line where somebody keeps what it says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from service.contract.resources import Update

LINE_SECONDS = 5.0
"""Between two lines; what takes less says nothing."""
BAR_WIDTH = 24


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """Gives a function to call with what is done and how much there is."""
    console = Console(stderr=True)
    if not console.is_terminal:
        say = _now_and_then(console)
        yield lambda done, total: say(f"{title}: {done:,} of {total:,}")
        return
    with Progress(console=console, transient=True) as bars:
        bar = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)


@contextmanager
def learning(rows: int | None) -> Iterator[Callable[[Update], None]]:
    """Bars of an update, of so many rows if it brings any: sending, then each phase with its share and the time left.

    Gives a function to call with the update as it is.
    """
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        say = _now_and_then(console)
        yield lambda update: say(_line(update))
        return
    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(BAR_WIDTH),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )
    with Progress(*columns, console=console) as bars:
        shown = _UpdateBars(bars, rows)
        yield shown.show
        shown.end()


class _UpdateBars:
    """One bar a phase; those before stand still."""

    def __init__(self, bars: Progress, rows: int | None) -> None:
        self._bars = bars
        self._title = "Sending"
        self._task: TaskID = bars.add_task("Sending", total=None, note="" if rows is None else f"{rows:,} rows")

    def show(self, update: Update) -> None:
        title, done, total, note = stage(update)
        if title != self._title:
            self.end()
            self._title = title
            self._task = self._bars.add_task(title, total=None, note=note)
        self._bars.update(self._task, completed=done, total=total or None, note=note)

    def end(self) -> None:
        """Fills the bar of the phase that ends."""
        self._bars.update(self._task, total=1, completed=1)


def _line(update: Update) -> str:
    """A line in the place of such bars."""
    title, done, total, note = stage(update)
    how, share = f" ({note})" if note else "", f": {done:,} of {total:,}" if total > 1 else ""
    return f"{title}{how}{share}"


def _now_and_then(console: Console) -> Callable[[str], None]:
    """A function that prints a line, unless it is that of before, or the one before is too fresh."""
    last, printed = time.monotonic(), ""

    def say(line: str) -> None:
        nonlocal last, printed
        if line != printed and time.monotonic() - last >= LINE_SECONDS:
            last, printed = time.monotonic(), line
            console.print(line, highlight=False, soft_wrap=True)

    return say


def stage(update: Update) -> tuple[str, int, int, str]:
    """What an update does: in a word, how much is done, of how much, and a note."""
    if update.progress is None or update.state == "queued":
        return "Waiting", 0, 0, "for a worker" if update.state == "queued" else ""
    from service.client.waiting import doing  # it imports the client, as whoever has an update did

    method = (update.method or update.requested_method or {}).get("name", "")
    if update.progress.phase == "judging":
        note = "" if update.exam_rows is None else f"{update.exam_rows:,} trusted rows"
        return "Judging", update.progress.done, update.progress.total, note
    return "Learning", update.progress.done, update.progress.total, f"{method}, {doing(update.progress)}".strip(", ")
