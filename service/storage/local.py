"""The store in a folder. A write is: temporary file, fsync, rename, fsync of the folder. Every read is verified."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from service.errors import DiskFull, NotWritable
from service.storage.artifacts import check_name, corrupt, is_name
from service.storage.figures import observed
from service.tuning import room

log = logging.getLogger("tsuika.storage")

TEMPORARY = "tmp"
PIECE = 1024 * 1024
"""Bytes that are read at once."""
FULL = f"No space left for stored bytes; nothing was stored. {room.REMEDY}"
TRIES = 3
"""How often a write is tried again if its temporary file was swept away."""


def nothing(point: str) -> None:
    """The default of `crash`: does nothing."""


class LocalArtifacts:
    """`root/<area>/<2 digits>/<62 digits>`. `crash`: called at named points, so that tests can die there · `reserve`:
    bytes of the disk that stay free."""

    def __init__(self, root: Path, crash: Callable[[str], None] = nothing, reserve: int = 0) -> None:
        self._root, self._crash, self._reserve = root, crash, reserve
        root.mkdir(exist_ok=True)  # without parents: the folder around it may have been moved
        (root / TEMPORARY).mkdir(exist_ok=True)

    def trouble(self) -> str | None:
        """Why nothing can be stored, or None: the folder was moved or made read-only."""
        if not (self._root / TEMPORARY).is_dir():
            return "The store was moved or deleted while the service ran: put it back, or start the service anew."
        if not os.access(self._root / TEMPORARY, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            return "The store is read-only: make it writable for the user of the service."
        return None

    @observed("put")
    def put(self, area: str, data: bytes, anew: bool = False) -> str:
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(area, digest)
        tries = TRIES
        while anew or not _whole(path, digest):
            tries -= 1
            if room.free(self._root) < self._reserve + len(data):
                raise DiskFull(FULL)
            temporary = self._temporary(area)
            try:
                _write_durably(temporary, data)  # fails if the store was moved, before a folder is made there
                self._crash("after_blob_temp")
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary.replace(path)
                sync_folder(path.parent)
                self._crash("after_blob_rename")
                break
            except OSError as error:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise DiskFull(FULL) from error
                if not (isinstance(error, FileNotFoundError) and tries):
                    raise NotWritable(self.trouble() or f"The store cannot be written: {error.strerror}.") from error
        return digest

    @observed("get")
    def get(self, area: str, digest: str) -> bytes:
        try:
            data, actual = _read(self._path(area, digest))
        except FileNotFoundError:
            raise corrupt(digest, "are missing from the store") from None
        except OSError as error:
            log.error("%s", error)  # the message has the path
            raise corrupt(digest, f"cannot be read: {error.strerror}") from error
        if actual != digest:
            raise corrupt(digest, "are damaged: they do not hash to their name")
        return data

    def has(self, area: str, digest: str) -> bool:
        return self._path(area, digest).exists()

    def delete(self, area: str, digest: str) -> None:
        self._path(area, digest).unlink(missing_ok=True)

    def sweep(self, area: str, digest: str, older_than: float) -> bool:
        path, temporary = self._path(area, digest), self._temporary(area)
        try:
            if path.stat().st_mtime >= older_than:
                return False
            path.rename(temporary)  # from here on `put` writes the same bytes again
            if temporary.stat().st_mtime >= older_than:
                temporary.rename(path)  # touched just before the rename
                return False
        except FileNotFoundError:
            return False
        temporary.unlink(missing_ok=True)
        return True

    def names(self, within: str = "*") -> Iterator[tuple[str, str, float]]:
        """Yields (area, digest, time) of all bytes, or of the areas that match `within`."""
        for path in self._root.glob(f"{within}/[0-9a-f][0-9a-f]/*"):
            area, digest = path.parent.parent.name, path.parent.name + path.name
            with suppress(FileNotFoundError):
                if is_name(area, digest):
                    yield area, digest, path.stat().st_mtime

    def clear_temporary(self, older_than: float, dry_run: bool = False) -> int:
        """Deletes old temporary files, which killed writers left, unless it is a dry run; returns how many."""
        stale = 0
        for path in (self._root / TEMPORARY).glob("*"):
            with suppress(FileNotFoundError):  # its writer has just renamed it
                if path.stat().st_mtime < older_than:
                    stale += 1
                    if not dry_run:
                        path.unlink()
        return stale

    def sweep_temporary(self, area: str) -> None:
        """Deletes all temporary files of an area, and those without an area in their name; `put` tries again then."""
        for path in (self._root / TEMPORARY).iterdir():
            owner, dot, _ = path.name.partition(".")
            if owner == area or not dot:
                path.unlink(missing_ok=True)

    def sync(self, names: Iterable[tuple[str, str]]) -> None:
        """Makes the deletion of these (area, digest), and of temporary files, durable."""
        folders = {self._path(area, digest).parent for area, digest in names}
        for folder in (self._root / TEMPORARY, *folders):
            sync_folder(folder)

    def forget_cached(self) -> None:
        """Nothing is kept beside the store."""

    def _temporary(self, area: str) -> Path:
        return self._root / TEMPORARY / f"{area}.{secrets.token_hex(16)}"

    def _path(self, area: str, digest: str) -> Path:
        check_name(area, digest)
        return self._root / area / digest[:2] / digest[2:]


def _whole(path: Path, digest: str) -> bool:
    """Whether the bytes exist undamaged. Touches them first, so that garbage collection spares them from now on."""
    try:
        os.utime(path)
        return hashlib.sha256(path.read_bytes()).hexdigest() == digest
    except OSError:  # missing, or not to be touched: then writing fails with the reason
        return False


def _read(path: Path) -> tuple[bytes, str]:
    """Reads bytes and their digest piece by piece, so that a long read does not hold up the process."""
    hashed, parts = hashlib.sha256(), list[bytes]()
    with path.open("rb", buffering=0) as file:
        while part := file.read(PIECE):
            hashed.update(part)
            parts.append(part)
    return b"".join(parts), hashed.hexdigest()


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable: files that were added, and files that were deleted."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
