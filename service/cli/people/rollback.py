"""`tsuika rollback MODEL`: the version before answers from now on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from typer import Option, echo

from service.cli.connection import connected, versions_that_begin
from service.cli.exits import DONE
from service.cli.names import ModelName
from service.cli.options import Json, Reason, reason_of
from service.cli.output import print_result
from service.learning.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.contract.version_resources import WayBack


def run(
    model: ModelName,
    to: Annotated[
        int | None, Option(metavar="N", help="Go back until this version is live.", autocompletion=versions_that_begin)
    ] = None,
    reason: Reason = None,
    as_json: Json = False,
) -> int:
    """Undoes the latest promotion: the version before answers from now on, and new versions wait for you."""
    with connected() as client:
        remote = client.model(model)
        way = remote.way_back(to) if reason is None and sys.stdin.isatty() else None
        if way is not None and way.to is not None:
            echo(_changes(way), err=True)
            done = remote.rollback(reason_of(reason), to=way.to, if_live=way.live_version)
        else:
            done = remote.rollback(reason or "", to=to)
    lines = [f"● Live again: version {done.live_version}. Version {done.previous_version} is kept."]
    if done.passed:
        lines.append(f"  {_passed(done.passed)}")
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


def _changes(way: WayBack) -> str:
    """What going back changes."""
    passed = f"{_passed(way.passed)} " if way.passed else ""
    not_learned = f"that version {way.to} has not learned"
    rows = counted(way.rows, f"row {not_learned} stays and waits", f"rows {not_learned} stay and wait")
    wait = f" {rows}." if way.rows else ""
    answers = f"Version {way.live_version} of {way.model} stops answering, and version {way.to} answers.{wait}"
    return f"{passed}{answers} New versions will then wait for you, until: tsuika promote {way.model} --auto"


def _passed(numbers: Sequence[int]) -> str:
    they = "they" if len(numbers) > 1 else "it"
    return f"Passed over, since {they} may not go live: {', '.join(map(str, numbers))}."
