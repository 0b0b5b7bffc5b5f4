"""Output of a benchmark: a bar on standard error while it runs, plain aligned columns at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


@contextmanager
def bar(total: int) -> Iterator[Callable[[str], None]]:
    """A bar on a terminal, one line a part elsewhere. Gives a function to call with what was just done."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda what: console.print(what, soft_wrap=True)
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console) as progress:
        all_parts = progress.add_task("", total=total)
        yield lambda what: progress.update(all_parts, advance=1, description=what)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns: the first to the left, numbers to the right."""
    lines = [columns, *rows]
    widths = [max(len(line[k]) for line in lines) for k in range(len(columns))]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if k == 0 else cell.rjust(w) for k, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def reached(what: str, value: float, limit: float, most: bool = True) -> str:
    """One line on what was aimed at: `value` shall be at most (or at least) `limit`."""
    met = value <= limit if most else value >= limit
    return f"  {'reached' if met else 'MISSED '}  {what}: {value:.4g} {'<=' if most else '>='} {limit:.4g}"
