"""A run is one execution of learning: its seed, progress, cancellation, device, and how its trainings are saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any, Protocol, TypeVar

import torch

from service.learning.trainings import Trainings

T = TypeVar("T")
R = TypeVar("R")


def no_progress(phase: str, done: int, total: int) -> None:
    """Reports nothing, for calls that nobody watches."""


def no_check() -> None:
    """Never raises, for calls that nobody cancels."""


class Tasks(Protocol):
    """Where parts of a run are worked on that do not need one another. Functions and items can be pickled, and results
    are the same wherever that is."""

    def each(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """The results, in the order of the items."""
        ...

    def total(self, function: Callable[[T], R], items: Sequence[T], add: Callable[[R, R], R]) -> R:
        """The results added up in the order of the items, of which there is one at least; `add` is associative."""
        ...


class InSequence:
    """Works on them one after another, here, each once its result is asked for."""

    def each(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        return map(function, items)

    def total(self, function: Callable[[T], R], items: Sequence[T], add: Callable[[R, R], R]) -> R:
        return reduce(add, map(function, items))


IN_SEQUENCE = InSequence()


@dataclass(frozen=True)
class Run:
    """Seed, progress and device of one execution. `check` raises Cancelled; it is called at every step. `trainings`:
    where they are saved as they go on; None: nowhere."""

    seed: int = 0
    progress: Callable[[str, int, int], None] = no_progress
    check: Callable[[], None] = no_check
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    trainings: Trainings | None = None
    tasks: Tasks = IN_SEQUENCE

    def __reduce__(self) -> tuple[Any, ...]:
        """Seed and device alone go to another process: who watches this run is here."""
        return Run, (self.seed, no_progress, no_check, self.device)

    @property
    def silent(self) -> Run:
        """The same run without reports of progress: for steps within a phase that has its own."""
        return replace(self, progress=no_progress)

    def generator(self, salt: int = 0) -> torch.Generator:
        """Makes a generator on the CPU; the same seed and salt give the same bits, on every device."""
        return torch.Generator().manual_seed(self.seed * 1_000_003 + salt)


UNWATCHED = Run()
"""A run on the CPU that nobody watches or cancels."""
