"""`tsuika delete-class MODEL CLASS`: takes a class out of a model that no row has, such as a slip of the pen."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from service.cli.connection import connected
from service.cli.exits import DONE, WrongUsage
from service.cli.names import ModelName
from service.cli.options import Json, Reason
from service.cli.output import comma_separated, plain, print_result
from service.contract.names import shortened

if TYPE_CHECKING:
    from service.client import RemoteModel

MOST_NAMED = 5
"""Batches that a refusal names."""


def run(
    model: ModelName,
    name: Annotated[str, Argument(metavar="CLASS", help="The class, as labels write it.")],
    reason: Reason = None,
    yes: Annotated[bool, Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> int:
    """Takes a class out of a model that no row carries any more: rows of it are refused again. A class that rows of a
    batch carry is kept, until that batch is taken back or its rows are corrected.

    On a terminal it says what will change, and asks.
    """
    with connected() as client:
        remote = client.model(model)
        change = plain(_change(remote, name))
        if not yes and sys.stdin.isatty() and not typer.confirm(f"{change} Delete it?", err=True):
            raise WrongUsage("Nothing was changed.")
        remote.delete_class(name, reason or "")
    lines = [plain(f'"{name}" is no class of {model} any more. {change}')]
    print_result("delete-class", {"model": model, "class": name}, lines, as_json)
    return DONE


def _change(remote: RemoteModel, name: str) -> str:
    """What will change. Raises ClientError for a name that is no class, and for a class that rows carry."""
    from service.client.errors import ClientError

    info = remote.info()
    if name not in info.classes:
        listed = shortened([f'"{known}"' for known in info.classes], 10) or "none"
        raise ClientError(f'"{name[:100]}" is not a class of {info.name}. It has {listed}.')
    carry = {
        batch.id: batch.label_counts[name]
        for batch in remote.batches()
        if batch.retracted_at is None and name in batch.label_counts
    }
    if carry:
        raise ClientError(_carried(info.name, name, carry))
    live = info.live_version is not None and name in remote.version(info.live_version).classes
    still = f" Version {info.live_version}, which is live, still knows it." if live else ""
    typed = comma_separated([name])
    return (
        f'No row that counts carries the label "{name}", so no row is lost. Once it is deleted, a push of rows that '
        f"carry it is refused, unless it says --new-classes={typed}.{still}"
    )


def _carried(model: str, name: str, carry: Mapping[str, int]) -> str:
    """Why a class of which batches have rows is kept, and what to do about these rows. carry: batch -> such rows."""
    rows, ids = sum(carry.values()), list(carry)
    which = f"batch {ids[0]}" if len(ids) == 1 else f"{len(ids):,} batches"
    it = "it" if len(ids) == 1 else "them"
    named = " ".join(ids[:MOST_NAMED]) + (" ..." if len(ids) > MOST_NAMED else "")
    carries = "row carries" if rows == 1 else "rows carry"
    return (
        f'{rows:,} {carries} the label "{name}", in {which}: the class stays as long as they do. Give them another '
        f"label (tsuika correct {model} {ids[0]}), or take {it} back with all rows: "
        f"tsuika retract {model} {named}"
    )
