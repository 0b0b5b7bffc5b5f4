"""A cache of rebuildable bytes, by name, evicted by size: losing it costs time, never truth.

Entries live under the model whose rows made them, so that erasing a batch can drop all of them at once.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from service.storage.artifacts import check_name

log = logging.getLogger("tsuika.storage")


class Cache:
    """`root/<area>/<64 digits>`; the first 32 bytes of a file are the SHA-256 of the rest."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root, self._max_bytes = root, max_bytes
        root.mkdir(parents=True, exist_ok=True)

    def put(self, area: str, name: str, data: bytes) -> None:
        """Keep bytes under a name; the oldest entries go when the budget is passed. Without room nothing is kept."""
        path = self._path(area, name)
        temporary = path.with_name(f"{name}.{secrets.token_hex(4)}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(hashlib.sha256(data).digest())
                file.write(data)
            temporary.replace(path)
        except OSError as error:
            log.warning("nothing is cached: %s", error)
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        self._evict()

    def get(self, area: str, name: str) -> bytes | None:
        """The bytes, or None where they are missing or damaged."""
        try:
            found = self._path(area, name).read_bytes()
        except FileNotFoundError:
            return None
        check, data = found[:32], found[32:]
        return data if hashlib.sha256(data).digest() == check else None

    def forget(self, area: str) -> None:
        """Drop everything that was made of one model's rows."""
        check_name(area, "0" * 64)
        shutil.rmtree(self._root / area, ignore_errors=True)

    def _evict(self) -> None:
        files = []
        for path in self._root.glob("*/*"):
            with suppress(FileNotFoundError):  # another process evicts, too
                found = path.stat()
                files.append((found.st_mtime, found.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._max_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size

    def _path(self, area: str, name: str) -> Path:
        check_name(area, name)
        return self._root / area / name
