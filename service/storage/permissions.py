"""Keeps the service's files private to its user: files 0600, folders 0700.

New files get these modes from the umask; files that an earlier release left more open are tightened at the start. The
store and the cache hold rows and weights, the database holds the secret that keys the folds.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command line imports this, and nothing heavy
    from service.settings import Settings

FILE, FOLDER = 0o600, 0o700
OTHERS = 0o077
"""Mode bits of group and others."""
DATABASE_ENDINGS = ("", "-wal", "-shm", "-journal")
"""Endings of SQLite's files; it gives all of them the mode of the database."""

log = logging.getLogger("tsuika.storage")


def keep_to_ourselves() -> None:
    """Makes new files of this process and its children private."""
    os.umask(OTHERS)


def tighten(settings: Settings) -> None:
    """Creates the data folder and the database if they are missing, and closes to others what is open to them.

    The database is created here, empty, since SQLite would use the umask. Other files in the data folder are left as
    they are. Raises OSError.
    """
    settings.data.mkdir(FOLDER, parents=True, exist_ok=True)
    for path in _open_to_others(settings):
        try:
            path.chmod(FOLDER if path.is_dir() else FILE)
        except OSError as error:  # it belongs to another user, or the disk is read-only
            log.warning("%s stays open to others: %s", path, error.strerror)
    database = settings.database_file
    if database is not None and database.parent.is_dir():
        with suppress(FileExistsError):
            os.close(os.open(database, os.O_CREAT | os.O_EXCL, FILE))


def _open_to_others(settings: Settings) -> Iterator[Path]:
    """Yields the innermost paths first, so that a closed folder means that all within it was closed."""
    for folder in (settings.store_folder, settings.data / "cache", settings.data / "spool"):
        if folder is not None and _is_open(folder):
            for parent, folders, files in os.walk(folder, topdown=False):
                paths = [Path(parent, name) for name in (*files, *folders)]
                yield from (path for path in paths if not path.is_symlink() and _is_open(path))
            yield folder
    database = settings.database_file
    beside = [database.with_name(database.name + end) for end in DATABASE_ENDINGS] if database is not None else []
    for path in (*beside, *settings.data.glob("*.lock"), settings.data):
        if _is_open(path):
            yield path


def _is_open(path: Path) -> bool:
    return path.exists() and bool(path.stat().st_mode & OTHERS)
