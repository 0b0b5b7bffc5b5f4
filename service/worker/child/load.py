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


def context_of(assignment: Assignment, store: Artifacts, started: float) -> UpdateContext:
    """What surrounds the update, with what the lineage remembers, by the kind of the model's targets."""
    live = assignment.base.number if assignment.base else None
    wait, expected = assignment.wait_seconds, assignment.expected
    kind, memories = CONTEXTS[type(assignment.target)], _memories(assignment, store)
    context = kind.looking_back(assignment.policy, memories, assignment.lineage)
    return replace(context, live=live, wait_seconds=wait, started=started, expected=expected)


def _memories(assignment: Assignment, store: Artifacts) -> list[tuple[int, dict[str, NDArray[Any]]]]:
    """What versions of the lineage left to be compared with, by number. A damaged one is left out: one version less to
    look back on is no reason to fail."""
    memories = []
    for remembered in assignment.lineage.bits:
        try:
            arrays, _ = unpack(store.get(assignment.places.area, remembered.digest))
        except CorruptArtifact as damaged:
            log.warning("version %d is not looked back on: %s", remembered.version, damaged.detail)
        else:
            memories.append((remembered.version, arrays))
    return memories
