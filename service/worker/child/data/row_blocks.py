"""Features and sums of large batches, block by block of their rows, on whatever processes there are.

What a process gets is digests and numbers: it reads the rows, and the parts of the feature space, from the store.
Rounded features do not depend on the rows beside them, and sums of integers not on where they are cut: so entries have
the same bytes, and ledgers the same digest, for any number of processes and any size of blocks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from service.errors import Incomplete
from service.learning.data.rows import Array, FeatureRows, Rows
from service.learning.data.serialization import pack_shard, unpack_rows
from service.learning.devices import deterministic
from service.learning.ledger.entry import SummedEntry, unpack_entry
from service.learning.ledger.feature_space import BLOCK, Space, feature_rows
from service.learning.network.checkpoint import of_kinds
from service.learning.network.network import parts_of
from service.learning.network.part_kinds import FROZEN
from service.learning.run import Run
from service.storage.artifacts import SHARDS, Artifacts
from service.storage.opening import open_store
from service.worker.assignment import Shard, Stored
from service.worker.child.load import load

SPREAD_ROWS = 32_768
"""Rows from which on blocks go to other processes."""
SPREAD_BLOCKS = 4
"""Blocks from which on features are made there, where that is fewer rows: those of a backbone take long."""
BLOCK_ROWS = 8_192
"""Rows of a block at most."""
BLOCK_WORK = 2e11
"""Multiplications for the features of a block at most: 7 s of a core by vit_tiny, 8 by resnet18, 25 by
efficientnet_lite0 (28, 24 and 8 billion a second, one thread, beside much other work). What takes others a minute is
made again by the process that asked."""
PATIENCE_SECONDS = 60.0
"""For so long a store that is away is tried again."""


@dataclass(frozen=True)
class Block:
    """Rows of a stored batch or entry, the `first` to that before `last`; fewer where it ends before."""

    store: str
    area: str
    digest: str
    first: int
    last: int


@dataclass(frozen=True)
class StoredSpace:
    """A feature space whose parts are in the store. version: layout and parts, as JSON."""

    store: str
    id: str
    version: str

    @classmethod
    def of(cls, space: Space, url: str, store: Artifacts) -> StoredSpace:
        """Stores the parts of a space; they are those of the version that will have it."""
        shards = []
        for part, tensors in of_kinds(parts_of(space.network), FROZEN).items():
            data = pack_shard(tensors)
            digest = store.put(SHARDS, data)
            store.has(SHARDS, digest)  # which waits until it is written
            shards.append(Shard(part=part, digest=digest, bytes=len(data), learned=[]))
        headless: dict[str, Any] = {"neck": [], "head": [], "classes": [], "sources": [], "exact": None}
        layout = space.network.layout.model_copy(update=headless).model_dump(mode="json")
        version = Stored(number=0, layout=layout, shards=shards, learned=[])
        return cls(url, space.id, version.model_dump_json())


def space_and_rows(space: StoredSpace, area: str, digest: str) -> tuple[Space, Rows]:
    """A space and rows of the store; nothing of the rows stays in this process."""
    return _space(space), unpack_rows(opened(space.store).get(area, digest))


def block_rows(space: Space) -> int:
    """Rows of a block whose features are made: fewer where a row takes long, so that no block takes a minute."""
    return min(BLOCK_ROWS, max(BLOCK, int(BLOCK_WORK // max(space.multiply_adds, 1)) // BLOCK * BLOCK))


def blocks_of(store: str, area: str, digest: str, rows: int, known: int = 0, size: int = 0) -> list[Block]:
    """The blocks of a stored batch or entry of so many rows at most, one at least; without those of the first `known`
    rows, which are whole blocks. size: rows of a block, if not BLOCK_ROWS."""
    size = size or BLOCK_ROWS
    return [Block(store, area, digest, first, first + size) for first in range(known, max(rows, 1), size)]


def features_of(space: StoredSpace, device: torch.device, block: Block) -> Array:
    """Rounded features of a block of a batch, made on that device, with the limbs of its targets. -> [n, M] int16"""
    rows = _rows(block.store, block.area, block.digest).take(slice(block.first, block.last))
    with deterministic(device):
        return feature_rows(_space(space), rows, Run(device=device)).inputs


def sums_of_block(block: Block) -> SummedEntry:
    """Sums of a block of an entry; of one without rows all that there is, in its first block."""
    entry = _entry(block.store, block.area, block.digest)
    if isinstance(entry, SummedEntry):
        return entry if block.first == 0 else SummedEntry.of(FeatureRows.none(entry.width))
    return SummedEntry.of(entry.take(slice(block.first, block.last)))


@lru_cache(maxsize=1)
def _rows(store: str, area: str, digest: str) -> Rows:
    return unpack_rows(opened(store).get(area, digest))


@lru_cache(maxsize=1)
def _entry(store: str, area: str, digest: str) -> FeatureRows | SummedEntry:
    return unpack_entry(opened(store).get(area, digest))


@lru_cache(maxsize=1)
def _space(stored: StoredSpace) -> Space:
    """The space, as this process computes it. Raises Incomplete where that is another one."""
    space = Space.of(load(Stored.model_validate(json.loads(stored.version)), opened(stored.store)))
    if space.id != stored.id:
        raise Incomplete(
            "A process of the cluster makes another feature space of the same parts: look at its libraries."
        )
    return space


@lru_cache(maxsize=4)
def opened(store: str) -> Artifacts:
    return open_store(store, patience=PATIENCE_SECONDS)
