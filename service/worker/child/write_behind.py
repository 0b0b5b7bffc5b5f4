"""Writes in threads while learning goes on: all bytes are in the store before a result names them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

from service.storage.artifacts import Artifacts


class WriteBehind:
    """A store whose `put` does not wait for the disk; `settle` does. Several files reach it at the same time."""

    def __init__(self, store: Artifacts, threads: ThreadPoolExecutor) -> None:
        self._store, self._threads = store, threads
        self._writing: dict[tuple[str, str], Future[str]] = {}

    def put(self, area: str, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        writing = self._writing.get((area, digest))
        if writing is None or (writing.done() and not self._store.has(area, digest)):  # an erasure may have swept it
            self._writing[area, digest] = self._threads.submit(self._store.put, area, data)
        return digest

    def settle(self) -> None:
        """Returns once everything is stored durably. Raises DiskFull, and what else a put raised."""
        for writing in self._writing.values():
            writing.result()
        self._writing.clear()

    def stop(self) -> None:
        """Returns once nothing is being stored any more, whether it failed or not."""
        wait(self._writing.values())

    def get(self, area: str, digest: str) -> bytes:
        self._wait(area, digest)
        return self._store.get(area, digest)

    def has(self, area: str, digest: str) -> bool:
        self._wait(area, digest)
        return self._store.has(area, digest)

    def delete(self, area: str, digest: str) -> None:
        self._wait(area, digest)
        self._store.delete(area, digest)

    def sweep(self, area: str, digest: str, older_than: float) -> bool:
        self._wait(area, digest)
        return self._store.sweep(area, digest, older_than)

    def names(self) -> Iterator[tuple[str, str, float]]:
        self.settle()
        return self._store.names()

    def _wait(self, area: str, digest: str) -> None:
        if (writing := self._writing.get((area, digest))) is not None:
            writing.result()
