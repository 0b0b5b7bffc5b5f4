"""`tsuika init MODEL FILE`: makes a model for a file, whose columns and classes it guesses and says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Option

from service.cli.connection import connected
from service.cli.exits import DONE, WrongUsage
from service.cli.files.data_file import quoted
from service.cli.files.readers import open_file
from service.cli.names import ModelName, check_name
from service.cli.options import (
    ASK,
    Dates,
    Decimal,
    Delimiter,
    Encoding,
    Gaps,
    Json,
    LeaveOut,
    NamesClasses,
    check_left_out,
    written,
)
from service.cli.output import print_result, word
from service.guessing.csv_files.dialect import SaidDialect

if TYPE_CHECKING:
    from service.client import Client


Command = NamesClasses


def run(
    model: ModelName,
    path: Annotated[Path, Argument(metavar="FILE", help="Rows of the kind that it shall learn.")],
    label: Annotated[
        str | None, Option(metavar="COLUMN", help="The column that is predicted; guessed if left out.")
    ] = None,
    target: Annotated[Literal["class", "number"] | None, Option(help="What is predicted; guessed if left out.")] = None,
    new_classes: Annotated[
        str | None, Option(metavar="[A,B]", help="Classes of few rows that look like a slip of another; alone: all.")
    ] = None,
    leave_out: LeaveOut = None,
    gaps: Gaps = None,
    category: Annotated[
        list[str] | None,
        Option(metavar="COLUMN", help="A column of categories, whatever its cells look like; once for each."),
    ] = None,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    encoding: Encoding = None,
    dates: Dates = None,
    replace: Annotated[
        bool, Option("--replace", help="Take the place of a model of that name that never had rows.")
    ] = False,
    dry_run: Annotated[bool, Option("--dry-run", help="Only say what is guessed.")] = False,
    as_json: Json = False,
) -> int:
    """Guesses inputs, columns and classes from a file, says so, and makes the model. Nothing is learned yet."""
    from service.cli.files.guess import AGAIN, guess  # it imports the client

    check_name(model)
    check_left_out(leave_out, label=label)
    said: dict[str, Sequence[str | None]] = {"--label": [label], "--leave-out": leave_out or [], "--gaps": gaps or []}
    how = written(delimiter, decimal, encoding, dates)
    said |= {f"--{name}": [value] for name, value in how.items()}
    typed = _typed({"--target": [target], "--category": category or [], **said})
    if new_classes is not None:
        typed += " --new-classes" + ("" if new_classes == ASK else f"={word(new_classes)}")
    repeat = f"tsuika init {model} {word(str(path))}{typed}{' --replace' if replace else ''} {{}}"
    repeat += "" if dry_run or replace else AGAIN
    file = open_file(path, leave_out, gaps, SaidDialect.of(how))
    if leave_out and len(file.columns) < 2:
        raise WrongUsage(f"{file.name}: so much is left out that no column is left beside {quoted(file.columns)}.")
    meant = None if new_classes == ASK else new_classes or ""
    guessed = guess(file, label, target, repeat, category or (), meant, gaps or ())
    body = {"name": model, **guessed.body, **({"leave_out": leave_out} if leave_out else {})}
    lines = list(guessed.lines)
    if dry_run:
        lines.append("Nothing was made.")
    else:
        with connected() as client:
            _make(client, body, replace)
        remembers = "gaps" in guessed.body["input"]  # and what is left out
        said |= {"--gaps": [] if remembers else [*(gaps or []), *guessed.gaps], "--leave-out": []}
        teach = "If all of this is right, teach it" if guessed.doubtful else "Teach it"
        lines.append(f"● {model} is there. {teach}: tsuika push {model} {word(str(path))}{_typed(said)}")
    members = {"made": not dry_run, "model": body, "label": guessed.label, "gaps": guessed.gaps, "notes": guessed.lines}
    print_result("init", members, lines, as_json)
    return DONE


def _typed(said: Mapping[str, Sequence[str | None]]) -> str:
    """Options as they are typed, each with its values."""
    return "".join(f" {option} {word(value)}" for option, values in said.items() for value in values if value)


def _make(client: Client, body: dict[str, Any], replace: bool) -> None:
    """Makes the model. Raises WrongUsage where it would replace one that has had rows."""
    from service.client.errors import ClientError, Conflict, NotFound

    try:
        client.create_model(**body)
        return
    except Conflict as taken:  # all else is right: what is refused takes the place of nothing
        if not replace:
            raise ClientError(f"{taken.detail} If that model never had rows: --replace.") from taken
        there = client.model(body["name"])
        try:
            used = any(next(listed, None) for listed in (there.updates(), there.batches(), there.version_summaries()))
        except NotFound:
            raise taken from None  # an archived one has its name
    if used:
        raise WrongUsage(f"{there.name} has had rows, so nothing takes its place. Choose another name.")
    there.archive()
    client.create_model(**body)
