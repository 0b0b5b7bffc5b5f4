"""Options that several verbs have."""

import sys
from typing import Annotated

import typer

from service.cli.exits import WrongUsage

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
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


def reason_of(reason: str | None) -> str:
    """The reason that was given, or that somebody types now. Raises WrongUsage where nobody can."""
    if reason is not None:
        return reason
    if not sys.stdin.isatty():
        raise WrongUsage("Say why: --reason TEXT.")
    typed: str = typer.prompt("Reason", err=True)
    return typed
