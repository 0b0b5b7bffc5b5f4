"""Joint retraining of a network in bare torch, and how rows become its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.learners.joint import Joint, Model
from benchmarks.streams.stream import Floats, Layers, Rows, Stream
from service.contract.inputs import ImageInput, RangeScale

BATCH, MOMENTUM, STEP = 64, 0.9, 0.001

Encoder = Callable[[Rows], NDArray[np.float32]]


class Network(Joint):
    """The stream's layers, in batches of 64: SGD with momentum, or Adam where the stream names no rate."""

    weights = 0

    def trained(self, rows: Rows, goals: Any) -> Model:
        encode, number = encoder(self.stream, rows), self.target is not None
        centre, spread = (float(goals.mean()), float(goals.std()) or 1.0) if number else (0.0, 1.0)
        y = torch.from_numpy(((goals - centre) / spread).astype(np.float32)[:, None] if number else goals.reshape(-1))
        x = torch.from_numpy(encode(rows))
        network = network_of(
            (x.shape[1], *self.stream.layers.hidden, 1 if number else int(y.max()) + 1), self.stream.seed
        )
        _fit(network, x, y, self.stream.layers, self.stream.seed)
        self.weights = sum(p.numel() * p.element_size() for p in network.parameters())

        def answered(asked: Rows) -> Floats:
            with torch.no_grad():
                given = network(torch.from_numpy(encode(asked)))
            values = given[:, 0] * spread + centre if number else given.softmax(1)
            return np.asarray(values.double().numpy())

        return answered

    @property
    def bytes(self) -> int:
        return super().bytes + self.weights


def _fit(network: torch.nn.Sequential, x: torch.Tensor, y: torch.Tensor, layers: Layers, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weights = network.parameters()
    optimizer = (
        torch.optim.SGD(weights, lr=layers.lr, momentum=MOMENTUM)
        if layers.lr
        else torch.optim.Adam(weights, lr=STEP, fused=True)
    )
    loss = torch.nn.functional.mse_loss if y.is_floating_point() else torch.nn.functional.cross_entropy
    for _ in range(layers.epochs):
        for i in torch.split(torch.randperm(len(x), generator=generator), BATCH):
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss(network(x[i]), y[i]))
            optimizer.step()


def network_of(widths: Sequence[int], seed: int) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    layers: list[torch.nn.Module] = []
    for a, b in pairwise(widths):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def encoder(stream: Stream, by: Rows) -> Encoder:
    """Rows as columns of floats [n, d], scaled by the rows `by`.

    Images of bytes to [0, 1]; anything else standardised, a constant column left at 0. Of tables a 0/1 column a value
    that `by` has, for a gap the median, and a 0/1 column beside it where `by` has gaps.
    """
    if isinstance(stream.input, ImageInput) and not isinstance(stream.input.scale, RangeScale):
        return lambda rows: np.asarray(np.asarray(rows.inputs, np.float64).reshape(len(rows), -1) / 255, np.float32)
    dense = _flat if by.trees is None else _dense(by.trees, stream.coded)
    known = dense(by)
    spread = known.std(0)
    constant = spread < 1e-3 * np.abs(known).max() if by.trees is None else spread == 0
    mean, spread = known.mean(0), np.where(constant, 1.0, spread)
    return lambda rows: np.asarray((dense(rows) - mean) / spread, np.float32)


def _flat(rows: Rows) -> Floats:
    return np.asarray(rows.inputs, np.float64).reshape(len(rows), -1)


def _dense(by: Floats, coded: Sequence[int]) -> Callable[[Rows], Floats]:
    values = {k: np.unique(by[~np.isnan(by[:, k]), k]) for k in coded}
    numbers = [k for k in range(by.shape[1]) if k not in values]
    gaps = np.isnan(by[:, numbers])
    medians = np.array(
        [np.median(by[~gap, k]) if not gap.all() else 0.0 for k, gap in zip(numbers, gaps.T, strict=True)]
    )
    flagged = gaps.any(0)

    def dense(rows: Rows) -> Floats:
        assert rows.trees is not None
        own = rows.trees[:, numbers]
        missing = np.isnan(own)
        hot = [rows.trees[:, [k]] == known for k, known in values.items()]
        return np.hstack([np.where(missing, medians, own), missing[:, flagged], *hot]).astype(np.float64)

    return dense
