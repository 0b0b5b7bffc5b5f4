"""Scikit-learn's digits (images of 8x8 pixels from 0 to 16), cut into what is sent and what is kept aside."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

INPUT = {"kind": "image", "channels": 1, "height": 8, "width": 8, "scale": {"range": [0, 16]}}
OLD, NEW = ("0", "1", "2", "3", "4"), ("5", "6", "7", "8", "9")


@dataclass(frozen=True, eq=False)
class Rows:
    """inputs [n, 1, 8, 8] · labels [n]"""

    inputs: NDArray[np.float64]
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def of(self, classes: Collection[str]) -> Rows:
        return self._take([k for k, label in enumerate(self.labels) if label in classes])

    def cut(self, at: int) -> tuple[Rows, Rows]:
        """The first `at` rows, and the rest."""
        return self._take(list(range(at))), self._take(list(range(at, len(self))))

    def _take(self, which: list[int]) -> Rows:
        return Rows(self.inputs[which], tuple(self.labels[k] for k in which))


def digits() -> tuple[Rows, Rows]:
    """-> rows to send, rows kept aside (three of ten, never sent with a label), both in a fixed random order"""
    from sklearn.datasets import load_digits

    inputs, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    rows = Rows(inputs[order].reshape(-1, 1, 8, 8), tuple(str(label) for label in labels[order]))
    aside, sent = rows.cut(3 * len(rows) // 10)
    return sent, aside


def moved_and_darker(rows: Rows) -> Rows:
    """The same digits, one pixel to the right and at six tenths of their ink."""
    moved = np.zeros_like(rows.inputs)
    moved[..., 1:] = rows.inputs[..., :-1]
    return Rows(np.rint(0.6 * moved), rows.labels)


def renumbered(rows: Rows) -> Rows:
    """The same digits with every label one too high: a column that slipped."""
    return Rows(rows.inputs, tuple(str((int(label) + 1) % 10) for label in rows.labels))
