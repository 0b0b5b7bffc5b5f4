"""Opens the store that a URL names: a folder, or a bucket of S3. What is not used is not imported."""

from __future__ import annotations

from collections.abc import Callable

from service.settings import folder_of
from service.storage.artifacts import Store
from service.storage.cache import Cache
from service.storage.local import LocalArtifacts, nothing


def open_store(
    url: str,
    crash: Callable[[str], None] = nothing,
    cache: Cache | None = None,
    patience: float = 0.0,
    reserve: int = 0,
) -> Store:
    """`cache`: keeps weight shards that come from other machines · `patience`: for so many seconds a store that is away
    is tried again before its absence is an error · `reserve`: bytes of the disk of a folder that stay free."""
    if (folder := folder_of(url)) is not None:
        return LocalArtifacts(folder, crash, reserve)
    from service.storage.s3 import S3Artifacts

    return S3Artifacts(url, crash, cache, patience)
