"""Layers that grow by blocks: the dense ones, and what they share with convolutions.

Growing one matrix changes the bits of the *old* columns (other shapes take other paths through BLAS), so a grown layer
is a list of blocks: old tensors are multiplied alone, new ones beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Span = tuple[int, int]


class Block(nn.Module):
    """Outputs `rows` computed from inputs `columns`. Without a bias it adds to the block that owns those rows."""

    uses = 1
    """How often the weights are applied to one row."""

    def __init__(self, rows: Span, columns: Span, weight: Tensor, bias: Tensor | None, part: str, key: str) -> None:
        super().__init__()
        self.rows, self.columns, self.part, self.key = rows, columns, part, key
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias) if bias is not None else None

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one row."""
        return self.weight.numel() * self.uses

    def forward(self, x: Tensor) -> Tensor:
        """[n, columns] -> [n, rows]"""
        return F.linear(x, self.weight, self.bias)

    def tensors(self) -> dict[str, Tensor]:
        named = {f"{self.key}weight": self.weight.detach()}
        if self.bias is not None:
            named[f"{self.key}bias"] = self.bias.detach()
        return named


class Bottleneck(NamedTuple):
    """Weights of a way through r units: `up` [out, r] times (`down` [r, in] times the input + `bias` [r]), or filters
    of those sizes."""

    down: Tensor
    bias: Tensor
    up: Tensor

    def tensors(self, key: str) -> dict[str, Tensor]:
        named = {"down.weight": self.down, "down.bias": self.bias, "up.weight": self.up}
        return {f"{key}{name}": tensor.detach() for name, tensor in named.items()}


class Inserted(nn.Module):
    """A layer inserted behind another one: h + V relu(U h + u), h = the first `columns` of that one's outputs.

    V = 0 changes nothing. With `rows` = `columns` it replaces h; otherwise its outputs are added beside h.
    down: U [r, columns] · bias: u [r] · up: V [columns, r]; 1x1 filters of those sizes behind a convolution.
    """

    def __init__(self, rows: Span, columns: Span, weights: Bottleneck, part: str, key: str) -> None:
        super().__init__()
        self.rows, self.columns, self.part, self.key = rows, columns, part, key
        self.down, self.bias, self.up = (nn.Parameter(tensor) for tensor in weights)
        self.uses = 1

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one row."""
        return (self.down.numel() + self.up.numel()) * self.uses

    def forward(self, h: Tensor) -> Tensor:
        if self.down.ndim == 2:
            return h + F.linear(torch.relu(F.linear(h, self.down, self.bias)), self.up)
        return h + F.conv2d(torch.relu(F.conv2d(h, self.down, self.bias)), self.up)

    def tensors(self) -> dict[str, Tensor]:
        return Bottleneck(self.down, self.bias, self.up).tensors(self.key)


class GrownLinear(nn.Module):
    """y = W x + b as a list of blocks. x [n, in] -> y [n, out]; a hidden layer gives `activated`."""

    def __init__(self, blocks: Sequence[Block], inserted: Sequence[Inserted] = ()) -> None:
        super().__init__()
        self.blocks, self.inserted = nn.ModuleList(blocks), nn.ModuleList(inserted)

    def __iter__(self) -> Iterator[Block]:
        return (cast(Block, b) for b in self.blocks)

    @property
    def in_features(self) -> int:
        return max((b.columns[1] for b in self), default=0)

    @property
    def out_features(self) -> int:
        """Outputs of the layer; of a hidden one its units and the outputs of inserted layers beside them."""
        return max((b.rows[1] for b in [*self, *self.insertions]), default=0)

    @property
    def uses(self) -> int:
        """How often the weights are applied to one row."""
        return max((b.uses for b in self), default=1)

    @property
    def insertions(self) -> list[Inserted]:
        return [cast(Inserted, layer) for layer in self.inserted]

    def forward(self, x: Tensor) -> Tensor:
        pieces: dict[Span, Tensor] = {}
        for block in self:
            start, stop = block.columns
            y = block(x if (start, stop) == (0, x.shape[1]) else x[:, start:stop].contiguous())
            pieces[block.rows] = pieces[block.rows] + y if block.rows in pieces else y
        if not pieces:
            return x.new_zeros(len(x), 0)
        return next(iter(pieces.values())) if len(pieces) == 1 else torch.cat(list(pieces.values()), 1)

    def activated(self, x: Tensor) -> Tensor:
        """Outputs of a hidden layer: its units behind a ReLU, then the inserted layers. [n, in] -> [n, out]"""
        return self.through(torch.relu(self(x)))

    def through(self, units: Tensor) -> Tensor:
        """Passes units [n, own, ...] through the inserted layers. -> [n, out, ...]"""
        out, at = units[:, :0], 0
        for layer in self.insertions:
            more = layer.columns[1] - out.shape[1]
            out = torch.cat([out, units[:, at : at + more]], 1)
            at += more
            out = layer(out) if layer.rows == layer.columns else torch.cat([out, layer(out)], 1)
        return torch.cat([out, units[:, at:]], 1) if at else units


def new_block(rows: Span, columns: Span, part: str, key: str, generator: torch.Generator, gain: float = 2.0) -> Block:
    """Draws a block with weights ~ N(0, gain / inputs) and a zero bias."""
    n_in = max(columns[1] - columns[0], 1)
    weight = torch.randn(rows[1] - rows[0], columns[1] - columns[0], generator=generator) * (gain / n_in) ** 0.5
    return Block(rows, columns, weight, torch.zeros(rows[1] - rows[0]), part, key)
