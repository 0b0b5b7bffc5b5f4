"""The store as a folder: temporary file, fsync, rename, fsync of the folder; every read is verified."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from service.errors import CorruptArtifact, DiskFull, NotWritable
from service.storage.artifacts import check_name, is_name

log = logging.getLogger("tsuika.storage")

TEMPORARY = "tmp"
PIECE = 1024 * 1024
"""Bytes that are read at once."""
TRIES = 3
"""How often a write begins anew where its temporary file was swept away."""


def nothing(point: str) -> None:
    """No crash points."""


class LocalArtifacts:
    """`root/<area>/<2 digits>/<62 digits>`. `crash`: called at named points, so that tests can die there."""

    def __init__(self, root: Path, crash: Callable[[str], None] = nothing) -> None:
        self._root = root
        self._crash = crash
        root.mkdir(exist_ok=True)  # not the folder around it: it may have been moved while the service runs
        (root / TEMPORARY).mkdir(exist_ok=True)

    def trouble(self) -> str | None:
        """Why nothing can be stored: the folder was moved or made read-only."""
        if not (self._root / TEMPORARY).is_dir():
            return "The store was moved or deleted while the service ran: put it back, or start the service anew."
        if not os.access(self._root / TEMPORARY, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            return "The store is read-only: make it writable for the user of the service."
        return None

    def put(self, area: str, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(area, digest)
        tries = TRIES
        while not _whole(path, digest):
            tries -= 1
            temporary = self._temporary(area)
            try:
                _write_durably(temporary, data)  # fails where the store was moved, before a folder is made there
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
                    raise DiskFull("No space left for stored bytes; nothing was stored.") from error
                if not (isinstance(error, FileNotFoundError) and tries):
                    raise NotWritable(self.trouble() or f"The store cannot be written: {error.strerror}.") from error
        return digest

    def get(self, area: str, digest: str) -> bytes:
        try:
            data, found = _read(self._path(area, digest))
        except FileNotFoundError:
            raise CorruptArtifact(
                f"The bytes {digest[:12]}… are missing from the store. {CorruptArtifact.REMEDY}"
            ) from None
        except OSError as error:
            log.error("%s", error)  # which names the path
            raise CorruptArtifact(
                f"The bytes {digest[:12]}… cannot be read: {error.strerror}. {CorruptArtifact.REMEDY}"
            ) from error
        if found != digest:
            raise CorruptArtifact(
                f"The bytes {digest[:12]}… are damaged: they do not hash to their name. {CorruptArtifact.REMEDY}"
            )
        return data

    def has(self, area: str, digest: str) -> bool:
        return self._path(area, digest).exists()

    def delete(self, area: str, digest: str) -> None:
        self._path(area, digest).unlink(missing_ok=True)

    def sweep(self, area: str, digest: str, older_than: float) -> bool:
        path, aside = self._path(area, digest), self._temporary(area)
        try:
            if path.stat().st_mtime >= older_than:
                return False
            path.rename(aside)  # from here on whoever puts the same bytes writes them anew
            if aside.stat().st_mtime >= older_than:
                aside.rename(path)  # touched between the look and the move
                return False
        except FileNotFoundError:
            return False
        aside.unlink(missing_ok=True)
        return True

    def names(self, within: str = "*") -> Iterator[tuple[str, str, float]]:
        """Those of one area, if it is given."""
        for path in self._root.glob(f"{within}/[0-9a-f][0-9a-f]/*"):
            area, digest = path.parent.parent.name, path.parent.name + path.name
            with suppress(FileNotFoundError):
                if is_name(area, digest):
                    yield area, digest, path.stat().st_mtime

    def clear_temporary(self, older_than: float) -> int:
        """Remove what writers that died have left; -> how many files."""
        stale = [p for p in (self._root / TEMPORARY).iterdir() if p.stat().st_mtime < older_than]
        for path in stale:
            path.unlink(missing_ok=True)
        return len(stale)

    def sweep_temporary(self, area: str) -> None:
        """Remove every temporary file of an area, and those of releases that named no area; who writes begins anew."""
        for path in (self._root / TEMPORARY).iterdir():
            owner, dot, _ = path.name.partition(".")
            if owner == area or not dot:
                path.unlink(missing_ok=True)

    def sync(self, names: Iterable[tuple[str, str]]) -> None:
        """Returns once it is durable that these (area, digest) were deleted, and what was temporary."""
        folders = {self._path(area, digest).parent for area, digest in names}
        for folder in (self._root / TEMPORARY, *folders):
            sync_folder(folder)

    def _temporary(self, area: str) -> Path:
        return self._root / TEMPORARY / f"{area}.{secrets.token_hex(16)}"

    def _path(self, area: str, digest: str) -> Path:
        check_name(area, digest)
        return self._root / area / digest[:2] / digest[2:]


def _whole(path: Path, digest: str) -> bool:
    """Whether the bytes are there, undamaged; touched first, so that no garbage collection takes them from now on."""
    try:
        os.utime(path)
        return hashlib.sha256(path.read_bytes()).hexdigest() == digest
    except OSError:  # not there, or not to be touched: to write them anew fails then, with the reason
        return False


def _read(path: Path) -> tuple[bytes, str]:
    """The bytes and their digest; piece by piece, so that one long read holds up nobody else in the process."""
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
    """Returns once the names in a folder are durable: what was put there, and what was deleted."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
