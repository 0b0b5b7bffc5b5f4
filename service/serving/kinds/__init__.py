"""Kinds of targets, one file each: what serving does for the kind alone. This file is the one place that tells them
apart."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from service.contract.targets import Target
from service.learning.network.checkpoint import Checkpoint
from service.serving.kinds.classes import ClassKind
from service.serving.kinds.kind import AnyKind
from service.serving.kinds.numbers import NumberKind
from service.serving.kinds.output_tensors import OutputShape

KINDS: Mapping[str, type[AnyKind]] = {"class": ClassKind, "number": NumberKind}


def kind_of_target(checkpoint: Checkpoint) -> AnyKind:
    """How a version answers, by what its layout says that it predicts. Raises ValueError where its parts do not fit
    together."""
    return KINDS[checkpoint.layout.kind].of(checkpoint)


def outputs_of(target: Target, known: int = -1, parts: Collection[str] | None = None) -> list[OutputShape]:
    """The outputs of a model, or of a version that is not loaded: by what the model predicts, by the number of classes
    that the version knows (-1: any), and by the names of its parts (None: whatever there may be)."""
    return KINDS[target.kind].shapes(target, known, parts)
