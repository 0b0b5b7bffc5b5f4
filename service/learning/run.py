"""A run is one execution of learning: its seed, progress, cancellation, device, and how its trainings are saved.

An update is a function of its data and its seed, so another attempt does again what the first one did, in the same
order. What takes long are its trainings (`training.fit`) and the features of its rows. What was finished is taken from
what was saved; a training that was cut short goes on at its step, and features at the first row that has none: on the
same device weights and features have the bits of an update that nobody stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from service.learning.devices import CPU

T = TypeVar("T")
R = TypeVar("R")


def no_progress(phase: str, done: int, total: int) -> None:
    """Reports nothing, for calls that nobody watches."""


def no_losses(epoch: int, loss: float, kept: float | None) -> None:
    """Reports nothing, as `no_progress`."""


def no_check() -> None:
    """Never raises, for calls that nobody cancels."""


class Tasks(Protocol):
    """A place where parts of a run are worked on that do not need one another. Functions and items can be pickled, and
    results are the same wherever that is."""

    def has(self, device: torch.device) -> bool:
        """Whether there is another process with a device of that type."""

    def each(
        self,
        function: Callable[[T], R],
        items: Sequence[T],
        device: torch.device = CPU,
        check: Callable[[], None] = no_check,
    ) -> Iterator[R]:
        """The results, in the order of the items. device: what each is computed on, the same kind everywhere · check:
        called while another process is waited for; what it raises ends that."""

    def total(self, function: Callable[[T], R], items: Sequence[T], add: Callable[[R, R], R]) -> R:
        """The results added up in the order of the items, of which there is one at least; `add` is associative."""


class InSequence:
    """Works on them one after another, here, each once its result is asked for."""

    def has(self, device: torch.device) -> bool:
        return False

    def each(
        self,
        function: Callable[[T], R],
        items: Sequence[T],
        device: torch.device = CPU,
        check: Callable[[], None] = no_check,
    ) -> Iterator[R]:
        return map(function, items)

    def total(self, function: Callable[[T], R], items: Sequence[T], add: Callable[[R, R], R]) -> R:
        return reduce(add, map(function, items))


IN_SEQUENCE = InSequence()


WORTH = 1 / 60
"""A training that took less than this part of the time between two saves is done again rather than saved."""
MOST_BYTES = 2**29
"""What finished trainings may take in a save; later ones are done again."""

Facts = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Reached:
    """How far a training came. facts: what JSON can hold · tensors: by name, on the CPU."""

    facts: Facts
    tensors: dict[str, Tensor]

    @property
    def bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in self.tensors.values())


Saved = dict[int | str, Reached]
"""How far trainings came, by their numbers, and features, by their names."""


class Trainings:
    """The trainings of one attempt, numbered in their order, and features, by name.

    every: seconds between two saves, by `clock` · keep: stores how far each came, by number · earlier: what an earlier
    attempt has stored.
    """

    def __init__(
        self,
        every: float,
        keep: Callable[[Saved], None],
        earlier: Saved | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._every, self._keep, self._clock = every, keep, clock
        self._earlier, self._features, self._finished = Saved(), Saved(), Saved()
        for key, reached in (earlier or {}).items():
            (self._earlier if isinstance(key, int) else self._features)[key] = reached
        self._number, self._saved, self._began = -1, clock(), 0.0

    def begin(self, course: Callable[[], Facts]) -> Reached | None:
        """Begins the next training, whose course follows from these facts. -> how far an earlier attempt came with it;
        where that was another course, it and all after it is forgotten."""
        self._number, self._began = self._number + 1, self._clock()
        reached = self._earlier.pop(self._number, None)
        if reached is None or reached.facts["course"] == course():
            return reached
        self._earlier.clear()
        return None

    @property
    def due(self) -> bool:
        return self._clock() - self._saved >= self._every

    def save(self, reached: Reached) -> None:
        """Stores how far the training at hand came, beside what is finished."""
        self._keep({**self._features, **self._finished, self._number: reached})
        self._saved = self._clock()

    def features(self, name: str) -> Reached | None:
        """How far an earlier attempt, or this one, came with features."""
        return self._features.get(name)

    def note_features(self, name: str, reached: Callable[[], Reached], finished: bool = False) -> None:
        """Stores how far features came where that is due. `finished`: no more will come, and it has no tensors."""
        due = self.due
        if due or finished:
            self._features[name] = reached()
        if due:
            self._keep({**self._features, **self._earlier, **self._finished})
            self._saved = self._clock()

    def finish(self, reached: Callable[[], Reached], again: bool = False) -> None:
        """Ends the training at hand. `again`: an earlier attempt had finished it."""
        if not again and self._clock() - self._began < WORTH * self._every:
            return
        done = reached()
        if sum(one.bytes for one in self._finished.values()) + done.bytes > MOST_BYTES:
            return
        self._finished[self._number] = done
        if self.due:
            self.save(done)


@dataclass(frozen=True)
class Run:
    """Seed, progress and device of one execution. `check` raises Cancelled; it is called at every step. `trainings`:
    where they are saved as they go on; None: nowhere. `losses` is called after each epoch of a training with its
    number from 1, its mean loss, and the loss on rows that are kept back, None where there are none."""

    seed: int = 0
    progress: Callable[[str, int, int], None] = no_progress
    check: Callable[[], None] = no_check
    device: torch.device = CPU
    trainings: Trainings | None = None
    tasks: Tasks = IN_SEQUENCE
    losses: Callable[[int, float, float | None], None] = no_losses

    def __reduce__(self) -> tuple[Any, ...]:
        """Seed and device alone go to another process: who watches this run is here."""
        return Run, (self.seed, no_progress, no_check, self.device)

    @property
    def silent(self) -> Run:
        """The run without reports of progress: for steps within a phase that has its own."""
        return replace(self, progress=no_progress, losses=no_losses)

    def generator(self, salt: int = 0) -> torch.Generator:
        """Makes a generator on the CPU; the same seed and salt give the same bits, on every device."""
        return torch.Generator().manual_seed(self.seed * 1_000_003 + salt)


UNWATCHED = Run()
"""A run on the CPU that nobody watches or cancels."""
