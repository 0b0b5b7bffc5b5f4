"""The trainings of an update as far as they came, so that another attempt goes on where one was interrupted.

An update is a function of its data and its seed, so another attempt does again what the first one did, in the same
order. What takes long are its trainings (`training.fit`). One that was finished is taken from what was saved, and one
that was cut short goes on at its step: on the same device the weights have the bits of an update that nobody stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

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
        """Memory of the tensors."""
        return sum(t.numel() * t.element_size() for t in self.tensors.values())


class Trainings:
    """The trainings of one attempt, numbered in their order.

    every: seconds between two saves, by `clock` · keep: stores how far each came, by number · earlier: what an earlier
    attempt has stored.
    """

    def __init__(
        self,
        every: float,
        keep: Callable[[Mapping[int, Reached]], None],
        earlier: Mapping[int, Reached] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._every, self._keep, self._clock = every, keep, clock
        self._earlier, self._finished = dict(earlier or {}), dict[int, Reached]()
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
        """Whether it is time to save."""
        return self._clock() - self._saved >= self._every

    def save(self, reached: Reached) -> None:
        """Stores how far the training at hand came, beside those that are finished."""
        self._keep({**self._finished, self._number: reached})
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
