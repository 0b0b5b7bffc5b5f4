"""Streams of labelled rows: which arrive in which step, in which form, and the network of joint retraining."""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.tables.scores import Group
from service.contract.inputs import ImageInput, InputSpec, PretrainedBackbone, RangeScale, TextInput, VectorInput
from service.learning.data.rows import Array

SPLITS = 5
"""Digits have no test rows of their own: a fifth of each class, another fifth for each seed."""
BATCHES, HOME, TAIL = 10, 0.5, 50
"""Of the blurry stream: batches, share of a class that comes with its own batch, first class to last in rows."""

Kind = Literal["classes", "domains", "blurry", "small"]


@dataclass(frozen=True, eq=False)
class Rows:
    """inputs [n, ...] as the model takes them (texts: str objects) · labels [n] · domain [n], "" without one"""

    inputs: Array
    labels: NDArray[np.str_]
    domain: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, np.str_))

    def __post_init__(self) -> None:
        if len(self.domain) != len(self.labels):
            object.__setattr__(self, "domain", np.full(len(self.labels), ""))

    def __len__(self) -> int:
        return len(self.labels)

    def of(self, classes: Collection[str]) -> Rows:
        """The rows of these classes."""
        return self.take(np.flatnonzero(np.isin(self.labels, list(classes))))

    def take(self, which: NDArray[np.int64]) -> Rows:
        return Rows(self.inputs[which], self.labels[which], self.domain[which])

    def shaped(self, shape: tuple[int, ...]) -> Rows:
        """Each row in this shape."""
        return replace(self, inputs=self.inputs.reshape(-1, *shape))


@dataclass(frozen=True, eq=False)
class Arrival:
    """One update: its rows and, where the stream names it, where they come from."""

    rows: Rows
    source: str | None = None


@dataclass(frozen=True)
class Stream:
    """`data`: digits, or the name of a file. hidden, lr, epochs: the network of joint retraining, its rate the best of
    0.01, 0.03 and 0.1 on rows kept back.

    kind: *classes* arrive `first` at once, then `then` at a time; *domains* one after another, each in `then` parts,
    with their name as source if `sourced`; *blurry*: mixed, long-tailed, and classes come back; *small*: `first` rows,
    then 60 batches of one row and 60 of five. backbone: what the product's model names. seeds: how many are usual.
    """

    name: str
    data: str
    input: InputSpec
    hidden: tuple[int, ...]
    lr: float
    first: int = 2
    then: int = 2
    kind: Kind = "classes"
    epochs: int = 10
    seeds: int = 1
    backbone: PretrainedBackbone | None = None
    sourced: bool = False
    ordered: bool = False
    """Rows come in the order of the file."""

    def steps(self, classes: Collection[str], seed: int = 0) -> list[list[str]]:
        """The classes of each step: in the order of their numbers, or, from seed 1 on, in one drawn by the seed."""
        names = sorted(classes, key=lambda name: (len(name), name))
        if seed:
            names = [names[k] for k in np.random.default_rng(seed).permutation(len(names))]
        return [names[: self.first], *(names[k : k + self.then] for k in range(self.first, len(names), self.then))]

    def arrivals(self, train: Rows, seed: int) -> list[Arrival]:
        """The updates, in order."""
        if self.kind == "classes":
            return [Arrival(train.of(step)) for step in self.steps(set(train.labels), seed)]
        if self.kind == "domains":
            return list(self._by_domain(train))
        parts = _blurry(train, seed) if self.kind == "blurry" else _small(train, self.first)
        return [Arrival(train.take(part)) for part in parts]

    def _by_domain(self, train: Rows) -> Iterator[Arrival]:
        for domain in np.unique(train.domain):
            for part in np.array_split(np.flatnonzero(train.domain == domain), self.then):
                yield Arrival(train.take(part), str(domain) if self.sourced else None)

    def keys(self, rows: Rows) -> set[str]:
        """What the rows make known: their domains, or their classes."""
        return {str(key) for key in np.unique(rows.domain if self.kind == "domains" else rows.labels)}

    def groups(self, arrivals: Sequence[Arrival], test: Rows) -> list[Group]:
        """Test rows by what is learned together: the classes of a step, a domain; elsewhere each class."""
        if self.kind == "classes":
            sets = [self.keys(a.rows) for a in arrivals]
        else:
            sets = [{key} for key in sorted(self.keys(test))]
        of = test.domain if self.kind == "domains" else test.labels
        return [Group(frozenset(keys), np.flatnonzero(np.isin(of, list(keys)))) for keys in sets]

    @property
    def vectors(self) -> Stream:
        """The stream of the backbone's features: vectors, and no backbone."""
        if self.backbone is None:
            return self
        return replace(self, input=VectorInput(kind="vector", size=WIDTHS[self.backbone.name]), backbone=None)


def _blurry(train: Rows, seed: int) -> list[NDArray[np.int64]]:
    """Class k of C keeps n·50^(-k/(C-1)) rows; half of them come with the class's own batch, the others with any."""
    random, names = np.random.default_rng(seed), np.unique(train.labels)
    most = min(int((train.labels == name).sum()) for name in names)
    of_batch: list[list[int]] = [[] for _ in range(BATCHES)]
    for k, name in enumerate(random.permutation(names)):
        of_class = np.flatnonzero(train.labels == name)[: max(2, round(most * TAIL ** (-k / (len(names) - 1))))]
        home = k * BATCHES // len(names)
        for i in of_class:
            of_batch[home if random.random() < HOME else int(random.integers(BATCHES))].append(int(i))
    return [random.permutation(np.array(rows, np.int64)) for rows in of_batch if rows]


def _small(train: Rows, first: int) -> list[NDArray[np.int64]]:
    sizes = [first, *([1] * 60), *([5] * 60)]
    ends = np.cumsum(sizes)
    return [np.arange(end - n, end) for n, end in zip(sizes, ends, strict=True) if end <= len(train)]


INK = RangeScale(range=(0, 16))
INK_VECTOR = VectorInput(kind="vector", size=64, scale=INK)
INK_IMAGE = ImageInput(kind="image", channels=1, height=8, width=8, scale=INK)
MNIST = ImageInput(kind="image", channels=1, height=28, width=28)
EMOJI = ImageInput(kind="image", channels=3, height=32, width=32)
EFFICIENTNET = PretrainedBackbone(name="efficientnet_lite0", side=64)
MINILM = PretrainedBackbone(name="minilm")
WIDTHS = {"efficientnet_lite0": 1280, "minilm": 384}

STREAMS = {
    s.name: s
    for s in (
        Stream("digits-images", "digits", INK_IMAGE, (256,), 0.1, seeds=SPLITS),
        Stream("digits-vectors", "digits", INK_VECTOR, (256,), 0.1, seeds=SPLITS),
        Stream("digits-halves", "digits", INK_VECTOR, (256,), 0.1, first=5, then=5, seeds=SPLITS),
        Stream("mnist10k", "mnist10k", MNIST, (400, 400), 0.1, seeds=5),
        Stream("letter", "letter", VectorInput(kind="vector", size=16), (256, 256), 0.03, first=6, seeds=5),
        Stream("clinc150", "clinc150", TextInput(kind="text"), (256,), 0.01, 15, 15, backbone=MINILM),
        Stream("emoji32-classes", "emoji32", EMOJI, (256,), 0.03, 14, 10, epochs=20, backbone=EFFICIENTNET),
        Stream("emoji32-pixels", "emoji32", EMOJI, (256,), 0.01, 14, 10, epochs=20),
        Stream(
            "emoji32-styles", "emoji32", EMOJI, (256,), 0.01, kind="domains", then=1, epochs=20, backbone=EFFICIENTNET
        ),
        Stream(
            "emoji32-sources",
            "emoji32",
            EMOJI,
            (256,),
            0.01,
            kind="domains",
            then=1,
            epochs=20,
            backbone=EFFICIENTNET,
            sourced=True,
        ),
        Stream(
            "employment", "employment", VectorInput(kind="vector", size=16), (128, 128), 0.03, kind="domains", then=3
        ),
        Stream("mnist10k-blurry", "mnist10k", MNIST, (400, 400), 0.1, kind="blurry"),
        Stream("digits-small", "digits", INK_IMAGE, (256,), 0.1, first=200, kind="small"),
    )
}


def data_option(parser: argparse.ArgumentParser, help: str) -> None:
    """Adds --data, the folder of the streams' rows; by default the one that TSUIKA_BENCH_DATA names."""
    folder = os.environ.get("TSUIKA_BENCH_DATA")
    parser.add_argument("--data", type=Path, default=folder and Path(folder), help=help)


def load(
    stream: Stream, folder: Path | None, seed: int | None, features: tuple[Array, Array] | None = None
) -> tuple[Rows, Rows]:
    """-> training rows, shuffled by the seed (None: as they lie), and test rows.

    A file holds X_train, y_train, X_test, y_test, and domain_train, domain_test where rows come from several.
    features: take these as inputs, in the order of the file.

    Raises FileNotFoundError where the file is missing.
    """
    train, test = _digits((seed or 0) % SPLITS) if stream.data == "digits" else _file(stream.data, folder)
    if features is not None:
        train, test = (replace(rows, inputs=inputs) for rows, inputs in zip((train, test), features, strict=True))
    if seed is not None and not stream.ordered:
        train = train.take(np.random.default_rng(seed).permutation(len(train)))
    return train.shaped(stream.input.shape), test.shaped(stream.input.shape)


def _digits(split: int) -> tuple[Rows, Rows]:
    from sklearn.datasets import load_digits

    inputs, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    part = np.zeros(len(labels), int)
    for label in range(10):
        of_label = order[labels[order] == label]
        part[of_label] = np.arange(len(of_label)) % SPLITS
    rows = Rows(inputs.astype(np.float32), labels.astype(str))
    return rows.take(np.flatnonzero(part != split)), rows.take(np.flatnonzero(part == split))


def _file(name: str, folder: Path | None) -> tuple[Rows, Rows]:
    if folder is None or not (folder / f"{name}.npz").is_file():
        where = f"there is no {name}.npz in {folder}" if folder else "no folder was named"
        raise FileNotFoundError(f"{name} needs --data FOLDER (or TSUIKA_BENCH_DATA) with {name}.npz in it: {where}.")
    with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
        train, test = (_part(file, part) for part in ("train", "test"))
    return train, test


def _part(file: np.lib.npyio.NpzFile, part: str) -> Rows:
    """Bytes stay images [n, channels, height, width]; texts are one array of UTF-8 bytes with a line a row."""
    x, y = file[f"X_{part}"], file[f"y_{part}"].astype(str)
    domain = file[f"domain_{part}"].astype(str) if f"domain_{part}" in file else np.zeros(0, np.str_)
    if x.ndim == 1:
        return Rows(np.array(x.tobytes().decode().split("\n"), object), y, domain)
    if x.ndim == 4:
        x = x.transpose(0, 3, 1, 2)
    return Rows(np.ascontiguousarray(x) if x.dtype == np.uint8 and x.ndim > 2 else x.astype(np.float32), y, domain)


def noisy_digits(rows: int, seed: int) -> Rows:
    """Digits as vectors, drawn at random, each with a little noise of its own."""
    from sklearn.datasets import load_digits

    inputs, labels = load_digits(return_X_y=True)
    random = np.random.default_rng(seed)
    which = random.integers(0, len(labels), rows)
    noisy = np.clip(inputs[which] + random.normal(0, 0.3, (rows, 64)), 0, 16)
    return Rows(np.round(noisy, 2).astype(np.float32), labels[which].astype(str))
