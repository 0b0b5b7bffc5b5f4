"""`tsuika rollback MODEL`: the version before answers from now on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from typer import Option, echo

from service.cli.connection import connected
from service.cli.exits import DONE
from service.cli.names import ModelName
from service.cli.options import Json, Reason, reason_of
from service.cli.output import print_result
from service.learning.wording import counted

if TYPE_CHECKING:
    from service.client import RemoteModel
    from service.contract.resources import RolledBack


def run(
    model: ModelName,
    to: Annotated[int | None, Option(metavar="N", help="Go back until this version is live.")] = None,
    reason: Reason = None,
    as_json: Json = False,
) -> int:
    """Undoes the latest promotion: the version before answers from now on, and new versions wait for you."""
    with connected() as client:
        remote = client.model(model)
        if reason is None and sys.stdin.isatty():
            echo(_changes(remote, to), err=True)
        done = _back(remote, reason_of(reason), to)
    lines = [f"● Live again: version {done.live_version}. Version {done.previous_version} is kept."]
    if done.left_out:
        lines.append(
            f"  {counted(len(done.left_out), 'batch waits', 'batches wait')} again: {', '.join(done.left_out)}"
        )
    again = f"make version {done.previous_version} live again, and let later ones go live by themselves"
    lines.append(
        f"  New versions wait until you promote them. To {again}: tsuika promote {model}@{done.previous_version} --auto"
    )
    print_result("rollback", done.model_dump(mode="json"), lines, as_json)
    return DONE


def _changes(remote: RemoteModel, to: int | None) -> str:
    """What going back changes: the rows of batches that the live version alone has learned wait again."""
    from service.contract.enums import BatchState, DeploymentKind

    live, moves = remote.version(), [*remote.deployments()]
    undone = {move.undoes for move in moves}
    promotions = (move for move in moves if move.kind is DeploymentKind.PROMOTE and move.id not in undone)
    before = to or next((move.previous_version for move in promotions), None)
    lost = set(live.batches).difference(remote.version(before).batches if before is not None else ())
    left = (batch for batch in remote.batches() if batch.id in lost)
    n = sum(batch.rows for batch in left if batch.state not in (BatchState.RETRACTED, BatchState.ERASED))
    wait = f"; its {counted(n, 'row stays and waits', 'rows stay and wait')}" if n else ""
    return f"Version {live.number} of {remote.name} stops answering{wait}. New versions wait, too."


def _back(remote: RemoteModel, reason: str, to: int | None) -> RolledBack:
    """Rolls back. Raises ClientError that says the command where the version before cannot go live and another can."""
    from service.client.errors import ClientError, Conflict, Erased

    try:
        return remote.rollback(reason, to=to)
    except (Conflict, Erased) as refused:
        clean = (refused.problem.model_extra or {}).get("to")
        if clean is None:
            raise
        of_json, way = f', send {{"to": {clean}}}.', f": tsuika rollback {remote.name} --to {clean}"
        raise ClientError(refused.detail.replace(of_json, way)) from refused
