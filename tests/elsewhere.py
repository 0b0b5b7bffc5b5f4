"""Tasks on other processes, as far as a value can tell."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence

from service.learning.run import InSequence, R, T


class Elsewhere(InSequence):
    """Each function and item is pickled, and sums are added as a tree. asked: names of the functions."""

    def __init__(self) -> None:
        self.asked = list[str]()

    def each(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        self.asked += [getattr(function, "func", function).__name__] * len(items)
        return map(*pickle.loads(pickle.dumps((function, list(items)))))

    def total(self, function: Callable[[T], R], items: Sequence[T], add: Callable[[R, R], R]) -> R:
        sums = list(self.each(function, items))
        while len(sums) > 1:
            pairs = [sums[k : k + 2] for k in range(0, len(sums), 2)]
            sums = [add(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
        return sums[0]
