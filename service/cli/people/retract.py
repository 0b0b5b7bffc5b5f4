"""`tsuika retract MODEL BATCH`: takes batches back out of what is served."""

from __future__ import annotations

from typing import Annotated

from typer import Argument, Option

from service.cli.connection import connected
from service.cli.names import ModelName
from service.cli.options import Json, Reason, reason_of
from service.cli.progress import learning
from service.cli.verdicts import print_update


def run(
    model: ModelName,
    batches: Annotated[list[str], Argument(metavar="BATCH...", help="Ids of the batches, bat_...")],
    reason: Reason = None,
    erase: Annotated[bool, Option("--erase", help="Delete the rows and everything made of them, too.")] = False,
    as_json: Json = False,
) -> int:
    """Takes batches back out of what is served: a version without them goes live, with a certificate."""
    why = reason_of(reason)
    with connected() as client, learning(None) as show:
        update = client.model(model).retract(batches, why, erase=erase, on_progress=show)
    return print_update("retract", update, as_json)
