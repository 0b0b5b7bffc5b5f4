"""`tsuika verify MODEL VERSION`: recomputes what a certificate says, from the stored rows."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from typer import Argument

from service.cli.exits import DONE, ERROR
from service.cli.options import Json
from service.cli.output import print_result
from service.cli.progress import progress
from service.cli.upkeep.stored import runtime
from service.learning.wording import counted, rows

if TYPE_CHECKING:
    from service.upkeep.verify import Verified


def run(
    model: Annotated[str, Argument(metavar="MODEL", help="Name of the model.")],
    version: Annotated[str, Argument(metavar="VERSION", help="Number or alias of the version.")],
    as_json: Json = False,
) -> int:
    """Recomputes the sums of everything that a version learned from the stored rows and compares digests."""
    with runtime() as opened, progress("Adding up") as show:
        from service.registry import aliases, models
        from service.upkeep.verify import verify

        with opened.database.reading() as session:
            number = aliases.version(session, models.get(session, model), version).number
        verified = verify(opened, model, number, show)
    print_result("verify", asdict(verified) | {"holds": verified.holds}, report_lines(verified), as_json)
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
