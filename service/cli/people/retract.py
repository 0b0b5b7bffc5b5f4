"""`tsuika retract MODEL BATCH`: takes batches back out of what is served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from service.cli.connection import batches_that_begin, connected, models_that_begin
from service.cli.exits import WrongUsage
from service.cli.names import VersionOf, version_of
from service.cli.options import Json, Reason, reason_of
from service.cli.progress import learning
from service.cli.verdicts import print_update

if TYPE_CHECKING:
    from service.client import Client


def run(
    model: Annotated[str, Argument(metavar="MODEL", help="Name of the model.", autocompletion=models_that_begin)],
    batches: Annotated[
        list[str] | None,
        Argument(
            metavar="BATCH",
            help="Ids of the batches, as `tsuika batches MODEL` lists them.",
            autocompletion=batches_that_begin,
        ),
    ] = None,
    reason: Reason = None,
    erase: Annotated[bool, Option("--erase", help="Delete the rows and everything made of them, too.")] = False,
    as_json: Json = False,
) -> int:
    """Takes batches back out of what is served: a version without them goes live, with a certificate."""
    with connected() as client:
        named = version_of(model)
        if not batches or named.version is not None:
            raise WrongUsage(_which(client, named))
        why = reason_of(reason)
        with learning(None) as show:
            update = client.model(model).retract(batches, why, erase=erase, on_progress=show)
    return print_update("retract", update, as_json)


def _which(client: Client, named: VersionOf) -> str:
    """Asks for the batches; of a version it names those that its update brought."""
    model = client.model(named.model)
    if named.version is None:
        model.info()
        return f"Which batch? tsuika batches {named.model} lists them; then: tsuika retract {named.model} BATCH"
    version = model.version(named.version)
    brought = client.update(version.update).batches if version.update is not None else []
    if not brought:
        return f"Version {version.number} brought no batch. tsuika batches {named.model} lists those of the model."
    return (
        f"Batches are taken back, not versions. Version {version.number} brought this: "
        f"tsuika retract {named.model} {' '.join(brought)}"
    )
