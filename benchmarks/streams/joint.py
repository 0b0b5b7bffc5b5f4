"""Yardsticks outside the service: joint retraining in bare torch, and a ridge head in bare numpy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.streams.streams import Rows, Stream
from service.contract.inputs import ImageInput, RangeScale
from service.learning.data.rows import Array

BATCH, MOMENTUM = 64, 0.9

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Joint:
    """A network that saw all rows at once. `bytes`: what must be kept to train it again, network and rows."""

    names: NDArray[np.str_]
    probabilities: Floats
    seconds: float
    bytes: int


def joint(stream: Stream, train: Rows, test: Rows, seed: int) -> Joint:
    """A network of the stream's layers, trained once on these rows by SGD with momentum in batches of 64.

    -> its classes, the probabilities [m, C] of the test rows, core-seconds.
    """
    names, codes = np.unique(train.labels, return_inverse=True)
    x, u = (torch.from_numpy(scaled(stream, rows.inputs, train.inputs)) for rows in (train, test))
    y = torch.from_numpy(codes.reshape(-1))
    network = network_of((x.shape[1], *stream.hidden, len(names)), seed)
    began = time.process_time()
    _fit(network, x, y, stream.lr, stream.epochs, seed)
    seconds = time.process_time() - began
    with torch.no_grad():
        probabilities = network(u).softmax(1).double().numpy()
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    return Joint(names, probabilities, seconds, weights + train.inputs.nbytes)


def _fit(network: torch.nn.Sequential, x: torch.Tensor, y: torch.Tensor, lr: float, epochs: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(network.parameters(), lr=lr, momentum=MOMENTUM)
    for _ in range(epochs):
        for i in torch.split(torch.randperm(len(x), generator=generator), BATCH):
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(torch.nn.functional.cross_entropy(network(x[i]), y[i]))
            optimizer.step()


def network_of(widths: Sequence[int], seed: int) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    layers: list[torch.nn.Module] = []
    for a, b in pairwise(widths):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def scaled(stream: Stream, inputs: Array, by: Array) -> NDArray[np.float32]:
    """Images of bytes to [0, 1]; anything else standardised by the training rows, a constant column left at 0."""
    flat, by = (np.asarray(a, np.float64).reshape(len(a), -1) for a in (inputs, by))
    if isinstance(stream.input, ImageInput) and not isinstance(stream.input.scale, RangeScale):
        return np.asarray(flat / 255, np.float32)
    spread = by.std(0)
    constant = spread < 1e-3 * np.abs(by).max()
    return np.asarray((flat - by.mean(0)) / np.where(constant, 1.0, spread), np.float32)


@dataclass(frozen=True, eq=False)
class RidgeHead:
    """names [C] · weight [M + 1, C], the bias last"""

    names: NDArray[np.str_]
    weight: Floats

    def answers(self, features: Floats) -> NDArray[np.str_]:
        """[n, M] -> [n]"""
        return np.asarray(self.names[(features @ self.weight[:-1] + self.weight[-1]).argmax(1)])


def ridge_head(features: Floats, labels: NDArray[np.str_], alpha: float, prior: float) -> RidgeHead:
    """(G_b + alpha D) W = [pi_k mu_k], written down once more from rows, in floats. features [n, M]

    G_b = S_w + sum_k pi_k mu_k mu_k' over h = [features; 1], pi_k ~ n_k^prior, D the variance of each feature and 0 for
    the bias.
    """
    names = np.unique(labels)
    h = np.hstack([features, np.ones((len(features), 1))])
    by_class = [h[labels == name] for name in names]
    counts = np.array([len(rows) for rows in by_class], float)
    means = np.stack([rows.mean(0) for rows in by_class])
    within = sum((rows - mean).T @ (rows - mean) for rows, mean in zip(by_class, means, strict=True)) / (
        len(h) - len(names)
    )
    pi = counts**prior / (counts**prior).sum()
    variance = h.var(0)
    variance[:-1] = np.maximum(variance[:-1], 1e-6 * variance[:-1].mean())
    equations = within + (means.T * pi) @ means + alpha * np.diag(variance)
    return RidgeHead(names, np.linalg.solve(equations, means.T * pi))
