"""Streams of classes that arrive in steps: which rows in which, in which form, from digits or a file."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.streams.frozen import WIDTHS, features
from benchmarks.streams.stream import Kind, Layers, Rows, Stream, arrays
from benchmarks.tables.scores import Places
from service.contract.inputs import ImageInput, InputSpec, PretrainedBackbone, RangeScale, TextInput, VectorInput

SPLITS = 5
"""Digits have no test rows of their own: a fifth of each class, another fifth for each seed."""
BATCHES, HOME, TAIL = 10, 0.5, 50
"""Of the blurry stream: batches, share of a class that comes with its own batch, first class to last in rows."""


@dataclass(frozen=True)
class Plan:
    """`data`: digits, or the name of a file.

    kind: *classes* arrive `first` at once, then `then` at a time; *domains* one after another, with their name as
    source if `sourced`; *blurry*: mixed, long-tailed, and classes come back.
    backbone: what the product's model names. seeds: how many are usual.
    """

    name: str
    data: str
    input: InputSpec
    layers: Layers
    first: int = 2
    then: int = 2
    kind: Kind = "classes"
    seeds: int = 1
    backbone: PretrainedBackbone | None = None
    sourced: bool = False

    def stream(self, folder: Path | None, seed: int, kept: Path | None = None) -> Stream:
        """Rows shuffled by the seed. kept: folder of features. Raises FileNotFoundError where the data are missing."""
        made = self._of(*load(self, folder, seed), seed)
        return replace(made, with_features=lambda: self._with_features(folder, seed, kept)) if self.backbone else made

    def _of(self, train: Rows, test: Rows, seed: int) -> Stream:
        return Stream(
            self.name,
            self.input,
            train,
            self.parts(train, seed),
            test,
            kind=self.kind,
            layers=self.layers,
            seed=seed,
            backbone=self.backbone,
            sourced=self.sourced,
        )

    def _with_features(self, folder: Path | None, seed: int, kept: Path | None) -> Stream:
        assert self.backbone is not None
        read = load(self, folder, None)
        inputs = features(self.data, read, self.backbone, kept)
        train, test = (replace(rows, inputs=h) for rows, h in zip(read, inputs, strict=True))
        vectors = VectorInput(kind="vector", size=WIDTHS[self.backbone.name])
        return replace(self, input=vectors, backbone=None)._of(shuffled(train, seed), test, seed)

    def steps(self, classes: Collection[str], seed: int = 0) -> list[list[str]]:
        """The classes of each step: in the order of their numbers, or, from seed 1 on, in one drawn by the seed."""
        names = sorted(classes, key=lambda name: (len(name), name))
        if seed:
            names = [names[k] for k in np.random.default_rng(seed).permutation(len(names))]
        return [names[: self.first], *(names[k : k + self.then] for k in range(self.first, len(names), self.then))]

    def parts(self, train: Rows, seed: int) -> list[Places]:
        """Places of the rows of each batch."""
        if self.kind == "classes":
            steps = self.steps(set(train.targets), seed)
            return [np.flatnonzero(np.isin(train.targets, step)) for step in steps]
        if self.kind == "domains":
            return [np.flatnonzero(train.domain == domain) for domain in np.unique(train.domain)]
        return _blurry(train, seed)


def _blurry(train: Rows, seed: int) -> list[Places]:
    """Class k of C keeps n·50^(-k/(C-1)) rows; half of them come with the class's own batch, the others with any."""
    random, names = np.random.default_rng(seed), np.unique(train.targets)
    most = min(int((train.targets == name).sum()) for name in names)
    of_batch: list[list[int]] = [[] for _ in range(BATCHES)]
    for k, name in enumerate(random.permutation(names)):
        of_class = np.flatnonzero(train.targets == name)[: max(2, round(most * TAIL ** (-k / (len(names) - 1))))]
        home = k * BATCHES // len(names)
        for i in of_class:
            of_batch[home if random.random() < HOME else int(random.integers(BATCHES))].append(int(i))
    return [random.permutation(np.array(rows, np.int64)) for rows in of_batch if rows]


INK = RangeScale(range=(0, 16))
INK_VECTOR = VectorInput(kind="vector", size=64, scale=INK)
INK_IMAGE = ImageInput(kind="image", channels=1, height=8, width=8, scale=INK)
MNIST = ImageInput(kind="image", channels=1, height=28, width=28)
EMOJI = ImageInput(kind="image", channels=3, height=32, width=32)
EFFICIENTNET = PretrainedBackbone(name="efficientnet_lite0", side=64)
MINILM = PretrainedBackbone(name="minilm")
LETTER = VectorInput(kind="vector", size=16)
DIGIT_NET, MNIST_NET, LETTER_NET = Layers((256,), 0.1, 10), Layers((400, 400), 0.1, 10), Layers((256, 256), 0.03, 10)
EMOJI_NET = Layers((256,), 0.01, 20)

PLANS = {
    plan.name: plan
    for plan in (
        Plan("digits-images", "digits", INK_IMAGE, DIGIT_NET, seeds=SPLITS),
        Plan("digits-vectors", "digits", INK_VECTOR, DIGIT_NET, seeds=SPLITS),
        Plan("mnist10k", "mnist10k", MNIST, MNIST_NET, seeds=5),
        Plan("letter", "letter", LETTER, LETTER_NET, first=6, seeds=5),
        Plan("clinc150", "clinc150", TextInput(kind="text"), Layers((256,), 0.01, 10), 15, 15, backbone=MINILM),
        Plan("emoji32-classes", "emoji32", EMOJI, Layers((256,), 0.03, 20), 14, 10, backbone=EFFICIENTNET),
        Plan("emoji32-pixels", "emoji32", EMOJI, EMOJI_NET, 14, 10),
        Plan("emoji32-styles", "emoji32", EMOJI, EMOJI_NET, kind="domains", backbone=EFFICIENTNET),
        Plan("emoji32-sources", "emoji32", EMOJI, EMOJI_NET, kind="domains", backbone=EFFICIENTNET, sourced=True),
        Plan("mnist10k-blurry", "mnist10k", MNIST, MNIST_NET, kind="blurry"),
    )
}


def load(plan: Plan, folder: Path | None, seed: int | None) -> tuple[Rows, Rows]:
    """-> training rows, shuffled by the seed (None: as they lie), and test rows.

    A file holds X_train, y_train, X_test, y_test, and domain_train, domain_test where rows come from several.

    Raises FileNotFoundError where the file is missing.
    """
    train, test = _digits((seed or 0) % SPLITS) if plan.data == "digits" else _file(plan.data, folder)
    return shuffled(train, seed).shaped(plan.input.shape), test.shaped(plan.input.shape)


def shuffled(rows: Rows, seed: int | None) -> Rows:
    """By the seed; None: as they lie."""
    return rows if seed is None else rows.take(np.random.default_rng(seed).permutation(len(rows)))


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
    file = arrays(name, folder)
    return _part(file, "train"), _part(file, "test")


def _part(file: dict[str, NDArray[Any]], part: str) -> Rows:
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
