"""Reads a version from the store as a checkpoint, each shard verified, and what its lineage remembers."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import Any

from numpy.typing import NDArray

from service.errors import CorruptArtifact
from service.learning.backbones.extractor import tensors_of
from service.learning.data.serialization import unpack
from service.learning.evaluation.context import UpdateContext
from service.learning.evaluation.kinds import CONTEXTS
from service.learning.network.checkpoint import LAYOUT, Checkpoint
from service.storage.artifacts import SHARDS, Artifacts
from service.worker.assignment import Assignment, Stored

KEPT = 64
"""Memories of versions that a process keeps: an update looks back on some ten of one lineage, the next on nearly the
same."""

log = logging.getLogger("tsuika.child")


def load(stored: Stored, store: Artifacts) -> Checkpoint:
    """Reads a version from its shards, each verified; weights of a pretrained backbone are shared. Raises
    CorruptArtifact."""
    layout, read = LAYOUT.as_stored(stored.layout), partial(store.get, SHARDS)
    everything = frozenset(stored.learned)
    return Checkpoint(
        layout=layout,
        parts={s.part: tensors_of(layout.backbone, s.part, s.digest, read) for s in stored.shards},
        learned={s.part: everything if s.learned is None else frozenset(s.learned) for s in stored.shards},
    )


def context_of(assignment: Assignment, store: Artifacts, kept: dict[str, bytes], started: float) -> UpdateContext:
    """What surrounds the update, with what the lineage remembers, by the kind of the model's targets. kept: by digest,
    what was read before, the latest last"""
    live = assignment.base.number if assignment.base else None
    wait, expected = assignment.wait_seconds, assignment.expected
    kind, memories = CONTEXTS[type(assignment.target)], _memories(assignment, store, kept)
    context = kind.looking_back(assignment.policy, memories, assignment.lineage)
    return replace(context, live=live, wait_seconds=wait, started=started, expected=expected)


def _memories(
    assignment: Assignment, store: Artifacts, kept: dict[str, bytes]
) -> list[tuple[int, dict[str, NDArray[Any]]]]:
    """What versions of the lineage left to be compared with, by number. A damaged one is left out: one version less to
    look back on is no reason to fail."""
    memories = []
    for remembered in assignment.lineage.bits:
        digest = remembered.digest
        try:
            kept[digest] = kept.pop(digest, b"") or store.get(assignment.places.area, digest)
            arrays, _ = unpack(kept[digest])
        except CorruptArtifact as damaged:
            log.warning("version %d is not looked back on: %s", remembered.version, damaged.detail)
        else:
            memories.append((remembered.version, arrays))
    for oldest in [*kept][:-KEPT]:
        del kept[oldest]
    return memories
