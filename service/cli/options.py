"""Options that several verbs have."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from service.cli.exits import WrongUsage
from service.guessing.csv_files.letters import ENCODINGS

Method = Annotated[str | None, typer.Option(metavar="NAME", help="How to learn them; else the model's method.")]
Expect = Annotated[
    str | None, typer.Option(metavar="WORD", help="What changes on purpose: relabel (labels), move (numbers).")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Most = Annotated[int, typer.Option("-n", "--most", metavar="N", min=1, help="How many are listed.")]
Reason = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Why, for those who read the history; asked for on a terminal.")
]

LeaveOut = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help="A column that the model does not look at; once for each of several."),
]
Gaps = Annotated[
    list[str] | None,
    typer.Option(metavar="WORD", help="What cells say where nothing is known, such as NA; once for each of several."),
]

Delimiter = Annotated[
    Literal[",", ";", "tab"] | None,
    typer.Option(help="What parts the cells of a CSV file; without it its first line says so."),
]
Decimal = Annotated[
    Literal[",", "."] | None,
    typer.Option(help="What decimals begin with where semicolons or tabs part cells; without it the numbers say so."),
]

Encoding = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="How letters of a CSV file are stored, such as windows-1250 or shift_jis."),
]
Dates = Annotated[
    Literal["day-first", "month-first"] | None,
    typer.Option(help="What stands first in dates such as 3/4/2026; without it other dates of the file say so."),
]


ASK = "\0"
"""Stands for new classes that nobody has named."""


class NamesClasses(TyperCommand):
    """A verb that takes --new-classes without names, too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [f"{arg}={ASK}" if arg == "--new-classes" else arg for arg in args])


def check_left_out(leave_out: Sequence[str] | None, **columns: str | None) -> None:
    """Raises WrongUsage for a column that is left out and named as something else, too."""
    for option, column in columns.items():
        if column is not None and column in (leave_out or ()):
            raise WrongUsage(f'"{column}" is named by --{option} and by --leave-out: say one of them.')


def written(delimiter: str | None, decimal: str | None, encoding: str | None, dates: str | None) -> dict[str, Any]:
    """How a CSV file is written, as far as it was said: options of the client. Raises WrongUsage."""
    if encoding is not None and encoding.lower() not in ENCODINGS:
        raise WrongUsage(f"--encoding is one of {', '.join(ENCODINGS)}.")
    said = {"delimiter": delimiter, "decimal": decimal, "encoding": encoding, "dates": dates}
    return {name: value for name, value in said.items() if value is not None}


def reason_of(reason: str | None) -> str:
    """The reason that was given, or that somebody types now; "" where nobody can, as over HTTP."""
    if reason is not None or not sys.stdin.isatty():
        return reason or ""
    typed: str = typer.prompt("Reason", err=True)
    return typed
