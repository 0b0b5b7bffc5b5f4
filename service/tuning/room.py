"""Room on a disk, and in memory. What would take of the last of a disk is refused, so that a database is never in the
middle of a write when it ends, and commands that make room have some."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

SPARE_BYTES = 256 * 1024
"""SQLite needs 36 kB to open a database that nobody has open."""


CONTAINER = Path("/sys/fs/cgroup/memory.max")
"""Where a container finds how much memory it may have."""


REMEDY = "Free some: tsuika gc, or tsuika gc --cache (docs/upkeep.md)."


def free(folder: Path) -> int:
    """Bytes that may be written where a folder is; without an end where that cannot be told."""
    try:
        status = os.statvfs(folder)
    except OSError:  # it was moved: who writes there says so
        return sys.maxsize
    return status.f_bavail * status.f_frsize if status.f_blocks else sys.maxsize


def memory() -> int:
    """Bytes of memory of this machine, or of the container where that has less."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(machine, int(CONTAINER.read_text()))
    except (OSError, ValueError):  # there is none, or it has no limit ("max")
        return machine


def shortage(folders: Iterable[Path], kept: int) -> str | None:
    """Why nothing more may be stored there, where less than `kept` bytes are free; None otherwise."""
    for folder in folders:
        if free(folder) < kept:
            return (
                f"The disk of the data folder is full but for {kept // 2**20:,} MiB, which are kept for rollbacks and "
                f"repairs. {REMEDY}"
            )
    return None


def keep_spare(file: Path) -> None:
    """Takes room that can be given back by deleting the file, unless it is taken already or little is left: without
    any, no command could open the database to make some."""
    if file.exists() or free(file.parent) < 4 * SPARE_BYTES:
        return
    with suppress(OSError), file.open("xb") as opened:
        if hasattr(os, "posix_fallocate"):  # it writes nothing
            os.posix_fallocate(opened.fileno(), 0, SPARE_BYTES)
        else:
            opened.write(bytes(SPARE_BYTES))
