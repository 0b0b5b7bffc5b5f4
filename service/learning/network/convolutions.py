"""Convolutional stages that grow by blocks: new filters stand beside the old ones, which keep their bits.

Each block of filters has groups of its own in the GroupNorm: were new filters to join an old group, its mean and spread
would move, and with them what the old filters give (Wu, He: Group normalization, 2018).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from service.learning.network.blocks import Block, GrownLinear, Span

KERNEL = 3
FIELDS = 4
"""The maps of the last stage are averaged over at most 4x4 fields."""
GROUP = 4
"""Added filters that are normalised together."""
POOLED = 4
"""Smallest side that a stage still halves."""


class Filters(Block):
    """Filters 3x3 `rows` over channels `columns`; with a bias they own their rows and normalise them in groups.

    weight [rows, columns, 3, 3] · norm_weight, norm_bias [rows].
    """

    def __init__(self, rows: Span, columns: Span, weight: Tensor, bias: Tensor | None, part: str, key: str) -> None:
        super().__init__(rows, columns, weight, bias, part, key)
        if bias is not None:
            self.set_norm(torch.ones(len(weight)), torch.zeros(len(weight)))

    def set_norm(self, scale: Tensor, shift: Tensor) -> Filters:
        """Gives the norm its scale and shift. [rows], [rows] -> these filters"""
        self.norm_weight, self.norm_bias = nn.Parameter(scale), nn.Parameter(shift)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """[n, columns, h, w] -> [n, rows, h, w]"""
        return F.conv2d(x, self.weight, self.bias, padding=KERNEL // 2)

    def normalised(self, y: Tensor) -> Tensor:
        """Normalises outputs of these filters, [n, rows, h, w], in groups of their own."""
        return F.group_norm(y, groups_of(self.key, len(self.weight)), self.norm_weight, self.norm_bias)

    def tensors(self) -> dict[str, Tensor]:
        named = super().tensors()
        if self.bias is not None:
            norm = norm_key(self.key)
            named |= {f"{norm}weight": self.norm_weight.detach(), f"{norm}bias": self.norm_bias.detach()}
        return named


class Stage(GrownLinear):
    """Convolution, GroupNorm, ReLU, inserted layers, and where the image is large enough a max-pool.

    [n, in, h, w] -> [n, out, h, w] or halved.
    """

    def __init__(self, blocks: Sequence[Filters], side: tuple[int, int]) -> None:
        super().__init__(blocks)
        self.pools = min(side) >= POOLED
        for block in blocks:
            block.uses = side[0] * side[1]

    def activated(self, x: Tensor) -> Tensor:
        h = self.through(torch.relu(self.normalised(self(x))))
        return F.max_pool2d(h, 2) if self.pools else h

    def norm(self) -> tuple[Tensor, Tensor]:
        """Scale and shift of each filter's norm; 0 for outputs of inserted layers. -> [out], [out]"""
        scale, shift = torch.zeros(self.out_features), torch.zeros(self.out_features)
        for block in self:
            if isinstance(block, Filters) and block.bias is not None:
                scale[slice(*block.rows)], shift[slice(*block.rows)] = block.norm_weight, block.norm_bias
        return scale, shift

    def normalised(self, y: Tensor) -> Tensor:
        """Normalises outputs of all filters, in groups that no block shares with another. [n, own, h, w]"""
        owners = [cast(Filters, b) for b in self if b.bias is not None]
        if len(owners) == 1:
            return owners[0].normalised(y)
        pieces = torch.split(y, [len(b.weight) for b in owners], 1)
        return torch.cat(
            [
                b.normalised(piece.clone(memory_format=torch.contiguous_format))
                for b, piece in zip(owners, pieces, strict=True)
            ],
            1,
        )


class Convolutions(nn.Module):
    """Stages, then means over at most 4x4 fields. [n, c, h, w] -> [n, width]; each filter gives `fields` features."""

    def __init__(self, stages: Sequence[Stage], fields: tuple[int, int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(stages)
        self.field = fields

    def __iter__(self) -> Iterator[Stage]:
        return (cast(Stage, stage) for stage in self.layers)

    @property
    def fields(self) -> int:
        """Features that a filter of the last stage gives."""
        return self.field[0] * self.field[1]

    @property
    def width(self) -> int:
        return list(self)[-1].out_features * self.fields

    def forward(self, x: Tensor) -> Tensor:
        for stage in self:
            x = stage.activated(x)
        return self.pooled(x)

    def pooled(self, x: Tensor) -> Tensor:
        """Averages maps of the last stage [n, filters, h, w] to features [n, width], filter by filter."""
        if x.device.type == "cpu":
            return F.adaptive_avg_pool2d(x, self.field).flatten(1)
        # the same means; on a GPU that one adds its gradients up in no fixed order
        spans = (
            [slice(k * size // parts, -(-(k + 1) * size // parts)) for k in range(parts)]
            for size, parts in zip(x.shape[-2:], self.field, strict=True)
        )
        return torch.stack([x[..., rows, columns].mean((2, 3)) for rows, columns in product(*spans)], 2).flatten(1)


def sides(shape: tuple[int, ...], stages: int) -> list[tuple[int, int]]:
    """Height and width of the input of each stage, then of the output of the last."""
    _, height, width = shape
    sizes = [(height, width)]
    for _ in range(stages):
        height, width = (height // 2, width // 2) if min(height, width) >= POOLED else (height, width)
        sizes.append((height, width))
    return sizes


def stage_keys(shape: tuple[int, ...], stages: int) -> list[str]:
    """Keys of each stage's first block in `backbone.0`: its place in a list of convolution, norm, ReLU and pool."""
    at, keys = 0, []
    for side in sides(shape, stages)[:-1]:
        keys.append(f"stages.{at}.")
        at += 4 if min(side) >= POOLED else 3
    return keys


def norm_key(key: str) -> str:
    """The key of the norm that belongs to the filters `key`."""
    if key.startswith("stages."):
        return f"stages.{int(key.split('.')[1]) + 1}."
    return f"{key}norm."


def groups_of(key: str, filters: int) -> int:
    """Groups of the GroupNorm over so many filters: for a stage's first block the largest of 8, 4, 2 and 1 that divides
    them; for added blocks groups of four, which stay as they are when another four is removed."""
    if key.startswith("stages."):
        return next(g for g in (8, 4, 2, 1) if filters % g == 0)
    return filters // GROUP if filters % GROUP == 0 else 1


def fresh_stages(channels: Sequence[int], shape: tuple[int, ...], generator: torch.Generator) -> Convolutions:
    """Draws untrained stages, one block each: weights ~ N(0, 2 / inputs), biases 0."""
    depth, stages = shape[0], []
    keys, sizes = stage_keys(shape, len(channels)), sides(shape, len(channels))
    for filters, key, side in zip(channels, keys, sizes, strict=False):
        weight = torch.randn(filters, depth, KERNEL, KERNEL, generator=generator)
        weight = weight * (2.0 / weight[0].numel()) ** 0.5
        stages.append(Stage([Filters((0, filters), (0, depth), weight, torch.zeros(filters), "backbone.0", key)], side))
        depth = filters
    return convolutions(stages, shape)


def convolutions(stages: Sequence[Stage], shape: tuple[int, ...]) -> Convolutions:
    """Puts stages together for images of that shape."""
    height, width = sides(shape, len(stages))[-1]
    return Convolutions(stages, (min(FIELDS, height), min(FIELDS, width)))
