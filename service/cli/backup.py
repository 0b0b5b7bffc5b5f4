"""`tsuika backup DIR`: a copy of one moment, made while services run and learn."""

from __future__ import annotations

import argparse
import sys

from service.cli.exits import DONE, ERROR
from service.cli.progress import progress
from service.cli.stored import runtime
from service.learning.wording import counted
from service.upkeep.backup import back_up
from service.upkeep.backup_folder import BackupFolder


def run(arguments: argparse.Namespace) -> int:
    """Says how much the backup holds, and what it lacks since it is damaged here."""
    with runtime() as opened, progress("Copying") as show:
        made = back_up(opened, BackupFolder(arguments.folder), show)
    print(f"{arguments.folder}: {counted(made.files, 'file', 'files')} ({made.bytes / 1e6:,.1f} MB) and the database.")
    for lost in made.lacks:
        print(f"It lacks {lost}, which is damaged here: tsuika fsck says what that means.", file=sys.stderr)
    return ERROR if made.lacks else DONE
