"""The store of bytes: content-addressed by SHA-256, never overwritten.

`area` separates what models share (weight shards) from what belongs to one model (its batches and all that is made of
their rows), so that erasing never meets somebody else's bytes. Areas are ours: no request names one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

SHARDS = "shards"
"""Area of weight shards."""

_AREA = re.compile(r"shards|(model|exam)-[0-9]{1,18}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def model_area(model_id: int) -> str:
    """Area of one model's rows and of what is made of them."""
    return f"model-{model_id}"


def exam_area(area: str) -> str:
    """Area of the cache for rows of a model that judge, apart from its sums: it can be forgotten alone."""
    return area.replace("model-", "exam-")


def is_name(area: str, digest: str) -> bool:
    """Whether bytes can be stored there."""
    return bool(_AREA.fullmatch(area) and _DIGEST.fullmatch(digest))


def check_name(area: str, digest: str) -> None:
    """Nothing but our own areas and 64 hex digits ever becomes part of a path."""
    if not is_name(area, digest):
        raise ValueError(f"not a name of the store: {area!r}, {digest!r}")


class Artifacts(Protocol):
    """Six verbs over bytes."""

    def put(self, area: str, data: bytes) -> str:
        """Store, durably, and return the digest. Bytes that are there already are touched, and healed where they are
        damaged. Raises DiskFull, NotWritable."""
        ...

    def get(self, area: str, digest: str) -> bytes:
        """The bytes, verified against their digest. Raises CorruptArtifact, also when they are missing."""
        ...

    def has(self, area: str, digest: str) -> bool:
        """Whether the bytes are there (not whether they are whole)."""
        ...

    def delete(self, area: str, digest: str) -> None:
        """Forget the bytes; missing ones are no error."""
        ...

    def sweep(self, area: str, digest: str, older_than: float) -> bool:
        """Delete the bytes unless they were stored or touched since; -> whether they were deleted."""
        ...

    def names(self) -> Iterator[tuple[str, str, float]]:
        """(area, digest, time last stored or touched) of everything."""
        ...
