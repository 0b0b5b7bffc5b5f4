"""The part of a version of tables that says which values of categories it has learned."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import torch

from service.learning.data.learned_values import LearnedValues
from service.learning.network.checkpoint import Checkpoint

VALUES = "values"


def learned_values(version: Checkpoint) -> LearnedValues:
    """The values that a version has learned; none where its inputs are no tables."""
    return LearnedValues.load({place: codes.numpy() for place, codes in version.parts.get(VALUES, {}).items()})


def with_values(version: Checkpoint, values: LearnedValues, batches: Collection[str]) -> Checkpoint:
    """The version with these values, learned from these batches."""
    part = {place: torch.from_numpy(codes) for place, codes in values.arrays().items()}
    return replace(
        version,
        parts={**version.parts, VALUES: part},
        learned={**version.learned, VALUES: frozenset(batches)},
    )
