"""What the interface needs of a kind of target to read what bodies say of rows, instead of which kind it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from service.contract.inputs import InputSpec
from service.learning.data.matrices import Array, Floats
from service.learning.data.rows import Rows

T = TypeVar("T")

Right = tuple[str, tuple[float, ...]]
"""The label of a row; or the nameless one, and its targets."""
Rights = Mapping[int, Right | None]
"""Number of a row -> what is right; None takes the row out."""


class Kind(ABC, Generic[T]):
    """How a body gives the labels or targets of rows of a model. fixed: what is fixed of them beside the target, as
    `fixed_of` found it; it crosses between processes as JSON."""

    def __init__(self, target: T, spec: InputSpec, fixed: Mapping[str, Any] | None) -> None:
        self.target, self.spec, self.fixed = target, spec, fixed

    @staticmethod
    def fixed_of(target: T, live: Callable[[], Mapping[str, Any] | None]) -> Mapping[str, Any] | None:
        """What is fixed of targets beside what the model declares. live: reads the layout of the live version"""
        return None

    @abstractmethod
    def read(self, listed: Any, inputs: Array) -> tuple[Sequence[str | None], Floats]:
        """What a body lists of these rows [n, ...], as `Annotations` have it: labels, and targets [n, k]. Raises
        InvalidContent with the pointer of the first fault."""

    @abstractmethod
    def read_rights(self, values: Mapping[str, Any]) -> Rights:
        """What a correction says of rows, by their numbers as text. Raises InvalidContent."""

    def check_rights(self, rows: Rows, rights: Rights) -> None:
        """Raises InvalidContent for what these rows cannot have."""
