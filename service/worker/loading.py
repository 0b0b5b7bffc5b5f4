"""A version out of the store: its shards, verified, as a checkpoint."""

from __future__ import annotations

from service.contract.inputs import PretrainedBackbone
from service.learning.backbones.extractor import shared
from service.learning.checkpoint import Checkpoint, Layout, Tensors
from service.learning.serialization import unpack_shard
from service.storage.artifacts import SHARDS, Artifacts
from service.worker.assignment import Shard, Stored


def load(stored: Stored, store: Artifacts) -> Checkpoint:
    """A version from its shards, each verified; weights of a pretrained backbone are shared. Raises CorruptArtifact."""
    layout = Layout.model_validate(stored.layout)
    return Checkpoint(
        layout=layout,
        parts={s.part: _part(layout, s, store) for s in stored.shards},
        learned={s.part: frozenset(s.learned) for s in stored.shards},
    )


def _part(layout: Layout, shard: Shard, store: Artifacts) -> Tensors:
    if shard.part == "backbone.0" and isinstance(layout.backbone, PretrainedBackbone):
        return shared(shard.digest, lambda digest: store.get(SHARDS, digest))
    return unpack_shard(store.get(SHARDS, shard.digest))
