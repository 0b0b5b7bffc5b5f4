"""`tsuika restore DIR`: makes an installation of a backup, in the empty place that the settings name."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from service.cli.exits import DONE
from service.cli.progress import progress
from service.learning.wording import counted
from service.registry.callers.actor import COMMAND_LINE, act_as
from service.registry.sql import schema
from service.settings import Settings
from service.upkeep.backup_folder import BackupFolder
from service.upkeep.restore import delete_again, require_old, restore


def run(arguments: argparse.Namespace) -> int:
    """Says what moment it shows, and what may have come back that must not."""
    settings, folder = Settings.from_environment(), BackupFolder(arguments.folder)
    old = None if arguments.old is None else _url(arguments.old)
    if old is not None:
        require_old(folder, old)
    with progress("Restoring") as show:
        manifest = restore(settings, folder, show)
    moment = f"{datetime.fromtimestamp(manifest.made_at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    files = counted(manifest.files, "file", "files")
    print(f"Restored into {schema.name_of(settings.database_url)} and {settings.store_url}: {files}, as of {moment}.")
    for lost in manifest.lacks:
        print(f"The backup lacks {lost}: tsuika fsck says what that means.")
    if old is None:
        print(
            "What was erased after that moment is back, and keys that were revoked since are good again. Erase and "
            "revoke them once more; with --old, naming the database that was backed up, this is done for you."
        )
        return DONE
    act_as(COMMAND_LINE)
    done = delete_again(settings, old)
    print(
        f"Done again since then: {counted(done.batches, 'batch is', 'batches are')} erased as soon as a worker runs, "
        f"{counted(done.keys, 'key is', 'keys are')} revoked."
    )
    return DONE


def _url(old: str) -> str:
    """The URL of a database that was named by it or by its file."""
    return old if "://" in old else f"sqlite:///{Path(old).absolute()}"
