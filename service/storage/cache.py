"""A cache of bytes that can be rebuilt, by name, within a budget of bytes; losing it costs time only.

An entry belongs to the area of the model whose rows it was made of, so that erasing a batch can drop all of them.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import secrets
import shutil
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from service.storage.artifacts import check_name, is_name
from service.storage.local import sync_folder
from service.tuning import room

log = logging.getLogger("tsuika.storage")

SPARE = "spare"
"""A file that holds nothing and takes room, for `empty` to make some whatever the cache has."""
PART = ".part"
"""Ending of a file that is being written."""


SHARE = 4
"""Of what is left of the budget, a writer takes such a part before it looks again: others may write, too."""


class Folder:
    """An open folder: writes go to this folder, not to another one that takes its place."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)  # not the data folder: it may have been moved
        path.mkdir(exist_ok=True)
        self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        weakref.finalize(self, os.close, self.descriptor)

    def write(self, name: str, data: bytes) -> None:
        """Writes a whole file or none. Raises OSError, also if the folder was removed."""
        temporary = f"{name}.{secrets.token_hex(4)}{PART}"
        try:
            new = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=self.descriptor)
            with os.fdopen(new, "wb") as file:
                file.write(hashlib.sha256(data).digest())
                file.write(data)
            os.replace(temporary, name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        except OSError:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=self.descriptor)
            raise


class Cache:
    """`root/<area>/<64 digits>`; the first 32 bytes of a file are the SHA-256 of the rest. `reserve`: bytes of the disk
    that stay free."""

    def __init__(self, root: Path, max_bytes: int, reserve: int = 0) -> None:
        self._root, self._max_bytes, self._reserve = root, max_bytes, reserve
        self._folders: dict[str, Folder] = {}
        self._until_look = -1
        """Bytes that may be written before the next look at what all files take: a look costs the more, the more they
        are."""
        root.mkdir(exist_ok=True)

    def enter(self, area: str) -> Folder:
        """Binds `put` to the folder that exists now: once that is forgotten, nothing more is kept. So what an update
        makes of rows that are erased while it runs does not come back."""
        check_name(area, "0" * 64)
        folder = self._folders[area] = Folder(self._root / area)
        room.keep_spare(self._root / SPARE)
        return folder

    def put(self, area: str, name: str, data: bytes, entered: Folder | None = None) -> None:
        """Stores bytes under a name and evicts the oldest entries beyond the budget. A full disk is no error.

        `entered`: the folder as it was before the bytes were read."""
        check_name(area, name)
        if room.free(self._root) < self._reserve + len(data):
            return
        try:
            if self._max_bytes:
                (entered or self._folders.get(area) or self.enter(area)).write(name, data)
        except OSError as error:
            log.warning("nothing is cached: %s", error)
        self._until_look -= len(data)
        if self._until_look < 0:
            self._evict()

    def get(self, area: str, name: str) -> bytes | None:
        """The bytes, or None if they are missing or damaged."""
        try:
            file = self._path(area, name).read_bytes()
        except FileNotFoundError:
            return None
        digest, data = file[:32], file[32:]
        return data if hashlib.sha256(data).digest() == digest else None

    def files(self) -> Iterator[Path]:
        """Yields every file, also those that are being written."""
        return self._root.glob("*/*")

    def empty(self) -> int:
        """Deletes every file, the spare one too; -> their bytes. What is asked for again is made anew."""
        freed = 0
        for path in (*self.files(), self._root / SPARE):
            with suppress(FileNotFoundError):  # another process evicts, too
                freed += path.stat().st_size
                path.unlink()
        return freed

    def is_stale(self, file: Path, older_than: float) -> bool:
        """Whether a file is a damaged entry, or what a writer that was killed has left before that time."""
        try:
            if is_name(file.parent.name, file.name):
                return self.get(file.parent.name, file.name) is None and file.exists()
            return file.suffix == PART and file.stat().st_mtime < older_than
        except FileNotFoundError:  # the service has evicted it meanwhile
            return False

    def forget(self, area: str) -> None:
        """Deletes an area for good, also while other processes write there."""
        check_name(area, "0" * 64)
        self._folders.pop(area, None)
        folder = self._root / area
        while folder.exists():
            try:
                shutil.rmtree(folder)
            except OSError as error:  # another process wrote into it meanwhile, or evicted from it
                if error.errno not in (errno.ENOTEMPTY, errno.ENOENT):
                    raise
        sync_folder(self._root)

    def _evict(self) -> None:
        files = []
        for path in self.files():
            with suppress(FileNotFoundError):  # another process evicts, too
                status = path.stat()
                files.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._max_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size
        self._until_look = (self._max_bytes - total) // SHARE

    def _path(self, area: str, name: str) -> Path:
        check_name(area, name)
        return self._root / area / name
