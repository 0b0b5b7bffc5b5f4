"""`tsuika learn MODEL [BATCH...]`: learns the batches that wait, such as those that a rollback left out, or some."""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer
from typer import Argument

from service.cli.connection import batches_that_begin, connected
from service.cli.names import ModelName
from service.cli.options import Expect, Json, Method
from service.cli.progress import learning
from service.cli.verdicts import print_update


def run(
    model: ModelName,
    batches: Annotated[
        list[str] | None,
        Argument(
            metavar="BATCH", help="Ids of the batches, bat_...; else all that wait.", autocompletion=batches_that_begin
        ),
    ] = None,
    method: Method = None,
    expect: Expect = None,
    as_json: Json = False,
) -> int:
    """Learns all batches that wait in one update, such as those that a rollback left out, or those that are named, and
    says what came of it. They are judged together.

    Exit code 0: live, 3: rejected, 4: held.
    """
    with connected() as client, learning(None) as show:
        options: dict[str, Any] = {"method": method, "expect": expect, "wait": math.inf, "on_progress": show}
        remote = client.model(model)
        if not batches and (said := remote.info().pending.sentence):
            typer.echo(f"{said} To leave them out name the others, which tsuika batches {model} lists.", err=True)
        update = remote.update(batches=batches or "pending", **options)
    return print_update("learn", update, as_json)
