"""Linear layers that grow by blocks.

Growing one matrix changes the bits of the *old* columns (other shapes take other paths through BLAS), so a grown layer
is a list of blocks: old tensors are multiplied alone, new ones beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Span = tuple[int, int]


class Block(nn.Module):
    """Outputs `rows` computed from inputs `columns`. Without a bias it adds to the block that owns those rows."""

    def __init__(self, rows: Span, columns: Span, weight: Tensor, bias: Tensor | None, part: str, key: str) -> None:
        super().__init__()
        self.rows, self.columns, self.part, self.key = rows, columns, part, key
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias) if bias is not None else None

    def tensors(self) -> dict[str, Tensor]:
        """This block's tensors under the names that its shard gives them."""
        found = {f"{self.key}weight": self.weight.detach()}
        if self.bias is not None:
            found[f"{self.key}bias"] = self.bias.detach()
        return found


class GrownLinear(nn.Module):
    """y = W x + b as a list of blocks. x [n, in] -> y [n, out]."""

    def __init__(self, blocks: list[Block]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def __iter__(self) -> Iterator[Block]:
        return (cast(Block, b) for b in self.blocks)

    @property
    def in_features(self) -> int:
        return max((b.columns[1] for b in self), default=0)

    @property
    def out_features(self) -> int:
        return max((b.rows[1] for b in self), default=0)

    def forward(self, x: Tensor) -> Tensor:
        pieces: dict[Span, Tensor] = {}
        for block in self:
            start, stop = block.columns
            seen = x if (start, stop) == (0, x.shape[1]) else x[:, start:stop].contiguous()
            y = F.linear(seen, block.weight, block.bias)
            pieces[block.rows] = pieces[block.rows] + y if block.rows in pieces else y
        if not pieces:
            return x.new_zeros(len(x), 0)
        return next(iter(pieces.values())) if len(pieces) == 1 else torch.cat(list(pieces.values()), 1)
