"""Reads a version from the store as a checkpoint, each shard verified, and what its lineage remembers."""

from __future__ import annotations

import logging

from service.contract.inputs import PretrainedBackbone
from service.errors import CorruptArtifact
from service.learning.backbones.extractor import shared
from service.learning.data.serialization import unpack, unpack_shard
from service.learning.evaluation.assessment import Correctness, Past
from service.learning.network.checkpoint import Checkpoint, Layout, Tensors
from service.storage.artifacts import SHARDS, Artifacts
from service.worker.assignment import Assignment, Bits, Shard, Stored

log = logging.getLogger("tsuika.child")


def load(stored: Stored, store: Artifacts) -> Checkpoint:
    """Reads a version from its shards, each verified; weights of a pretrained backbone are shared. Raises
    CorruptArtifact."""
    layout = Layout.model_validate(stored.layout)
    return Checkpoint(
        layout=layout,
        parts={s.part: _part(layout, s, store) for s in stored.shards},
        learned={s.part: frozenset(s.learned) for s in stored.shards},
    )


def past(assignment: Assignment, store: Artifacts) -> Past:
    """Reads what the lineage remembers."""
    lineage, area = assignment.lineage, assignment.places.area
    return Past(
        bits=[(b.version, bits) for b in lineage.bits if (bits := _bits(store, area, b)) is not None],
        best_masked=lineage.best_masked,
        evidence=lineage.evidence,
    )


def _bits(store: Artifacts, area: str, remembered: Bits) -> Correctness | None:
    """What a version got right; None where that is damaged: one version less to look back on is no reason to fail."""
    try:
        return Correctness.load(unpack(store.get(area, remembered.digest))[0])
    except CorruptArtifact as damaged:
        log.warning("version %d is not looked back on: %s", remembered.version, damaged.detail)
        return None


def _part(layout: Layout, shard: Shard, store: Artifacts) -> Tensors:
    if shard.part == "backbone.0" and isinstance(layout.backbone, PretrainedBackbone):
        return shared(shard.digest, lambda digest: store.get(SHARDS, digest))
    return unpack_shard(store.get(SHARDS, shard.digest))
