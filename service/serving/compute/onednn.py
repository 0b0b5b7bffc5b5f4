"""Convolutions and dense layers in the memory layout that oneDNN prefers.

Convolutions are several times as fast where maps are small and rows are few, dense layers twice as fast for several
rows.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from service.learning.network.convolutions import Convolutions, Filters, Stage, groups_of, sides
from service.serving.compute.alignment import aligned

ROWS = 8
"""Rows of the pass for which weights are packed; other numbers of rows do about as well."""
Geometry = tuple[Sequence[int], Sequence[int], Sequence[int], int]
"""Padding, stride, dilation and groups of a convolution."""
SIZES = (4, 8, 16, 24, 32, 48, 64)
"""Numbers of rows that a packed matrix meets: fewer are padded with zeros, more are split. oneDNN compiles a program
for each number of rows, in half a millisecond, and keeps a thousand programs of half a megabyte."""
SMALLEST = 64
"""Fewest inputs and outputs of a matrix that is worth packing: a call of oneDNN takes some microseconds."""
SAME: Geometry = ((1, 1), (1, 1), (1, 1), 1)
"""The geometry of 3x3 filters that keep the size of a map."""
ABSENT = (AttributeError, NotImplementedError, RuntimeError, TypeError)
"""Errors of a torch without oneDNN, and of a convolution that oneDNN does not support."""


class Packed(nn.Module):
    """A convolution whose filters are packed. torch would reorder them at each pass, and would not use oneDNN for one
    row of a small map.

    size: of a usual input, [n, in, h, w]; others are accepted, too. Raises one of `ABSENT`.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, geometry: Geometry, size: Sequence[int]) -> None:
        super().__init__()
        self.bias, self.geometry = bias, geometry
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(weight.detach(), *geometry, size)
        self.bytes = weight.numel() * weight.element_size()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.ops.mkldnn._convolution_pointwise(x, self.weight, self.bias, *self.geometry, "none", [], "")
        return y


class PackedLinear(nn.Module):
    """A dense layer for several rows at a time, such as the tokens of a text: it keeps only the packed weight."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), ROWS), layer.bias
        self.bytes = layer.weight.numel() * layer.weight.element_size()

    def forward(self, x: Tensor) -> Tensor:
        y = _dense(x.flatten(0, -2), self.weight, self.bias, "none")
        return y.view(*x.shape[:-1], y.shape[1])


class PackedStage:
    """A stage of a single block: convolution, GroupNorm, ReLU, max-pool."""

    def __init__(self, stage: Stage, side: Sequence[int]) -> None:
        block = cast(Filters, next(iter(stage)))
        self.convolution = Packed(block.weight, block.bias, SAME, (ROWS, block.weight.shape[1], *side))
        self.groups = groups_of(block.key, len(block.weight))
        self.scale, self.shift, self.pools = block.norm_weight, block.norm_bias, stage.pools

    def __call__(self, x: Tensor) -> Tensor:
        x = F.group_norm(self.convolution(x), self.groups, self.scale, self.shift).relu_()
        return F.max_pool2d(x, 2) if self.pools else x


class PackedMatrix:
    """A dense layer, with a ReLU if `activated`: [n, in] -> [n, out]. One row uses the plain matrix, which is faster;
    several rows use the packed one, if `pack` made one."""

    def __init__(self, weight: Tensor, bias: Tensor | None, activated: bool = False) -> None:
        self.weight, self.bias, self.activated = aligned(weight), bias, activated
        self._packed: Tensor | None = None

    def pack(self) -> None:
        """Packs the matrix if it is large enough. Called once it is known that this matrix serves."""
        if self._packed is None and min(self.weight.shape) >= SMALLEST and available():
            self._packed = torch.ops.mkldnn._reorder_linear_weight(self.weight, ROWS)

    @property
    def packed_bytes(self) -> int:
        return 0 if self._packed is None else self.weight.numel() * self.weight.element_size()

    def __call__(self, x: Tensor) -> Tensor:
        if self._packed is not None and len(x) > 1:
            return _dense(x, self._packed, self.bias, "relu" if self.activated else "none")
        y = F.linear(x, self.weight, self.bias)
        return y.relu_() if self.activated else y


def _dense(x: Tensor, packed: Tensor, bias: Tensor | None, after: str) -> Tensor:
    """[n, in] -> [n, out]. `after`: the activation, none or relu."""
    rows = len(x)
    if rows > SIZES[-1]:
        return torch.cat([_dense(part, packed, bias, after) for part in torch.split(x, SIZES[-1])])
    if (size := SIZES[bisect_left(SIZES, rows)]) > rows:
        x = F.pad(x, (0, 0, 0, size - rows))
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, after, [], "")
    return y[:rows]


def packed_stages(backbone: Convolutions, shape: Sequence[int]) -> list[PackedStage] | None:
    """The packed stages of a cnn on images of that shape; None if one of them has grown or oneDNN is missing."""
    if not _packs_filters() or any(len(list(stage)) != 1 or stage.insertions for stage in backbone):
        return None
    map_sides = sides(tuple(shape), len(list(backbone)))
    return [PackedStage(stage, side) for stage, side in zip(backbone, map_sides, strict=False)]


@cache
def available() -> bool:
    """Whether oneDNN packs matrices. Filters are tried apart: few versions have any, and trying loads their code."""
    rows, matrix = torch.ones(2, 3), torch.ones(4, 3)
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(matrix, ROWS)
        return torch.allclose(_dense(rows, packed, None, "none"), rows @ matrix.T)
    except ABSENT:
        return False


@cache
def _packs_filters() -> bool:
    weight, x = torch.ones(1, 1, 3, 3), torch.ones(1, 1, 4, 4)
    try:
        return torch.allclose(Packed(weight, None, SAME, x.shape)(x), F.conv2d(x, weight, padding=1))
    except ABSENT:
        return False
