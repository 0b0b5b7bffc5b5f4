"""What an export needs of a kind of target, instead of which kind it is: what follows the head of an exported program,
how its answers are compared with the service's, and what the card says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from service.contract.version_resources import Version

A = TypeVar("A")
R = TypeVar("R")


class Kind(nn.Module, ABC, Generic[A, R]):
    """The last step of a program. names: of the columns of its answers · added_back: place of a column that is added to
    what the head gives · shape, regression: how the card writes the answers, and which task a hub takes it for."""

    names: list[str]
    added_back: int | None = None
    shape: str
    regression = False

    @abstractmethod
    def forward(self, given: Tensor, rows: Tensor) -> Tensor:
        """Answers from what the head gives [n, columns] to rows as `Program.prepared` makes them. -> [n, columns]
        float64"""

    def rounded(self, given: Tensor) -> float:
        """How far rounding alone may move an answer, where that is more than is allowed anyway."""
        return 0.0

    def options(self) -> Mapping[str, Any]:
        """How the service is asked for all that the program answers."""
        return {}

    @abstractmethod
    def difference(self, answer: A, own: NDArray[np.float64]) -> float:
        """The largest difference between what the service and what the program answered; NaN where either is no
        number."""

    @abstractmethod
    def predicts(self, version: Version) -> str:
        """The sentence of the card on what is predicted."""

    @abstractmethod
    def quality(self, report: R) -> Iterator[str]:
        """Lines of the card on how good the version is."""
