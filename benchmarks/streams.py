"""Streams of classes that arrive in steps: which data, in which form, in which order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.cli.demonstration.data import Rows


@dataclass(frozen=True)
class Stream:
    """Which data, in which form, how many classes first and then, and the network of joint retraining."""

    data: str
    input: dict[str, Any]
    first: int
    then: int
    hidden: tuple[int, ...]
    epochs: int


STREAMS = {
    "digits-vectors": Stream("digits", {"kind": "vector", "size": 64, "scale": {"range": [0, 16]}}, 2, 2, (256,), 20),
    "digits-images": Stream(
        "digits",
        {"kind": "image", "channels": 1, "height": 8, "width": 8, "scale": {"range": [0, 16]}},
        2,
        2,
        (256,),
        20,
    ),
    "mnist10k": Stream("mnist10k", {"kind": "image", "channels": 1, "height": 28, "width": 28}, 2, 2, (400, 400), 10),
    "letter": Stream("letter", {"kind": "vector", "size": 16}, 6, 2, (256, 256), 10),
}


def load(data: str, folder: Path | None, seed: int) -> tuple[Rows, Rows]:
    """-> training and test rows, flat. Of digits a fifth of each class is the test, another one for each seed."""
    if data != "digits":
        if folder is None:
            raise SystemExit(f"{data} needs --data FOLDER with {data}.npz in it")
        with np.load(folder / f"{data}.npz", allow_pickle=False) as file:
            parts = [(file[f"X_{part}"], file[f"y_{part}"]) for part in ("train", "test")]
        train, test = (Rows(x.reshape(len(x), -1).astype(float), tuple(map(str, y))) for x, y in parts)
        return train, test
    from sklearn.datasets import load_digits

    inputs, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(labels))
    place = np.zeros(len(labels), int)
    for label in range(10):
        mine = order[labels[order] == label]
        place[mine] = np.arange(len(mine)) * 5 // len(mine)
    train, test = (Rows(inputs[which], tuple(map(str, labels[which]))) for which in (place > 0, place == 0))
    return train, test


def steps(train: Rows, stream: Stream) -> Iterator[list[str]]:
    """The classes of each step, in the order of their numbers."""
    names = sorted({*train.labels}, key=lambda name: (len(name), name))
    yield names[: stream.first]
    for k in range(stream.first, len(names), stream.then):
        yield names[k : k + stream.then]


def shaped(rows: Rows, stream: Stream) -> NDArray[Any]:
    """As the model takes them: flat, or [channels][height][width]."""
    if stream.input["kind"] == "vector":
        return rows.inputs
    return rows.inputs.reshape(-1, *(stream.input[k] for k in ("channels", "height", "width")))
