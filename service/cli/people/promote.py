"""`tsuika promote MODEL@N`: makes a version live by hand."""

from __future__ import annotations

from typing import Annotated

from typer import Option

from service.cli.connection import connected
from service.cli.exits import DONE
from service.cli.names import VersionName, number_of
from service.cli.options import Json, Reason, reason_of
from service.cli.output import print_result
from service.learning.wording import counted


def run(
    name: VersionName,
    reason: Reason = None,
    if_live: Annotated[int | None, Option(metavar="N", help="Only while this version is live.")] = None,
    auto: Annotated[
        bool, Option("--auto", help="Later good versions go live by themselves, as before a rollback.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Makes a version live by hand, one that was held for one, and says which batches it lacks."""
    model, number = number_of(name)
    with connected() as client:
        remote = client.model(model)
        done = remote.promote(number, reason_of(reason), if_live=if_live)
        if auto:
            remote.configure(promotion="auto")
    lines = [f"● Live: version {done.version}."]
    if done.left_out:
        lines.append(
            f"  It lacks {counted(len(done.left_out), 'batch', 'batches')}, which wait: {', '.join(done.left_out)}"
        )
    if auto:
        lines.append("  New versions go live by themselves once they pass every check.")
    lines.append(f"  Undo: tsuika rollback {model}")
    print_result("promote", done.model_dump(mode="json"), lines, as_json)
    return DONE
