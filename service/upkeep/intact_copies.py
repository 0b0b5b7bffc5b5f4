"""Where the bytes of a damaged file can be had again: from another copy, or made anew from what they were made of.

Nothing is guessed: bytes that do not hash to the name of the file are no copy of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from sqlalchemy import select

from service.errors import CorruptArtifact
from service.learning.backbones.extractor import tensors_of
from service.learning.data.serialization import pack_rows, unpack_rows
from service.learning.ledger.feature_space import Space, feature_rows
from service.learning.network.checkpoint import LAYOUT, Checkpoint
from service.registry.sql.conditions import THERE
from service.registry.sql.tables import Batch, LedgerEntry, Version
from service.runtime import Runtime
from service.storage.artifacts import SHARDS, Artifacts, model_area


class IntactCopies:
    """Copies of what the `store` has lost: in this machine's cache, in `copies`, or in the rows of a batch whose sums
    are lost."""

    def __init__(self, runtime: Runtime, store: Artifacts, copies: Artifacts | None) -> None:
        self._runtime, self._store, self._copies = runtime, store, copies
        self._spaces: dict[str, Space | None] = {}

    def of(self, area: str, digest: str) -> Iterator[tuple[str, bytes]]:
        """Yields where whole bytes of that name came from, and the bytes."""
        cached = self._runtime.cache.get(area, digest) if area == SHARDS else None
        if cached is not None and hashlib.sha256(cached).hexdigest() == digest:
            yield "the cache of this machine", cached
        if self._copies is not None:
            with suppress(CorruptArtifact):  # they lack it, too
                yield "the copies", self._copies.get(area, digest)
        for batch_id, space_id, rows in self._summed(area, digest):
            made = self._features(rows, area, space_id)
            if made is not None and hashlib.sha256(made).hexdigest() == digest:
                yield f"the rows of batch {batch_id}", made

    def _summed(self, area: str, digest: str) -> list[tuple[str, str, str]]:
        """Batches of which the file has the rounded features: id, feature space, and the digest of its rows."""
        entries = select(Batch.id, LedgerEntry.feature_space, Batch.stored_digest, Batch.model_id).join(LedgerEntry)
        with self._runtime.database.looking() as reader:
            rows = reader.execute(entries.where(LedgerEntry.digest == digest)).all()
        return [(batch, space, stored) for batch, space, stored, model in rows if stored and model_area(model) == area]

    def _features(self, rows: str, area: str, space_id: str) -> bytes | None:
        """The rounded features of stored rows, packed; None where the rows or the feature space are lost, too."""
        if space_id not in self._spaces:
            self._spaces[space_id] = self._space(space_id)
        space = self._spaces[space_id]
        try:
            return None if space is None else pack_rows(feature_rows(space, unpack_rows(self._store.get(area, rows))))
        except CorruptArtifact:
            return None

    def _space(self, space_id: str) -> Space | None:
        """The feature space of that id, of any version that is whole."""
        recipes = select(Version.layout, Version.shards)
        with self._runtime.database.looking() as reader:
            of_space = recipes.where(Version.feature_space == space_id, THERE)
            versions = reader.execute(of_space.order_by(Version.id.desc())).all()
        read = partial(self._store.get, SHARDS)
        for stored, shards in versions:
            layout = LAYOUT.as_stored(stored)
            try:
                parts = {s["part"]: tensors_of(layout.backbone, s["part"], s["digest"], read) for s in shards}
                space = Space.of(Checkpoint(layout, parts))
            except CorruptArtifact:
                continue
            if space.id == space_id:
                return space
        return None
