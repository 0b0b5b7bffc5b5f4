"""`tsuika restore DIR`: makes an installation of a backup, in the empty place that the settings name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from service.cli.exits import DONE
from service.cli.options import Json
from service.cli.output import print_result
from service.cli.progress import progress
from service.learning.wording import counted


def run(
    folder: Annotated[Path, Argument(metavar="DIR", help="The backup.")],
    old: Annotated[
        str | None,
        Option(
            metavar="DATABASE",
            help="File or URL of the database that was backed up: what was erased there since is erased here, too.",
        ),
    ] = None,
    as_json: Json = False,
) -> int:
    """Makes an installation of a backup in the empty place that the settings name, of either database and store.

    It says what moment that shows, and what may have come back that must not.
    """
    from service.registry.callers.actor import COMMAND_LINE, act_as
    from service.registry.sql import schema
    from service.settings import Settings
    from service.upkeep.backup_folder import BackupFolder
    from service.upkeep.restore import delete_again, require_old, restore

    settings, backup = Settings.from_environment(), BackupFolder(folder)
    url = None if old is None else _url(old)
    if url is not None:
        require_old(backup, url)
    with progress("Restoring") as show:
        manifest = restore(settings, backup, show)
    moment = f"{datetime.fromtimestamp(manifest.made_at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    files, database = counted(manifest.files, "file", "files"), schema.name_of(settings.database_url)
    lines = [f"Restored into {database} and {settings.store_url}: {files}, as of {moment}."]
    lines += [f"The backup lacks {lost}: tsuika fsck says what that means." for lost in manifest.lacks]
    members = {"database": database, "store": settings.store_url, "files": manifest.files, "as_of": moment}
    members |= {"lacks": list(manifest.lacks), "erased_again": None, "revoked_again": None}
    if url is None:
        lines.append(
            "What was erased after that moment is back, and keys that were revoked since are good again. Erase and "
            "revoke them once more; with --old, naming the database that was backed up, this is done for you."
        )
    else:
        act_as(COMMAND_LINE)
        done = delete_again(settings, url)
        members |= {"erased_again": done.batches, "revoked_again": done.keys}
        lines.append(
            f"Done again since then: {counted(done.batches, 'batch is', 'batches are')} erased as soon as a worker "
            f"runs, {counted(done.keys, 'key is', 'keys are')} revoked."
        )
    print_result("restore", members, lines, as_json)
    return DONE


def _url(old: str) -> str:
    """The URL of a database that was named by it or by its file."""
    return old if "://" in old else f"sqlite:///{Path(old).absolute()}"
