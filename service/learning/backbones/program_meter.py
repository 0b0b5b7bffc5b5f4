"""What a program does beside giving features: what it writes to, how much it holds at once, how much it works through.

It is watched while it runs without numbers, on the device "meta": a bad one costs nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from service.learning.backbones.program_graph import Node, in_place

MOST_BYTES = 2**31
"""Most bytes that the steps of a program may hold at once for a block of images. Its weights are not counted."""
MOST_NUMBERS = 2**34
"""Most numbers that its steps may read and write for an image."""
POOLS = ("torch.ops.aten.avg_pool2d.", "torch.ops.aten.max_pool2d.")
"""Operators that read every window of their input anew. Their second argument is its size."""


class Meter:
    """Watches the steps of one run, of a block of `rows` images."""

    def __init__(self, rows: int, images: Tensor, weights: Iterable[Tensor]) -> None:
        self._rows = rows
        self._weights = {_storage(weight) for weight in weights}
        self._storages: dict[str, list[tuple[int, int]]] = {}
        self._holders = Counter[tuple[int, int]]()
        self._bytes, self._numbers = _storage(images)[1], 0
        self._check()

    def step(self, node: Node, given: Sequence[Any], held: Mapping[str, Any], unused: Iterable[str]) -> None:
        """Takes note of a step that has run on `given`; nobody needs `unused` any more. Raises ValueError for what a
        program may not do."""
        read, names = _tensors(given), [name for name in node.results if name != "*"]
        if in_place(node.target) and (not read or _storage(read[0]) in self._weights):
            raise ValueError(f"it writes to its own weights ({node.target})")
        windows = math.prod(given[1]) if node.target.startswith(POOLS) and isinstance(given[1], list) else 1
        self._numbers += windows * sum(t.numel() for t in [*read, *_tensors([held[name] for name in names])])
        for name in names:
            self._drop(name)
            self._storages[name] = [_storage(t) for t in _tensors([held[name]])]
            for storage in self._storages[name]:
                self._holders[storage] += 1
                if self._holders[storage] == 1 and storage not in self._weights:
                    self._bytes += storage[1]
        self._check()
        for name in unused:
            self._drop(name)

    def _drop(self, name: str) -> None:
        for storage in self._storages.pop(name, ()):
            self._holders[storage] -= 1
            if self._holders[storage] == 0 and storage not in self._weights:
                self._bytes -= storage[1]

    def _check(self) -> None:
        if self._bytes > MOST_BYTES:
            raise ValueError(
                f"its steps hold {self._bytes:,} bytes at once for {self._rows} images; {MOST_BYTES:,} are the most"
            )
        if self._numbers > MOST_NUMBERS * self._rows:
            raise ValueError(f"its steps work through more than {MOST_NUMBERS:,} numbers of an image")


def _storage(tensor: Tensor) -> tuple[int, int]:
    """(which memory, bytes of it) a tensor lies in."""
    storage = tensor.untyped_storage()
    return storage._cdata, storage.nbytes()


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    return [
        t for value in values for t in (value if isinstance(value, list | tuple) else [value]) if isinstance(t, Tensor)
    ]
