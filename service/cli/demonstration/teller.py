"""Prints the demonstration: headings, one table an act, a bar on stderr while the service works."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from service.client.waiting import OnProgress
from service.contract.reports.class_report import Report
from service.contract.resources import Update

MARKS = {"promoted": "[green]●[/]", "held": "[yellow]◐[/]", "rejected": "[red]✕[/]", "superseded": "[dim]○[/]"}
WORDS = {"promoted": "live"}


@dataclass(frozen=True)
class Line:
    """One row of an act's table: shares measured on rows kept aside (None: does not apply), and the update."""

    name: str
    before: float
    old: float
    new: float
    all: float
    forgetting: float
    intrusion: float | None
    update: Update

    @property
    def report(self) -> Report:
        """What the update measured; one that made a version has a report."""
        assert isinstance(self.update.report, Report)
        return self.update.report


class Teller:
    """Writes the story to one console and the bars to another."""

    def __init__(self, out: Console, err: Console) -> None:
        self._out = out
        self._err = err

    def heading(self, title: str, text: str) -> None:
        """The title of an act and what is about to be shown."""
        self._out.print()
        self._out.rule(f"[bold]{title}[/]", align="left", style="dim")
        self.say(text)

    def say(self, text: str) -> None:
        """A paragraph."""
        self._out.print(Padding(text, (0, 0, 0, 1)))

    def command(self, line: str) -> None:
        """A command to copy: never wrapped."""
        self._out.print(f"   {escape(line)}", soft_wrap=True)

    def verdicts(self, updates: Sequence[tuple[str, Update]]) -> None:
        """The verdict on each update, with the service's reason."""
        grid = Table.grid(padding=(0, 1))
        for name, update in updates:
            grid.add_row("", MARKS[update.verdict or "superseded"], f"[bold]{name}[/]", escape(reason(update)))
        self._out.print(grid)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str] = ()) -> None:
        """A table; numbers to the right, the columns in `left` to the left."""
        room = 1 if self._out.width >= 90 else 0
        table = Table(
            box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, room, 0, 0), header_style="bold"
        )
        for name in columns:
            table.add_column(name, justify="left" if name in left else "right", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        self._out.print(Padding(table, (1, 0, 1, 1)))

    def results(self, lines: Sequence[Line], legend: str) -> None:
        """The table of an act that compares methods. The last line is what its cost is compared with."""
        columns = ["method", "old", "new", "all", "forgets", "intrudes", "s", "added", "cost", "verdict"]
        bound = lines[-1].report.cost.multiply_adds
        self.table(columns, [_cells(line, bound) for line in lines], left=("method", "verdict"))
        self._out.print(Padding(legend, (0, 0, 1, 1)), style="dim")

    @contextmanager
    def working(self, title: str) -> Iterator[OnProgress]:
        """A bar for one update. -> what to call with each look at it"""
        columns = (TextColumn("{task.description}"), BarColumn(24), TextColumn("{task.fields[phase]}"))
        hidden = not self._err.is_terminal
        with Progress(*columns, console=self._err, transient=True, disable=hidden) as bars:
            bar = bars.add_task(f" {title}", total=None, phase="sending")

            def look(update: Update) -> None:
                progress = update.progress
                if progress is None:
                    bars.update(bar, phase=str(update.state))
                else:
                    bars.update(bar, phase=progress.phase, completed=progress.done, total=progress.total or None)

            yield look


def reason(update: Update) -> str:
    """The reason for the verdict, as the service gives it."""
    return update.sentence or ""


def percent(share: float) -> str:
    """0.974 -> "97.4 %"."""
    return f"{points(share)} %"


def points(share: float | None) -> str:
    """0.974 -> "97.4"; a dash where it does not apply."""
    return "–" if share is None else f"{100 * share:.1f}".replace("-", "−")


def _cells(line: Line, bound: int) -> list[str]:
    cost, verdict = line.report.cost, str(line.update.verdict)
    return [
        line.name,
        f"{points(line.before)}→{points(line.old)}",
        points(line.new),
        points(line.all),
        points(line.forgetting),
        points(line.intrusion),
        f"{cost.seconds:.1f}",
        f"{cost.parameters_added:,}",
        f"{100 * cost.multiply_adds / bound:.0f}" if bound else "–",
        f"{MARKS[verdict]} {WORDS.get(verdict, verdict)}",
    ]
