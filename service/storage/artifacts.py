"""The interface of the store: bytes addressed by their SHA-256 digest, never overwritten.

Areas separate weight shards, which models share, from what belongs to one model (its batches and all that is made of
their rows), so that erasing one model's bytes cannot touch another's. No request names an area.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from service.errors import CorruptArtifact

T = TypeVar("T")

SHARDS = "shards"
"""The area of weight shards."""
AT_ONCE = 16
"""Questions that a store is asked at a time."""

_AREA = re.compile(r"shards|(model|exam)-[0-9]{1,18}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def model_area(model_id: int) -> str:
    """The area of one model's rows and of what is made of them."""
    return f"model-{model_id}"


def exam_area(area: str) -> str:
    """The cache's area for a model's exam rows, apart from its sums, so that it can be dropped alone."""
    return area.replace("model-", "exam-")


def is_name(area: str, digest: str) -> bool:
    return bool(_AREA.fullmatch(area) and _DIGEST.fullmatch(digest))


def check_name(area: str, digest: str) -> None:
    """Raises ValueError unless it is a known area and 64 hex digits: nothing else becomes part of a path."""
    if not is_name(area, digest):
        raise ValueError(f"not a name of the store: {area!r}, {digest!r}")


class Artifacts(Protocol):
    """A store of bytes."""

    def put(self, area: str, data: bytes) -> str:
        """Stores bytes durably and returns their digest. Bytes that exist are touched, and repaired if damaged. Raises
        DiskFull, NotWritable."""

    def get(self, area: str, digest: str) -> bytes:
        """Reads bytes and verifies their digest. Raises CorruptArtifact, also if they are missing."""

    def has(self, area: str, digest: str) -> bool:
        """Whether the bytes exist, undamaged or not."""

    def delete(self, area: str, digest: str) -> None:
        """Deletes the bytes, if they exist."""

    def sweep(self, area: str, digest: str, older_than: float) -> bool:
        """Deletes the bytes unless they were stored or touched since; returns whether it did."""

    def names(self) -> Iterator[tuple[str, str, float]]:
        """Yields (area, digest, time last stored or touched) of all bytes."""


class Store(Artifacts, Protocol):
    """A whole store, as its process keeps it. Where it is away, its methods raise StoreAway."""

    def put(self, area: str, data: bytes, anew: bool = False) -> str:
        """As of Artifacts; `anew`: bytes that exist are written like any others, so that the time tells nothing."""

    def trouble(self) -> str | None:
        """Why nothing can be stored, or None; it waits for nothing."""

    def names(self, within: str = "*") -> Iterator[tuple[str, str, float]]:
        """As of Artifacts, or of one area."""

    def clear_temporary(self, older_than: float, dry_run: bool = False) -> int:
        """Deletes old temporary files, which killed writers left, unless it is a dry run; returns how many."""

    def sweep_temporary(self, area: str) -> None:
        """Deletes all temporary files of an area, and those without an area in their name; `put` tries again then."""

    def sync(self, names: Iterable[tuple[str, str]]) -> None:
        """Makes the deletion of these (area, digest), and of temporary files, durable."""

    def forget_cached(self) -> None:
        """Deletes what is kept of the store on this machine: some of it may be erased."""


def corrupt(digest: str, how: str) -> CorruptArtifact:
    return CorruptArtifact(f"The bytes {digest[:12]}… {how}. {CorruptArtifact.REMEDY}")


def read_twice(read: Callable[[], T]) -> T:
    """What `read` returns, which learns from the database which bytes there are, and reads them. Where they are missing
    it is called again: if they were erased or replaced in between, it says so, or finds the others."""
    try:
        return read()
    except CorruptArtifact:
        return read()


def there(store: Artifacts, names: Iterable[tuple[str, str]]) -> list[bool]:
    """Whether the store has each of these (area, digest), several being asked for at once: an answer of a bucket takes
    its time, and an update of thousands of batches names as many."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="store") as threads:
        return [*threads.map(lambda name: store.has(*name), names)]


def length(store: Artifacts, area: str, digest: str) -> int | None:
    """How many bytes there are under a name; None where they are missing or damaged."""
    try:
        return len(store.get(area, digest))
    except CorruptArtifact:
        return None
