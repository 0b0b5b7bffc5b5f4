"""Kinds of targets, one file each: what serving does for the kind alone. This file is the one place that tells them
apart."""

from __future__ import annotations

from collections.abc import Collection

from service.contract.targets import Target
from service.learning.evaluation.numbers.bounds import INTERVAL
from service.learning.network.checkpoint import VALUES, Checkpoint
from service.serving.kinds import classes, numbers
from service.serving.kinds.kind import AnyKind
from service.serving.kinds.output_tensors import OutputShape


def kind_of_target(checkpoint: Checkpoint) -> AnyKind:
    """How a version answers, by what its layout says that it predicts. Raises ValueError where its parts do not fit
    together."""
    layout = checkpoint.layout
    if layout.numbers is None:
        return classes.ClassKind(layout.classes)
    values = checkpoint.learned_values() if VALUES in checkpoint.parts else None
    interval, reach = checkpoint.parts.get(INTERVAL), layout.exact.reach if layout.exact is not None else ()
    return numbers.NumberKind(layout.numbers, checkpoint.outputs, interval, values, reach)


def outputs_of(target: Target, known: int = -1, parts: Collection[str] = (INTERVAL,)) -> list[OutputShape]:
    """The outputs of a model, or of a version that is not loaded: by what the model predicts, by the number of classes
    that the version knows (-1: any), and by the names of its parts."""
    if target.kind == "class":
        return classes.shapes(known)
    return numbers.shapes(target.size, INTERVAL in parts)
