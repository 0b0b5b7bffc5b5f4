"""The store as a folder: temporary file, fsync, rename, fsync of the folder; every read is verified."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from service.errors import CorruptArtifact, DiskFull
from service.storage.artifacts import check_name, is_name

TEMPORARY = "tmp"
PIECE = 1024 * 1024
"""Bytes that are read at once."""


def nothing(point: str) -> None:
    """No crash points."""


class LocalArtifacts:
    """`root/<area>/<2 digits>/<62 digits>`. `crash`: called at named points, so that tests can die there."""

    def __init__(self, root: Path, crash: Callable[[str], None] = nothing) -> None:
        self._root = root
        self._crash = crash
        (root / TEMPORARY).mkdir(parents=True, exist_ok=True)

    def put(self, area: str, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(area, digest)
        if _whole(path, digest):
            return digest
        temporary = self._root / TEMPORARY / secrets.token_hex(16)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_durably(temporary, data)
            self._crash("after_blob_temp")
            temporary.replace(path)
            _sync_folder(path.parent)
            self._crash("after_blob_rename")
        except OSError as error:
            temporary.unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull("No space left for stored bytes; nothing was stored.") from error
            raise
        return digest

    def get(self, area: str, digest: str) -> bytes:
        try:
            data, found = _read(self._path(area, digest))
        except FileNotFoundError:
            raise CorruptArtifact(f"The bytes {digest[:12]}… are missing from the store.") from None
        if found != digest:
            raise CorruptArtifact(f"The bytes {digest[:12]}… are damaged: they do not hash to their name.")
        return data

    def has(self, area: str, digest: str) -> bool:
        return self._path(area, digest).exists()

    def delete(self, area: str, digest: str) -> None:
        self._path(area, digest).unlink(missing_ok=True)

    def sweep(self, area: str, digest: str, older_than: float) -> bool:
        path, aside = self._path(area, digest), self._root / TEMPORARY / secrets.token_hex(16)
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

    def names(self) -> Iterator[tuple[str, str, float]]:
        for path in self._root.glob("*/[0-9a-f][0-9a-f]/*"):
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

    def _path(self, area: str, digest: str) -> Path:
        check_name(area, digest)
        return self._root / area / digest[:2] / digest[2:]


def _whole(path: Path, digest: str) -> bool:
    """Whether the bytes are there, undamaged; touched first, so that no garbage collection takes them from now on."""
    try:
        os.utime(path)
        return hashlib.sha256(path.read_bytes()).hexdigest() == digest
    except FileNotFoundError:
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


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
