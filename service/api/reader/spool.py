"""Large bodies on disk: a folder a request, for the body and for what the reading process makes of it."""

from __future__ import annotations

import errno
import mmap
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from service.errors import DiskFull, NotWritable
from service.tuning import room

LARGE_BYTES = 256 * 1024
"""A longer body of rows waits on disk, and where it must be parsed the reading process does it."""
MEMBERS_BYTES = 1024 * 1024
"""A body of rows with more beside its rows and labels is refused."""


class Spooled:
    """A body on disk. Its folder is gone once the request has ended; `with` writes it and closes the file."""

    def __init__(self, root: Path) -> None:
        """Raises DiskFull, NotWritable."""
        try:
            root.mkdir(exist_ok=True)
            self.folder = Path(tempfile.mkdtemp(dir=root))
            self.path = self.folder / "body"
            self._file: BinaryIO = self.path.open("xb")
        except OSError as error:
            raise refusal_of_disk(error, "so large a body") from error

    def write(self, data: bytes) -> None:
        """Appends to the body. Raises DiskFull."""
        try:
            self._file.write(data)
        except OSError as error:
            raise refusal_of_disk(error, "so large a body") from error

    def mapped(self) -> mmap.mmap:
        """Maps its bytes: none is read before it is looked at, and a change is made to a copy."""
        with self.path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)

    def remove(self) -> None:
        self._file.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Spooled:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes a body that is whole, deletes another one. Raises DiskFull."""
        if kind is not None:
            self.remove()
            return
        try:
            self._file.close()
        except OSError as full:
            self.remove()
            raise refusal_of_disk(full, "so large a body") from full


def clear(root: Path) -> None:
    """Deletes what a process that died has left."""
    shutil.rmtree(root, ignore_errors=True)


def refusal_of_disk(error: OSError, thing: str) -> Exception:
    """The error as a refusal where there is no room, or nothing can be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"The disk has no room for {thing}; nothing was stored. {room.REMEDY}")
    if error.errno in (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO):
        return NotWritable(f"The data folder has no place for {thing} now: {error.strerror}.")
    return error
