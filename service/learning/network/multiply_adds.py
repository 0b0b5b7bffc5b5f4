"""The work of one row on its way through a module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from service.learning.backbones.extractor import Extractor
from service.learning.network.blocks import Block, Inserted
from service.learning.network.low_rank import LowRank


@torch.no_grad()
def forward_cost(body: nn.Module, row: Tensor) -> int:
    """Counts multiply-adds of one row [1, ...] from the shapes of the layers."""
    cost = sum(m.multiply_adds for m in body.modules() if isinstance(m, Block | Inserted | LowRank | Extractor))
    if any(isinstance(m, Extractor) for m in body.modules()):
        return cost

    def count(layer: nn.Module, _: object, y: Tensor) -> None:
        nonlocal cost
        assert isinstance(layer, nn.Conv2d)
        cost += layer.weight.numel() * y[0, 0].numel()

    convolutions = [m for m in body.modules() if isinstance(m, nn.Conv2d)]
    hooks = [m.register_forward_hook(count) for m in convolutions]
    if hooks:
        body(row)
    for hook in hooks:
        hook.remove()
    return cost
