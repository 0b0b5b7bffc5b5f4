"""`tsuika learn MODEL [BATCH...]`: learns the batches that wait, such as those that a rollback left out, or some."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from service.cli.connection import batches_that_begin, connected
from service.cli.exits import WrongUsage
from service.cli.names import ModelName
from service.cli.options import Expect, Json, Method
from service.cli.progress import learning
from service.cli.verdicts import print_update

if TYPE_CHECKING:
    from service.client import RemoteModel


def run(
    model: ModelName,
    batches: Annotated[
        list[str] | None,
        Argument(
            metavar="BATCH",
            help="Ids of the batches, bat_...; else those that wait.",
            autocompletion=batches_that_begin,
        ),
    ] = None,
    every: Annotated[
        bool, Option("--all", help="All that wait, those too that the gate stopped alone or a dispute refuted.")
    ] = False,
    method: Method = None,
    expect: Expect = None,
    as_json: Json = False,
) -> int:
    """Learns the batches that wait in one update, such as those that a rollback left out, or those that are named, and
    says what came of it. They are judged together: one that the gate stopped when it was learned alone, or whose labels
    a dispute found wrong, is left out, unless it is named or with --all.

    Exit code 0: live, 3: rejected, 4: held.
    """
    with connected() as client, learning(None) as show:
        options: dict[str, Any] = {"method": method, "expect": expect, "wait": math.inf, "on_progress": show}
        remote = client.model(model)
        named = batches or ([] if every else _undoubted(remote, model))
        update = remote.update(batches=named or "pending", **options)
    return print_update("learn", update, as_json)


def _undoubted(remote: RemoteModel, model: str) -> list[str]:
    """Of the batches that wait those that nothing speaks against, and says which others it leaves out; none where that
    is all. Raises WrongUsage where something speaks against each."""
    if not (said := remote.info().pending.sentence):
        return []
    waiting = list(remote.batches(waiting=True))
    left_out = [batch for batch in waiting if batch.is_doubtful]
    if not left_out:  # what was stopped was stopped together, and nobody knows which of it is bad
        typer.echo(f"{said} Together with others, so all are learned.", err=True)
        return []
    ids = " ".join(batch.id for batch in left_out)
    ways = f"Learn it all the same: tsuika learn {model} {ids}   Take it back: tsuika retract {model} {ids}"
    if len(left_out) == len(waiting):
        raise WrongUsage(f"{said} So nothing is learned. {ways}")
    for batch in left_out:
        why = (
            f"refuted by dispute {batch.refuted}"
            if batch.refuted
            else f"held or rejected, version {batch.stopped_alone}"
        )
        typer.echo(f"Left out: {batch.id} of {batch.rows:,} rows ({why}).", err=True)
    typer.echo(f"  {ways}", err=True)
    return [batch.id for batch in reversed(waiting) if not batch.is_doubtful]
