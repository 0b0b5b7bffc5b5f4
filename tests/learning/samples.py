"""scikit-learn's digits as streams of new classes, and what a version answers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from service.contract.inputs import Architecture, MlpBackbone, VectorInput
from service.learning.method import Method
from service.learning.methods import METHODS
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.network import build
from tests.learning.memory_data import Stream

Floats = NDArray[np.float32]
OLD, NEW = "01234", "56789"
SPEC = VectorInput(kind="vector", size=64)


class Digits(NamedTuple):
    """data [1797, 64] · target [1797]"""

    data: NDArray[np.float64]
    target: NDArray[np.int64]


@cache
def load_digits() -> Digits:
    """scikit-learn's digits from its file: to import the library takes a second of each process that runs tests."""
    library = find_spec("sklearn")
    [folder] = library.submodule_search_locations or []
    table = np.loadtxt(Path(folder) / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    table.flags.writeable = False
    return Digits(table[:, :-1], table[:, -1].astype(np.int64))


class Split(NamedTuple):
    """Rows and labels to learn from and to look at."""

    X: Floats
    y: list[str]
    held_X: Floats
    held_y: list[str]

    def of(self, classes: str) -> Split:
        """The rows of some classes."""
        chosen, held = np.isin(self.y, list(classes)), np.isin(self.held_y, list(classes))
        y, held_y = (list(np.array(labels)[m]) for labels, m in ((self.y, chosen), (self.held_y, held)))
        return Split(self.X[chosen], [str(c) for c in y], self.held_X[held], [str(c) for c in held_y])


@cache
def digits(seed: int = 0) -> Split:
    """Four fifths to learn from, a fifth held back."""
    data = load_digits()
    order = np.random.default_rng(seed).permutation(len(data.target))
    X, y = data.data.astype(np.float32)[order], [str(c) for c in data.target[order]]
    cut = len(y) // 5
    return Split(X[cut:], y[cut:], X[:cut], y[:cut])


def stream(hidden: Sequence[int] = ()) -> Stream:
    """A model without a version; `hidden`: of an mlp backbone."""
    return Stream(
        SPEC, Architecture(backbone=MlpBackbone(name="mlp", hidden=list(hidden))) if hidden else Architecture()
    )


def knowing(method: Method, hidden: Sequence[int] = ()) -> Stream:
    """A model that has learned the rows of the digits 0 to 4 by this method: learned once, a stream for each caller."""
    return _knowing(method.name, tuple(hidden)).fork()


@cache
def _knowing(method: str, hidden: tuple[int, ...]) -> Stream:
    made = stream(hidden)
    made.learn(METHODS[method], *digits().of(OLD)[:2])
    return made


@torch.no_grad()
def logits(checkpoint: Checkpoint, inputs: Floats) -> Tensor:
    """What a version gives, before the temperature. -> [n, C]"""
    answer: Tensor = build(checkpoint)(torch.from_numpy(inputs))
    return answer


def accuracy(checkpoint: Checkpoint | None, inputs: Floats, labels: Sequence[str]) -> float:
    """Share of rows answered rightly."""
    best = logits(checkpoint, inputs).argmax(1).numpy()
    return float((np.array(checkpoint.classes)[best] == np.array(labels)).mean())
