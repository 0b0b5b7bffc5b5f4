"""Damage to what is stored: a flipped bit, files that are gone, and an audit that no longer refuses changes."""

from __future__ import annotations

from pathlib import Path

import obstore
from sqlalchemy import text
from sqlalchemy.orm import Session

from service.runtime import Runtime
from service.storage.artifacts import SHARDS
from service.storage.local import LocalArtifacts
from service.storage.s3 import S3Artifacts


def path_of(runtime: Runtime, area: str, digest: str) -> Path:
    """The file of a store in a folder."""
    folder = runtime.settings.store_folder
    assert folder is not None
    return folder / area / digest[:2] / digest[2:]


def flip(runtime: Runtime, area: str, digest: str, cached: bool = False) -> None:
    """Flips a bit of what is stored. `cached`: this machine keeps its whole copy of it."""
    data = runtime.store.get(area, digest)
    damaged = data[:-1] + bytes([data[-1] ^ 1])
    if isinstance(runtime.store, LocalArtifacts):
        path_of(runtime, area, digest).write_bytes(damaged)
        return
    assert isinstance(runtime.store, S3Artifacts)
    obstore.put(runtime.store._bytes, f"{area}/{digest}", damaged)
    if not cached:
        runtime.cache.forget(SHARDS)


def unguarded(session: Session) -> None:
    """Lets this transaction change the audit, as somebody can who has the rights of the service in its database."""
    if session.get_bind().dialect.name == "sqlite":
        for act in ("update", "delete"):
            session.execute(text(f"DROP TRIGGER audit_no_{act}"))
    else:
        session.execute(text("SET LOCAL session_replication_role = replica"))
