"""`tsuika verify MODEL VERSION`: recomputes what a certificate says, from the stored rows."""

from __future__ import annotations

import argparse

from service.cli.exits import DONE, ERROR
from service.cli.progress import progress
from service.cli.stored import runtime
from service.learning.wording import counted, rows
from service.registry import aliases, models
from service.upkeep.verify import Verified, verify


def run(arguments: argparse.Namespace) -> int:
    """Adds up the stored entries of everything that the version learned, and compares digests."""
    with runtime() as opened, progress("Adding up") as show:
        with opened.database.reading() as session:
            number = aliases.version(session, models.get(session, arguments.model), arguments.version).number
        verified = verify(opened, arguments.model, number, show)
    for line in report_lines(verified):
        print(line)
    return DONE if verified.holds else ERROR


def report_lines(verified: Verified) -> list[str]:
    """The outcome in a few lines: what agrees, or which stored files are damaged and what they cost."""
    parts = f"{counted(verified.batches, 'batch', 'batches')}, {counted(verified.shards, 'shard', 'shards')}"
    merged = f", {rows(verified.merged)} of them merged from elsewhere" if verified.merged else ""
    subject = f"{verified.model} version {verified.version}: {rows(verified.rows)} of {parts}{merged}"
    if verified.holds:
        return [f"Verified. {subject}.", f"  recorded and recomputed  {verified.recorded}"]
    lines = [f"NOT verified. {subject}."]
    for file in verified.damaged:
        lines.append(f"  damaged     {file.area}/{file.digest}: {file.what}. Without it {file.costs}.")
    if verified.recorded:
        lines.append(f"  recorded    {verified.recorded}")
        lines.append(f"  recomputed  {verified.recomputed or 'not possible'}")
    return [*lines, "Stored files were changed or lost. Restore them from a copy of the data folder."]
