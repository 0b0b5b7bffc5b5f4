"""Tasks on other processes, as far as a value can tell."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from service.learning.devices import CPU
from service.learning.run import InSequence, R, T, no_check
from service.storage.local import LocalArtifacts

TRIALS = {"score_elsewhere", "tried"}
"""The functions that try a lift and a strength."""


class Crossing(pickle.Pickler):
    """Pickles what crosses to another process. arrays: how many arrays and tensors are in it."""

    arrays = 0

    def reducer_override(self, thing: Any) -> Any:
        self.arrays += isinstance(thing, np.ndarray | torch.Tensor)
        return NotImplemented


def crossed(thing: Any) -> tuple[Any, bool]:
    """A thing as another process gets it, and whether arrays or tensors are in it."""
    crossing = Crossing(data := io.BytesIO())
    crossing.dump(thing)
    return pickle.loads(data.getvalue()), crossing.arrays > 0


class PickledTasks(InSequence):
    """Each function and item is pickled, and so is each result; sums are added as a tree.

    asked: names of the functions · given_arrays, gave_arrays: of those whose arguments, or results, hold arrays or
    tensors."""

    def __init__(self) -> None:
        self.asked, self.given_arrays, self.gave_arrays = list[str](), set[str](), set[str]()

    def has(self, device: torch.device) -> bool:
        return True

    def each(
        self,
        function: Callable[[T], R],
        items: Sequence[T],
        device: torch.device = CPU,
        check: Callable[[], None] = no_check,
    ) -> Iterator[R]:
        name = getattr(function, "func", function).__name__
        self.asked += [name] * len(items)
        for item in items:
            (function, item), arrays = crossed((function, item))
            self.given_arrays |= {name} if arrays else set()
            result, arrays = crossed(function(item))
            self.gave_arrays |= {name} if arrays else set()
            yield result

    def total(self, function: Callable[[T], R], items: Sequence[T], add: Callable[[R, R], R]) -> R:
        sums = list(self.each(function, items))
        while len(sums) > 1:
            pairs = [sums[k : k + 2] for k in range(0, len(sums), 2)]
            sums = [add(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
        return sums[0]


class SweptTasks(PickledTasks):
    """After each trial of a lift or a strength comes an erasure, which sweeps what no row of the database names. area:
    of the model · named: digests that rows name · swept: those that were swept."""

    def __init__(self, store: LocalArtifacts, area: str, named: Collection[str]) -> None:
        super().__init__()
        self._store, self._area, self._named, self.swept = store, area, named, set[str]()

    def each(
        self,
        function: Callable[[T], R],
        items: Sequence[T],
        device: torch.device = CPU,
        check: Callable[[], None] = no_check,
    ) -> Iterator[R]:
        for result in super().each(function, items, device, check):
            yield result
            if self.asked[-1] in TRIALS:
                unnamed = {digest for area, digest, _ in self._store.names() if area == self._area} - {*self._named}
                for digest in unnamed:
                    self._store.delete(self._area, digest)
                self.swept |= unnamed
