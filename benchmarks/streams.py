"""Streams of classes that arrive in steps: which rows, in which form, and the network that joint retraining uses."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.contract.inputs import ImageInput, InputSpec, RangeScale, VectorInput
from service.learning.batch import Array

SPLITS = 5
"""Digits have no test rows of their own: a fifth of each class, another fifth for each seed."""


@dataclass(frozen=True)
class Stream:
    """Classes arrive `first` at once, then `then` at a time. `data`: digits, or the name of a file.

    hidden, lr: the network of joint retraining and its rate, the best of 0.01, 0.03 and 0.1 on rows kept back.
    `seeds`: how many are usual.
    """

    name: str
    data: str
    input: InputSpec
    first: int
    then: int
    hidden: tuple[int, ...]
    lr: float
    seeds: int

    def steps(self, classes: Collection[str]) -> Iterator[list[str]]:
        """The classes of each step, in the order of their numbers."""
        names = sorted(classes, key=lambda name: (len(name), name))
        yield names[: self.first]
        for k in range(self.first, len(names), self.then):
            yield names[k : k + self.then]


INK = RangeScale(range=(0, 16))
INK_VECTOR = VectorInput(kind="vector", size=64, scale=INK)
STREAMS = {
    s.name: s
    for s in (
        Stream(
            "digits-images",
            "digits",
            ImageInput(kind="image", channels=1, height=8, width=8, scale=INK),
            2,
            2,
            (256,),
            0.1,
            SPLITS,
        ),
        Stream("digits-vectors", "digits", INK_VECTOR, 2, 2, (256,), 0.1, SPLITS),
        Stream(
            "mnist10k", "mnist10k", ImageInput(kind="image", channels=1, height=28, width=28), 2, 2, (400, 400), 0.1, 1
        ),
        Stream("letter", "letter", VectorInput(kind="vector", size=16), 6, 2, (256, 256), 0.03, 1),
    )
}


@dataclass(frozen=True, eq=False)
class Rows:
    """inputs [n, ...] as the model takes them · labels [n]"""

    inputs: Array
    labels: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.labels)

    def of(self, classes: Collection[str]) -> Rows:
        """The rows of some classes."""
        return self.take(np.flatnonzero(np.isin(self.labels, list(classes))))

    def take(self, which: NDArray[np.int64]) -> Rows:
        return Rows(self.inputs[which], self.labels[which])


def load(stream: Stream, folder: Path | None, seed: int) -> tuple[Rows, Rows]:
    """-> training rows, shuffled by the seed, and test rows. A file holds X_train, y_train, X_test, y_test.

    Raises FileNotFoundError where the file is missing.
    """
    train, test = _digits(seed % SPLITS) if stream.data == "digits" else _file(stream.data, folder)
    order = np.random.default_rng(seed).permutation(len(train))
    return _shaped(train.take(order), stream), _shaped(test, stream)


def _shaped(rows: Rows, stream: Stream) -> Rows:
    return Rows(rows.inputs.reshape(-1, *stream.input.shape), rows.labels)


def _digits(split: int) -> tuple[Rows, Rows]:
    from sklearn.datasets import load_digits

    inputs, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    part = np.zeros(len(labels), int)
    for label in range(10):
        mine = order[labels[order] == label]
        part[mine] = np.arange(len(mine)) % SPLITS
    rows = Rows(inputs.astype(np.float32), labels.astype(str))
    return rows.take(np.flatnonzero(part != split)), rows.take(np.flatnonzero(part == split))


def _file(name: str, folder: Path | None) -> tuple[Rows, Rows]:
    if folder is None or not (folder / f"{name}.npz").is_file():
        where = f"there is no {name}.npz in {folder}" if folder else "no folder was named"
        raise FileNotFoundError(f"{name} needs --data FOLDER (or TSUIKA_BENCH_DATA) with {name}.npz in it: {where}.")
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        parts = [(file[f"X_{part}"], file[f"y_{part}"]) for part in ("train", "test")]
    train, test = (
        Rows(x if x.dtype == np.uint8 and x.ndim > 2 else x.astype(np.float32), y.astype(str)) for x, y in parts
    )
    return train, test


def noisy_digits(rows: int, seed: int) -> Rows:
    """Digits as vectors, drawn at random, each with a little noise of its own."""
    from sklearn.datasets import load_digits

    inputs, labels = load_digits(return_X_y=True)
    random = np.random.default_rng(seed)
    which = random.integers(0, len(labels), rows)
    noisy = np.clip(inputs[which] + random.normal(0, 0.3, (rows, 64)), 0, 16)
    return Rows(np.round(noisy, 2).astype(np.float32), labels[which].astype(str))
