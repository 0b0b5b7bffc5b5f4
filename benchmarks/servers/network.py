"""The network that every server answers with, in bare torch, and one row for it. Runs in every peer's environment.

BENCH_NETWORK names it: `mlp`, 784-512-256-10, or `cnn`, four stages of convolution, GroupNorm, ReLU and max-pool on
3x32x32: what the backbones of these names compute here.
"""

from __future__ import annotations

import os
import random
from typing import Any

import torch
from torch import nn

SHAPES = {"mlp": (784,), "cnn": (3, 32, 32)}
HIDDEN, CHANNELS, CLASSES, GROUPS = (512, 256), (64, 128, 256, 512), 10, 8
NAME = os.environ.get("BENCH_NETWORK", "mlp")
PORT = int(os.environ.get("BENCH_PORT", "8000"))
MOST_ROWS = 64
"""Rows that a server may batch, where it takes a number."""


def build(name: str = NAME, seed: int = 0) -> nn.Sequential:
    """[n, *shape] float32 -> [n, 10]; the same weights for everybody."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    layers: list[nn.Module] = []
    if name == "mlp":
        width = SHAPES[name][0]
        for wider in HIDDEN:
            layers += [nn.Linear(width, wider), nn.ReLU()]
            width = wider
    else:
        width, side = SHAPES[name][0], SHAPES[name][1]
        for wider in CHANNELS:
            layers += [nn.Conv2d(width, wider, 3, padding=1), nn.GroupNorm(GROUPS, wider), nn.ReLU(), nn.MaxPool2d(2)]
            width, side = wider, side // 2
        layers.append(nn.Flatten())
        width *= side * side
    return nn.Sequential(*layers, nn.Linear(width, CLASSES)).eval()


def row(name: str = NAME) -> list[Any]:
    """One row as nested lists of numbers with six digits."""
    draw = random.Random(7)

    def fill(shape: tuple[int, ...]) -> Any:
        return [fill(shape[1:]) for _ in range(shape[0])] if shape else round(draw.random(), 6)

    found: list[Any] = fill(SHAPES[name])
    return found
