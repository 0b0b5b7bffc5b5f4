"""Convolutions and dense layers as oneDNN computes them best: convolutions several times as fast where maps are small
and rows are few, dense layers twice as fast where rows are several."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from service.learning.network.convolutions import Convolutions, Filters, Stage, groups_of, sides

ROWS = 8
"""Of a pass for which filters are brought in order; other numbers of rows do about as well with it."""
Told = tuple[Sequence[int], Sequence[int], Sequence[int], int]
"""Padding, stride, dilation and groups of a convolution."""
SIZES = (4, 8, 16, 24, 32, 48, 64)
"""Rows that a packed matrix is given. oneDNN writes a program for each number of rows that a matrix meets, in half a
millisecond, and keeps a thousand of half a megabyte: zeros fill rows up to one of these, and more are parted."""
SMALLEST = 64
"""Inputs and outputs of a matrix that is worth packing: oneDNN takes some microseconds a call."""
SAME: Told = ((1, 1), (1, 1), (1, 1), 1)
"""Of filters 3x3 that leave a map as large as it is."""
ABSENT = (AttributeError, NotImplementedError, RuntimeError, TypeError)
"""What is raised where torch was built without oneDNN, or by a convolution that it does not know."""


class Packed(nn.Module):
    """A convolution whose filters lie as oneDNN likes them best. torch would bring them in that order at each pass, and
    would leave oneDNN aside for one row of a small map.

    size: of a usual input, [n, in, h, w]; it may take others. Raises one of `ABSENT`.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, told: Told, size: Sequence[int]) -> None:
        super().__init__()
        self.bias, self.told = bias, told
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(weight.detach(), *told, size)
        self.bytes = weight.numel() * weight.element_size()

    def forward(self, x: Tensor) -> Tensor:
        done: Tensor = torch.ops.mkldnn._convolution_pointwise(x, self.weight, self.bias, *self.told, "none", [], "")
        return done


class PackedLinear(nn.Module):
    """A dense layer that always takes several rows, such as the tokens of a text: only its packed weight is kept."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), ROWS), layer.bias
        self.bytes = layer.weight.numel() * layer.weight.element_size()

    def forward(self, x: Tensor) -> Tensor:
        done = _dense(x.flatten(0, -2), self.weight, self.bias, "none")
        return done.view(*x.shape[:-1], done.shape[1])


class PackedStage:
    """A stage of one block: convolution, GroupNorm, ReLU, max-pool."""

    def __init__(self, stage: Stage, side: Sequence[int]) -> None:
        block = cast(Filters, next(iter(stage)))
        self.convolution = Packed(block.weight, block.bias, SAME, (ROWS, block.weight.shape[1], *side))
        self.groups = groups_of(block.key, len(block.weight))
        self.scale, self.shift, self.pools = block.norm_weight, block.norm_bias, stage.pools

    def __call__(self, x: Tensor) -> Tensor:
        x = F.group_norm(self.convolution(x), self.groups, self.scale, self.shift).relu_()
        return F.max_pool2d(x, 2) if self.pools else x


class PackedMatrix:
    """A dense layer, and the ReLU behind it where it is `activated`: [n, in] -> [n, out]. One row passes by the matrix
    [out, in] as it is, which takes less; several by the one that is packed, where `pack` was called and found it worth
    it."""

    def __init__(self, weight: Tensor, bias: Tensor | None, activated: bool = False) -> None:
        self.weight, self.bias, self.activated = weight, bias, activated
        self._packed: Tensor | None = None

    def pack(self) -> None:
        """Once it is known that this matrix serves."""
        if self._packed is None and min(self.weight.shape) >= SMALLEST and here():
            self._packed = torch.ops.mkldnn._reorder_linear_weight(self.weight, ROWS)

    @property
    def packed_bytes(self) -> int:
        """Memory of the packed one."""
        return 0 if self._packed is None else self.weight.numel() * self.weight.element_size()

    def __call__(self, x: Tensor) -> Tensor:
        if self._packed is not None and len(x) > 1:
            return _dense(x, self._packed, self.bias, "relu" if self.activated else "none")
        found = F.linear(x, self.weight, self.bias)
        return found.relu_() if self.activated else found


def _dense(x: Tensor, packed: Tensor, bias: Tensor | None, after: str) -> Tensor:
    """[n, in] -> [n, out]; `after` is done to what the matrix gives."""
    rows = len(x)
    if rows > SIZES[-1]:
        return torch.cat([_dense(part, packed, bias, after) for part in torch.split(x, SIZES[-1])])
    if (size := SIZES[bisect_left(SIZES, rows)]) > rows:
        x = F.pad(x, (0, 0, 0, size - rows))
    done: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, after, [], "")
    return done[:rows]


def packed_stages(backbone: Convolutions, shape: Sequence[int]) -> list[PackedStage] | None:
    """The stages of a cnn on images of that shape; null where one of them has grown, or oneDNN is not here."""
    if not _filters_here() or any(len(list(stage)) != 1 or stage.insertions for stage in backbone):
        return None
    found = sides(tuple(shape), len(list(backbone)))
    return [PackedStage(stage, side) for stage, side in zip(backbone, found, strict=False)]


@cache
def here() -> bool:
    """Is there oneDNN? Filters are not tried: what computes them would come into memory, and few versions have any."""
    rows, matrix = torch.ones(2, 3), torch.ones(4, 3)
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(matrix, ROWS)
        return torch.allclose(_dense(rows, packed, None, "none"), rows @ matrix.T)
    except ABSENT:
        return False


@cache
def _filters_here() -> bool:
    """The same, of filters."""
    weight, x = torch.ones(1, 1, 3, 3), torch.ones(1, 1, 4, 4)
    try:
        return torch.allclose(Packed(weight, None, SAME, x.shape)(x), F.conv2d(x, weight, padding=1))
    except ABSENT:
        return False
