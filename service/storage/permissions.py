"""What the service keeps can be read by the user it runs as, and by nobody else: files 0600, folders 0700.

New files get these modes by the umask of the process; what an earlier release left more open is tightened when it is
opened. Bytes of rows and weights are in the store and the cache, the secret that keys the folds is in the database.
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
"""What group and others may do."""
DATABASE_ENDINGS = ("", "-wal", "-shm", "-journal")
"""Files of SQLite: it gives those beside the database the mode of the database."""

log = logging.getLogger("tsuika.storage")


def keep_to_ourselves() -> None:
    """Whatever this process and its children make from here on is theirs alone."""
    os.umask(OTHERS)


def tighten(settings: Settings) -> None:
    """Make the data folder and the database, where they are not there yet, and close what is open to others.

    The database is made here, empty: SQLite would make it as the umask says. Other things in the data folder are left
    as they are. Raises OSError.
    """
    settings.data.mkdir(FOLDER, parents=True, exist_ok=True)
    for path in _open_to_others(settings):
        try:
            path.chmod(FOLDER if path.is_dir() else FILE)
        except OSError as error:  # it belongs to another user, or the disk is read-only
            log.warning("%s stays open to others: %s", path, error.strerror)
    if settings.database_file.parent.is_dir():
        with suppress(FileExistsError):
            os.close(os.open(settings.database_file, os.O_CREAT | os.O_EXCL, FILE))


def _open_to_others(settings: Settings) -> Iterator[Path]:
    """The innermost first: a folder that is closed was walked through to its end."""
    for folder in (settings.store_folder, settings.data / "cache", settings.data / "spool"):
        if _is_open(folder):
            for place, folders, files in os.walk(folder, topdown=False):
                paths = [Path(place, name) for name in (*files, *folders)]
                yield from (path for path in paths if not path.is_symlink() and _is_open(path))
            yield folder
    beside = [settings.database_file.with_name(settings.database_file.name + end) for end in DATABASE_ENDINGS]
    for path in (*beside, *settings.data.glob("*.lock"), settings.data):
        if _is_open(path):
            yield path


def _is_open(path: Path) -> bool:
    return path.exists() and bool(path.stat().st_mode & OTHERS)
