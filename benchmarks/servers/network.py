"""The network that every server answers with, in bare torch, and one row for it. Runs in every peer's environment.

BENCH_NETWORK names it: `m1`, 784-512-256-10, or `m2`, a residual network with batch norms, two blocks of 24, 48 and 96
filters each, on 3x32x32. They are what the backbones mlp and small_resnet/24-48-96x2 compute here.
"""

from __future__ import annotations

import os
import random
import socket
from typing import Any

import torch
from torch import nn

SHAPES = {"m1": (784,), "m2": (3, 32, 32)}
HIDDEN, FILTERS, CLASSES = (512, 256), (24, 48, 96), 10
NAME = os.environ.get("BENCH_NETWORK", "m1")
PORT = int(os.environ.get("BENCH_PORT", "8000"))
MOST_ROWS = 64
"""Rows that a server may batch, where it takes a number."""


class Block(nn.Module):
    """Two convolutions with batch norms, and a shortcut."""

    def __init__(self, channels: int, filters: int, step: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, step, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.downsample = nn.Sequential()
        if step > 1 or channels != filters:
            self.downsample.append(nn.Conv2d(channels, filters, 1, step, bias=False))
            self.downsample.append(nn.BatchNorm2d(filters))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class ResNet(nn.Module):
    """Two blocks a stage, the mean of the last map, and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, FILTERS[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(FILTERS[0])
        channels = FILTERS[0]
        for k, filters in enumerate(FILTERS, start=1):
            first = Block(channels, filters, 1 if k == 1 else 2)
            self.add_module(f"layer{k}", nn.Sequential(first, Block(filters, filters, 1)))
            channels = filters
        self.fc = nn.Linear(channels, CLASSES)
        for layer in self.modules():  # as after training: norms that do nothing would hide a fault
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.normal_(layer.running_mean, std=0.1)  # type: ignore[arg-type]
                nn.init.uniform_(layer.running_var, 0.5, 1.5)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        scores: torch.Tensor = self.fc(x.mean((2, 3)))
        return scores


def build(name: str = NAME, seed: int = 0) -> nn.Module:
    """[n, *shape] float32 -> [n, 10]; the same weights for everybody."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    if name == "m2":
        return ResNet().eval()
    layers: list[nn.Module] = []
    width = SHAPES[name][0]
    for wider in HIDDEN:
        layers += [nn.Linear(width, wider), nn.ReLU()]
        width = wider
    return nn.Sequential(*layers, nn.Linear(width, CLASSES)).eval()


def row(name: str = NAME) -> list[Any]:
    """One row as nested lists of numbers with six digits."""
    draw = random.Random(7)

    def fill(shape: tuple[int, ...]) -> Any:
        return [fill(shape[1:]) for _ in range(shape[0])] if shape else round(draw.random(), 6)

    nested: list[Any] = fill(SHAPES[name])
    return nested


def free_port() -> int:
    """For one more door."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
