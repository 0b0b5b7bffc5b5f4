"""Tasks on other processes, as far as a value can tell."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from service.learning.run import InSequence, R, T


class Crossing(pickle.Pickler):
    """Pickles what crosses to another process. arrays: how many arrays and tensors are in it."""

    arrays = 0

    def reducer_override(self, thing: Any) -> Any:
        self.arrays += isinstance(thing, np.ndarray | torch.Tensor)
        return NotImplemented


class Elsewhere(InSequence):
    """Each function and item is pickled, and sums are added as a tree. asked: names of the functions · given_arrays:
    of those that arrays or tensors were sent to."""

    def __init__(self) -> None:
        self.asked, self.given_arrays = list[str](), set[str]()

    def each(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        name = getattr(function, "func", function).__name__
        self.asked += [name] * len(items)
        crossing = Crossing(data := io.BytesIO())
        crossing.dump((function, list(items)))
        if crossing.arrays:
            self.given_arrays.add(name)
        return map(*pickle.loads(data.getvalue()))

    def total(self, function: Callable[[T], R], items: Sequence[T], add: Callable[[R, R], R]) -> R:
        sums = list(self.each(function, items))
        while len(sums) > 1:
            pairs = [sums[k : k + 2] for k in range(0, len(sums), 2)]
            sums = [add(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
        return sums[0]
