"""`tsuika backup DIR`: a copy of one moment, made while services run and learn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, echo

from service.cli.exits import DONE, ERROR
from service.cli.options import Json
from service.cli.output import print_result
from service.cli.progress import progress
from service.cli.upkeep.stored import runtime
from service.learning.wording import counted


def run(
    folder: Annotated[Path, Argument(metavar="DIR", help="An empty folder, or an earlier backup.")],
    as_json: Json = False,
) -> int:
    """Copies one moment of everything, while services run and learn.

    A second time copies what is new, and deletes what the moment before had and this one has not.
    """
    with runtime() as opened, progress("Copying") as show:
        from service.upkeep.backup import back_up
        from service.upkeep.backup_folder import BackupFolder

        made = back_up(opened, BackupFolder(folder), show)
    size = f"{made.bytes / 1e6:,.1f} MB"
    line = f"{folder}: {counted(made.files, 'file', 'files')} ({size}) and the database."
    members = {"folder": str(folder), "files": made.files, "bytes": made.bytes, "lacks": list(made.lacks)}
    print_result("backup", members, [line], as_json)
    for lost in made.lacks:
        echo(f"It lacks {lost}, which is damaged here: tsuika fsck says what that means.", err=True)
    return ERROR if made.lacks else DONE
