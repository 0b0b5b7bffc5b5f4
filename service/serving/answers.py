"""One question, one answer: predict(version, rows, top) -> Answer, whichever door it came through."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.contract.inputs import InputSpec, RangeScale, TextInput
from service.errors import NotLive
from service.learning.batch import Array
from service.serving.live import Loaded

BLOCKING_SECONDS = 0.002
"""What takes longer is computed beside the event loop."""
PIXELS = RangeScale(range=(0, 255))
"""Of images whose model declares no scale."""


class Share(msgspec.Struct, frozen=True):
    """A class and its probability."""

    class_: str = msgspec.field(name="class")
    score: float


class Prediction(msgspec.Struct, frozen=True):
    """The best class of a row, and the best `top` of them."""

    class_: str = msgspec.field(name="class")
    score: float
    top: list[Share]


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one version says of n rows; notes are left out where there are none."""

    model: str
    version: int
    predictions: list[Prediction]
    notes: list[str] = []


def takes_long(loaded: Loaded, rows: int) -> bool:
    """Whether others would notice if the event loop computed it."""
    return loaded.predictor.seconds_a_row * rows > BLOCKING_SECONDS


def predict(loaded: Loaded, inputs: Array, top: int, source: str | None = None) -> Answer:
    """The best `top` classes of each row, by the head of their source if it has one; equal scores by name.

    Raises NotLive where it knows no class.
    """
    names = loaded.predictor.names
    if not names:
        raise NotLive(f"Version {loaded.number} of {loaded.model} knows no class. POST an update with rows first.")
    shares = loaded.predictor.probabilities(inputs, source)
    best = _best(shares, min(top, len(names)))
    scores = np.take_along_axis(shares, best, 1).tolist()
    return Answer(
        loaded.model,
        loaded.number,
        [
            Prediction(names[row[0]], told[0], [Share(names[k], s) for k, s in zip(row, told, strict=True)])
            for row, told in zip(best.tolist(), scores, strict=True)
        ],
        _outside(loaded.input, inputs),
    )


def _outside(spec: InputSpec, inputs: Array) -> list[str]:
    """A note where values lie outside the range that the model declares, which no row that it learned should do."""
    if isinstance(spec, TextInput) or not len(inputs):
        return []
    scale = spec.scale if spec.scale is not None or spec.kind == "vector" else PIXELS
    if not isinstance(scale, RangeScale):
        return []
    low, high = map(np.float32, scale.range)
    if inputs.min() >= low and inputs.max() <= high:
        return []
    return [f"Some values lie outside the range of this model's inputs, [{low:g}, {high:g}]."]


def _best(shares: NDArray[np.float64], top: int) -> NDArray[np.int64]:
    """Columns of the largest shares, falling; columns are in order of name, and both ways keep it. -> [n, top]"""
    order: NDArray[np.int64]
    order = shares.argmax(1)[:, None] if top == 1 else np.argsort(-shares, axis=1, kind="stable")[:, :top]
    return order
