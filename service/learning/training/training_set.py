"""What a training learns from: rows with their targets, those of a memory beside them, and the rows of one step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from service.learning.training.aims.aim import Loss
from service.learning.training.aims.classes import CrossEntropy


class Labelled(NamedTuple):
    """Rows as the trained module takes them, [n, ...] float32, and what is learned of them: columns, [n] int64, or
    numbers in units, [n, k] float32."""

    x: Tensor
    y: Tensor

    def __add__(self, other: object) -> Labelled:
        assert isinstance(other, Labelled)
        return Labelled(torch.cat([self.x, other.x]), torch.cat([self.y, other.y]))

    @property
    def rows(self) -> int:
        return len(self.y)

    def take(self, which: Tensor | slice) -> Labelled:
        return Labelled(self.x[which], self.y[which])

    def sample(self, most: int, generator: torch.Generator) -> Labelled:
        """Draws at most `most` of the rows."""
        return self if self.rows <= most else self.take(torch.randperm(self.rows, generator=generator)[:most])


OF_CLASSES = CrossEntropy()


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """The rows of a training.

    memory: as many rows of it join each step, and the loss is that of the mix · selecting: training stops early by
    its loss and keeps the best epoch's weights.
    """

    rows: Labelled
    memory: Labelled | None = None
    selecting: Labelled | None = None
    loss: Loss = OF_CLASSES


class Step(NamedTuple):
    """The rows of one step, on the training device, and their places.

    x [b, ...] and y [b, ...]: the data's rows, then as many of the memory · at [d]: places of the former in the data ·
    memory [m]: places of the latter in the memory, None without one.
    """

    x: Tensor
    y: Tensor
    at: Tensor
    memory: Tensor | None


def pieces_of(step: Step, pieces: int) -> Iterator[Step]:
    """Divides the rows of a step, each part with its part of the memory; their gradients, weighted by their rows, add
    up to that of the step, since losses are means over rows."""
    if pieces == 1:
        yield step
        return
    own = len(step.at)
    for at in torch.arange(own).tensor_split(pieces):
        if len(at):
            rows, part = slice(int(at[0]), int(at[-1]) + 1), [step.x, step.y]
            halves = [t[rows] if step.memory is None else torch.cat([t[:own][rows], t[own:][rows]]) for t in part]
            yield Step(halves[0], halves[1], step.at[rows], None if step.memory is None else step.memory[rows])


Objective = Callable[[nn.Module, Step], Tensor]
"""The loss that a step minimises: body and step -> a scalar."""
