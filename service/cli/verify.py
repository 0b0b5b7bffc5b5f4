"""`tsuika verify MODEL VERSION`: recomputes what a certificate says, from the stored rows."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.progress import Progress

from service.cli.exits import DONE, ERROR
from service.cli.stored import runtime
from service.learning.wording import counted, rows
from service.registry import aliases, models
from service.upkeep.verify import Verified, verify


def run(arguments: argparse.Namespace) -> int:
    """Adds up the stored entries of everything that the version learned, and compares digests."""
    with runtime() as opened, Progress(console=Console(stderr=True), transient=True) as bars:
        with opened.database.reading() as session:
            number = aliases.version(session, models.get(session, arguments.model), arguments.version).number
        bar = bars.add_task("Adding up", total=None)
        found = verify(
            opened,
            arguments.model,
            number,
            lambda done, total: bars.update(bar, completed=done, total=total),
        )
    for line in told(found):
        print(line)
    return DONE if found.holds else ERROR


def told(found: Verified) -> list[str]:
    """What was found, in some lines."""
    what = (
        f"{found.model} version {found.version}: {rows(found.rows)} of {counted(found.batches, 'batch', 'batches')}, "
        f"{counted(found.shards, 'shard', 'shards')}"
    )
    if found.holds:
        return [f"Verified. {what}.", f"  recorded and recomputed  {found.recorded}"]
    lines = [f"NOT verified. {what}."]
    for file in found.damaged:
        lines.append(f"  damaged     {file.area}/{file.digest}: {file.what}. Without it {file.costs}.")
    if found.recorded:
        lines.append(f"  recorded    {found.recorded}")
        lines.append(f"  recomputed  {found.recomputed or 'not possible'}")
    return [*lines, "Stored files were changed or lost. Restore them from a copy of the data folder."]
