"""`tsuika init MODEL FILE`: makes a model for a file, whose columns and classes it guesses and says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from service.cli.connection import connected
from service.cli.exits import DONE
from service.cli.files.readers import open_file
from service.cli.names import ModelName
from service.cli.options import Json
from service.cli.output import print_result


def run(
    model: ModelName,
    path: Annotated[Path, Argument(metavar="FILE", help="Rows of the kind that it shall learn.")],
    label: Annotated[
        str | None, Option(metavar="COLUMN", help="The column that is predicted; guessed if left out.")
    ] = None,
    target: Annotated[Literal["class", "number"] | None, Option(help="What is predicted; guessed if left out.")] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Only say what is guessed.")] = False,
    as_json: Json = False,
) -> int:
    """Guesses inputs, columns and classes from a file, says so, and makes the model. Nothing is learned yet."""
    from service.cli.files.guess import guess  # it imports the client

    guessed = guess(open_file(path), label, target)
    body = {"name": model, **guessed.body}
    lines = list(guessed.lines)
    if dry_run:
        lines.append("Nothing was made.")
    else:
        with connected() as client:
            client.create_model(**body)
        also = "" if label is None else f" --label {label}"
        lines.append(f"● {model} is there. Teach it: tsuika push {model} {path}{also}")
    print_result(
        "init", {"made": not dry_run, "model": body, "label": guessed.label, "notes": guessed.lines}, lines, as_json
    )
    return DONE
