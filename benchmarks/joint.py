"""Joint retraining in bare torch: what a network reaches that sees all rows at once."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from streams import Stream

from service.cli.demonstration.data import Rows


def joint(stream: Stream, train: Rows, test: Rows, seed: int) -> tuple[float, float, int]:
    """One network on all rows at once, its learning rate chosen on a tenth of them. -> accuracy, seconds, bytes"""
    names = sorted({*train.labels})
    (x, y), (u, v) = (
        (
            torch.tensor(_standard(rows.inputs, train.inputs)),
            torch.tensor([names.index(label) for label in rows.labels]),
        )
        for rows in (train, test)
    )
    tenth = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed)) < len(x) // 10

    def score(lr: float) -> float:
        return _accuracy(_fit(stream, x[~tenth], y[~tenth], len(names), lr, seed), x[tenth], y[tenth])

    best = max((0.01, 0.03, 0.1), key=score)
    began = time.perf_counter()
    network = _fit(stream, x, y, len(names), best, seed)
    seconds = time.perf_counter() - began
    return _accuracy(network, u, v), seconds, sum(p.numel() * p.element_size() for p in network.parameters())


def _fit(stream: Stream, x: torch.Tensor, y: torch.Tensor, classes: int, lr: float, seed: int) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    widths, layers = (x.shape[1], *stream.hidden), list[torch.nn.Module]()
    for n, m in pairwise(widths):
        layers += [torch.nn.Linear(n, m), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], classes))
    optimizer = torch.optim.SGD(network.parameters(), lr=lr, momentum=0.9)
    for _ in range(stream.epochs):
        for part in torch.split(torch.randperm(len(x)), 64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(x[part]), y[part]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return network


def _accuracy(network: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    with torch.no_grad():
        return float((network(x).argmax(1) == y).float().mean())


def _standard(inputs: NDArray[Any], by: NDArray[Any]) -> NDArray[np.float32]:
    spread = by.std(0)
    spread = np.where(spread < 1e-3 * np.abs(by).max(), 1.0, spread)
    return np.asarray((inputs - by.mean(0)) / spread, np.float32)
