"""What a training aims at, whatever the kind of target: a contract with one file for each kind.

An `Aim` says what the columns of the head stand for, what is learned of a row, and which answers are good. Its `Loss`
is what training brings down. Outputs [n, C] are what the head answers; y is what is learned of the same rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from torch import Tensor

from service.learning.data.rows import Array, Floats, Rows
from service.learning.ledger.ledger import Ledger
from service.learning.method_params import GradientParams
from service.learning.network.blocks import GrownLinear
from service.learning.network.checkpoint import Checkpoint
from service.learning.update_data import Data

Scored = tuple[Tensor, Tensor]
"""Scores [n, m] that are differentiated row by row, and their weights [n, m]."""


class Answered(NamedTuple):
    """Rows with what a network answers them."""

    outputs: Tensor
    y: Tensor


class Loss(Protocol):
    """The loss of outputs beside what is learned, and what goes with it."""

    def __call__(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The mean over rows, a scalar."""

    def mixed(self, columns: int, *parts: Tensor, weights: Sequence[float] = ()) -> Loss:
        """The loss of a step that takes as many rows of each part; at least one row. parts: y of each · weights: of
        each part in the loss, by default all alike."""

    def between(self, outputs: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """How far outputs are from those of a teacher, as answers. -> [n]"""

    def apart(self, outputs: Tensor, before: Tensor) -> Tensor:
        """How far outputs are from what they were, each by itself. -> [n, C]"""

    def right(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Which rows are answered rightly. -> [n] bool"""

    def report(self) -> Mapping[str, Any]:
        """What an update's report says of it."""


@dataclass(frozen=True, eq=False)
class Aim(ABC):
    """names: what the columns of the head stand for, old ones first · known: how many of them go on from the base."""

    names: tuple[str, ...]
    known: int

    drawn: bool = False
    """Whether rows of what was known can be drawn from sums."""
    labels: str | None = None
    """The labels over which Fisher information is an expectation, in words; None: it needs none."""

    @classmethod
    @abstractmethod
    def of(cls, base: Checkpoint | None, data: Data) -> Self:
        """The aim of an update that goes on from the base."""

    @property
    def columns(self) -> int:
        return len(self.names)

    @property
    def trivial(self) -> bool:
        """Whether the base answers every row alike."""
        return False

    @property
    def layout(self) -> Mapping[str, Any]:
        """What a layout says of the targets beside the names of its columns."""
        return {}

    @abstractmethod
    def targets(self, rows: Rows) -> Tensor:
        """What is learned of rows, raw or with features: their y."""

    def unknown(self, inputs: Array) -> Floats:
        """`Rows.targets` of raw inputs of which no target is known."""
        return np.zeros((len(inputs), 0))

    @abstractmethod
    def loss(self, params: GradientParams, ledger: Callable[[], Ledger]) -> Loss:
        """The loss that these parameters ask for. ledger: sums of history and update, where it needs them."""

    @abstractmethod
    def begin(self, head: GrownLinear) -> None:
        """Prepares a head that was drawn, in place."""

    @abstractmethod
    def open_head(self, head: GrownLinear, base: Checkpoint, data: Data) -> None:
        """Prepares the exact head of a base for training, in place: with the weights of its learning rows alone."""

    def temperature(self, y: Tensor, outputs: Callable[[], Tensor], now: float) -> float:
        """The temperature of the trained head. y: of selecting rows, `outputs` to them · now: what it has been"""
        return now

    @abstractmethod
    def new(self, y: Tensor) -> Tensor:
        """Which rows are of columns that the base lacks. -> [n] bool"""

    @abstractmethod
    def had_column(self, y: Tensor, width: Tensor) -> Tensor:
        """Which rows had a column when so many, [n], were there. -> [n] bool"""

    @abstractmethod
    def lacks_old(self, y: Tensor) -> bool:
        """Whether rows of some known column are missing among those that are trained on."""

    @abstractmethod
    def covered(self, y: Tensor, by: Tensor) -> bool:
        """Whether rows kept back, `by`, can stop the training on rows."""

    @abstractmethod
    def alone(self, y: Tensor) -> str | None:
        """Why rows train for one epoch alone, where they would teach one answer for everything."""

    @abstractmethod
    def largest(self, y: Tensor) -> int:
        """Rows of the largest class among rows, of which there is one at least; where there are no classes, all."""

    def counts(self, rows: Rows) -> dict[str, int]:
        """The rows of a memory, for a report."""
        return rows.counts()

    @abstractmethod
    def usual(self, y: Tensor, outputs: Callable[[], Tensor]) -> Tensor:
        """What `scores` are measured by. outputs: of the base, to the same rows"""

    @abstractmethod
    def scores(self, outputs: Tensor, y: Tensor, usual: Tensor) -> Tensor:
        """How good the answer to each row is; their mean is what a strength is chosen by. -> [n]"""

    @abstractmethod
    def information(self, outputs: Tensor, chance: Tensor, exact: bool) -> Scored:
        """What the Fisher information of answers sums the squared gradients of. exact: the expectation over all labels;
        else one label a row is drawn by `chance` [n]"""

    @abstractmethod
    def sensitive(self, outputs: Tensor) -> Scored:
        """What the sensitivity of outputs sums the sizes of gradients of."""

    def doubt(self, teacher: Tensor, temperature: float) -> dict[str, float]:
        """How unsure a teacher's answers [n, known] are, for a report; nothing where they do not say."""
        return {}

    @abstractmethod
    def moved(self, memory: Answered, new: Answered) -> str | None:
        """A note where the version before answers remembered rows much better than the update's."""

    @abstractmethod
    def by_heart(self, memory: Answered, held: Answered) -> str | None:
        """A note where remembered rows are answered much better than rows kept back."""
