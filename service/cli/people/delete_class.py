"""`tsuika delete-class MODEL CLASS`: takes a class out of a model that no row has, such as a slip of the pen."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from service.cli.connection import connected
from service.cli.exits import DONE, WrongUsage
from service.cli.names import ModelName
from service.cli.options import Json, Reason
from service.cli.output import plain, print_result

if TYPE_CHECKING:
    from service.client import RemoteModel


def run(
    model: ModelName,
    name: Annotated[str, Argument(metavar="CLASS", help="The class, as labels write it.")],
    reason: Reason = None,
    yes: Annotated[bool, Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> int:
    """Takes a class out of a model: rows of it are refused again. No batch that is not taken back may have any.

    On a terminal it says what will change, and asks.
    """
    with connected() as client:
        remote = client.model(model)
        change = plain(_change(remote, name))
        if not yes and sys.stdin.isatty() and not typer.confirm(f"{change} Delete it?", err=True):
            raise WrongUsage("Nothing was changed.")
        _delete(remote, name, reason or "")
    print_result("delete-class", {"model": model, "class": name}, [plain(f'"{name}" is deleted. {change}')], as_json)
    return DONE


def _change(remote: RemoteModel, name: str) -> str:
    """What will change. Raises WrongUsage for a name that is no class."""
    info = remote.info()
    if name not in info.classes:
        listed = ", ".join(f'"{known}"' for known in info.classes[:10]) or "none"
        more = f" and {len(info.classes) - 10:,} more" if len(info.classes) > 10 else ""
        raise WrongUsage(f'"{name[:100]}" is not a class of {info.name}. It has {listed}{more}.')
    live = info.live_version is not None and name in remote.version(info.live_version).classes
    still = f" Version {info.live_version}, which is live, answers with it as before." if live else ""
    return f'Rows with the label "{name}" are refused from then on, unless a push says that it is new.{still}'


def _delete(remote: RemoteModel, name: str, reason: str) -> None:
    """Raises ClientError that says the command where a batch has such rows."""
    from service.client.errors import ClientError, Conflict

    try:
        remote.delete_class(name, reason)
    except Conflict as refused:
        batch = (refused.problem.model_extra or {}).get("batch")
        way = f" tsuika retract {remote.name} {batch}" if batch else ""
        raise ClientError(f"{refused.detail}{way}") from refused
