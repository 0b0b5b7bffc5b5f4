"""Models of numbers in process: batches come one after another, each is learned on what stood before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from service.contract.inputs import Architecture, InputSpec, VectorInput
from service.contract.targets.number_target import NumberTarget
from service.learning.data.rows import NAMELESS, Array, Known, Rows, rows_of
from service.learning.method import Learned
from service.learning.methods import resolve
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.network import build
from service.learning.run import Run
from service.learning.update import learn
from tests.learning.memory_data import SECRET, MemoryData, Stream, typed

Floats = NDArray[np.float64]


def number(**fields: Any) -> NumberTarget:
    """A target that is a number, with these members."""
    return NumberTarget.model_validate({"kind": "number", **fields})


def number_rows(
    batch: str, inputs: Array, targets: Floats, source: str | None = None, learning: dict[str, int] | None = None
) -> Rows:
    """A batch as the door would store it. targets [n] or [n, k]"""
    given = np.asarray(targets, np.float64).reshape(len(inputs), -1)
    return rows_of(batch, inputs, [*NAMELESS] * len(inputs), SECRET, Known(source, learning or {}, targets=given))


class NumberStream(Stream):
    """A model whose targets are numbers."""

    def __init__(
        self,
        input: InputSpec,
        target: NumberTarget | None = None,
        architecture: Architecture | None = None,
        files: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(input, architecture, files)
        self.target = target or number()

    def offered(self, inputs: Array, targets: Floats, source: str | None = None, name: str | None = None) -> MemoryData:
        """What a method would be given for this batch now."""
        learning = {"": sum(int(old.learning.sum()) for old in self.history)}
        name = name or f"bat_{len(self.history):03d}"
        rows = number_rows(name, typed(self.input, inputs), targets, source, learning)
        data = MemoryData(self.input, self.architecture, self.history, rows, target=self.target)
        data.files = self.files
        return data

    def learns(
        self, inputs: Array, targets: Floats, source: str | None = None, name: str | None = None, **params: Any
    ) -> Learned:
        """Learns a batch for good by ridge."""
        return self.learns_by("ridge", self.offered(inputs, targets, source, name), **params)

    def learns_by(self, method: str, data: MemoryData, **params: Any) -> Learned:
        """Learns what was offered for good."""
        learned = learn(self.checkpoint, data, *resolve({"name": method, **params}), Run())
        self.history.append(data.batch)
        self.checkpoint = learned.checkpoint
        return learned

    def again(self, without: str, **params: Any) -> Learned:
        """Solves anew without a batch, as a retraction does."""
        kept = [rows for rows in self.history if without not in rows.batches]
        data = MemoryData(self.input, self.architecture, kept, Rows.empty(self.input.shape), target=self.target)
        return learn(self.checkpoint, data, *resolve({"name": "ridge", **params}), Run())


@torch.no_grad()
def values(version: Checkpoint | None, inputs: Array) -> Floats:
    """What a version answers to raw rows, as targets. [n, ...] -> [n, k]"""
    grid = version.layout.numbers
    answers = build(version).answer(np.asarray(inputs, np.float32)).double().numpy()
    return grid.targets(grid.value(answers), np.asarray(inputs, np.float32))


def vector(size: int, **fields: Any) -> VectorInput:
    return VectorInput(kind="vector", size=size, **fields)
