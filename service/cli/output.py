"""What verbs print: results to stdout, all else to stderr; tables on a terminal, plain lines where nobody looks.

`NO_COLOR` and `FORCE_COLOR` count as usual: rich knows them.
"""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from pydantic import BaseModel

T = TypeVar("T", bound="BaseModel")

PIPED_WIDTH = 10_000
"""Columns where the output goes to a file: nothing is wrapped."""
MARKS = {"promoted": ("●", "green"), "held": ("◐", "yellow"), "rejected": ("✕", "red"), "superseded": ("○", "dim")}
"""Of each verdict: its mark and colour."""


def stdout() -> Console:
    """Where results go."""
    return _console(stderr=False)


def stderr() -> Console:
    """Where progress and refusals go."""
    return _console(stderr=True)


def print_json(schema: str, members: Mapping[str, Any]) -> None:
    """Prints one JSON object. `schema`: its name, to which members may be added; a change of one makes it another."""
    print(json.dumps({"schema": f"tsuika.{schema}/1", **members}, ensure_ascii=False, indent=2, default=str))


def print_result(schema: str, members: Mapping[str, Any], lines: Sequence[str], as_json: bool) -> None:
    if as_json:
        print_json(schema, members)
        return
    for line in lines:
        print(line)


def print_table(
    console: Console, columns: Sequence[str], rows: Sequence[Sequence[str | Text]], right: str = ""
) -> None:
    """Prints a table: of a terminal's width, or with unbroken lines where it goes to a file. Columns whose names are in
    `right`, with spaces between them, stand to the right."""
    table = Table(box=None, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        table.add_column(name, justify="right" if name and name in right.split() else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(plain(cell)) for cell in row))
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():
        print(line.rstrip())


def print_items(
    schema: str,
    items: Sequence[T],
    columns: Sequence[str],
    row: Callable[[T], Sequence[str | Text]],
    right: str,
    as_json: bool,
) -> None:
    """Prints resources of the API: as JSON, or as a table with a row each."""
    if as_json:
        print_json(schema, {"items": [item.model_dump(mode="json", by_alias=True) for item in items]})
    else:
        print_table(stdout(), columns, list(map(row, items)), right)


def word(text: str) -> str:
    """A text as a word of a command line."""
    return shlex.quote(plain(text))


def comma_separated(names: Iterable[str]) -> str:
    """Names as one word of a command line, each with a comma in quotes, as CSV has them. Blanks of other scripts stay,
    so that the word means what it shows."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    text = line.getvalue()
    return shlex.quote(text) if "".join(text.split()).isprintable() and "\n" not in text else word(text)


def plain(text: str) -> str:
    """A text from elsewhere without what would move the cursor or colour the terminal."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def _console(stderr: bool) -> Console:
    console = Console(highlight=False, markup=False, emoji=False, stderr=stderr)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    return console
