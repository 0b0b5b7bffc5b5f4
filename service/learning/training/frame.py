"""The frame centres features and gives them one spread, so that a learning rate means the same everywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from service.learning.data.rows import Array, Floats
from service.learning.ledger.sums import Sums
from service.learning.network.blocks import Block, GrownLinear
from service.learning.network.low_rank import LowRank

NORM = 64.0
"""Mean square of a row's norm for which a learning rate is meant."""

Owner = Block | LowRank
"""A module that multiplies the features with weights."""


@dataclass(frozen=True, eq=False)
class Frame:
    """h -> (h - mean) / spread, from the exact sums of a feature space. mean, spread [M] float32.

    square: mean square of a row's norm in the frame.
    """

    mean: Tensor
    spread: Tensor
    grid: float
    square: float

    @property
    def rate(self) -> float:
        """The factor of a learning rate that keeps its steps stable on wide rows."""
        return math.sqrt(min(NORM / self.square, 1.0))

    @classmethod
    def of(cls, sums: Sums, shift: int, common: bool = False) -> Frame:
        """Makes a frame from integer sums on the grid 2^-shift, one row at least. `common`: all share one spread.

        Otherwise each is brought to one spread; nearly constant ones count as a quarter of the median, so that a
        feature which wakes up later does not blow up; and wide rows are shrunk to a mean square norm of 64. Where a
        hidden layer sees them they are not: shrunk rows would leave its weights nearly where they were drawn.
        """
        rows, grid = float(sums.rows), 2.0**-shift
        mean = np.asarray(sums.Q[:-1].sum(1) / rows, np.float64)
        spread = np.sqrt(np.maximum(np.diag(sums.G)[:-1] / rows - mean**2, 0))
        varies = spread[spread > 0]
        if not varies.size:
            spread = np.full_like(spread, 1 / grid)
        elif common:
            spread = np.full_like(spread, np.sqrt(np.mean(spread**2)))
        else:
            spread = np.maximum(spread, np.median(varies) / 4)
        square = float(len(mean)) if common else min(len(mean), NORM)
        return cls(_single(mean * grid), _single(spread * (len(mean) / square) ** 0.5 * grid), grid, square)

    @classmethod
    def none(cls, width: int, shift: int) -> Frame:
        return cls(torch.zeros(width), torch.ones(width), 2.0**-shift, min(width, NORM))

    def features(self, rounded: Array) -> Tensor:
        """Places rounded features, int16 [n, M], in the frame. -> [n, M] float32"""
        return self.place(torch.from_numpy(rounded.astype(np.float32)) * self.grid)

    def place(self, h: Tensor) -> Tensor:
        """Places features in the frame. [n, M]"""
        return (h - self.mean.to(h.device)) / self.spread.to(h.device)

    def weights(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Translates a layer's weight [out, M] and bias [out], so that it gives in the frame what it gave outside."""
        return weight * self.spread, bias + weight @ self.mean


class Framed:
    """A layer that trains in a frame. A block sees all features or some; of one without a bias the mean's share goes
    to the bias of the same rows. `low_rank`: branches of the network, some of which may stand beside the layer."""

    def __init__(self, frame: Frame, layer: GrownLinear, low_rank: nn.ModuleList) -> None:
        self.frame, self.layer, self.low_rank = frame, layer, low_rank
        self._outside = self._copied()
        for owner in self._owners():
            weight, (mean, spread) = _tensors(owner)[0], self._seen(owner)
            _tensors(self._home(owner))[-1].data.add_(weight.detach() @ mean)
            weight.data.mul_(spread)
        self._framed = self._copied()

    def _owners(self) -> list[Owner]:
        """The blocks of the layer and the branches beside it."""
        branches = [cast(LowRank, branch) for branch in self.low_rank]
        return [*self.layer, *(branch for branch in branches if self.layer in branch.layers)]

    def _copied(self) -> dict[tuple[Owner, int], Tensor]:
        return {(owner, k): p.detach().clone() for owner in self._owners() for k, p in enumerate(_tensors(owner))}

    def _home(self, owner: Owner) -> Owner:
        """The owner of the bias that takes the mean's share: itself, or the block to whose rows it adds."""
        if isinstance(owner, LowRank) or owner.bias is not None:
            return owner
        return next(b for b in self.layer if b.rows == owner.rows and b.bias is not None)

    def _seen(self, owner: Owner) -> tuple[Tensor, Tensor]:
        """Mean and spread of the features that it sees."""
        start, stop = (0, owner.down.shape[1]) if isinstance(owner, LowRank) else owner.columns
        return self.frame.mean[start:stop], self.frame.spread[start:stop]

    @torch.no_grad()
    def draw(self, generator: torch.Generator, gain: float) -> None:
        """Draws weights ~ N(0, gain / mean square of a row's norm in the frame), biases 0: one start for any input."""
        deviation = (gain / self.frame.square) ** 0.5
        for block in self.layer:
            block.weight.copy_(torch.randn(block.weight.shape, generator=generator) * deviation)
            if block.bias is not None:
                block.bias.zero_()

    @torch.no_grad()
    def leave(self) -> None:
        """Translates the layer back. Only changes are translated, so a weight that did not move keeps its bits."""
        now = self._copied()
        shifts = {at: value - self._framed.get(at, torch.zeros_like(value)) for at, value in now.items()}
        for owner in self._owners():
            home, (mean, spread) = (self._home(owner), 1), self._seen(owner)
            shifts[owner, 0] = shifts[owner, 0] / spread
            shifts[home] = shifts[home] - shifts[owner, 0] @ mean
        for (owner, k), change in shifts.items():
            outside = self._outside.get((owner, k), torch.zeros_like(change))
            _tensors(owner)[k].copy_(_add(outside, change))


def _single(values: Floats) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def _add(value: Tensor, change: Tensor) -> Tensor:
    """Adds; where the change is 0 the value keeps its bits, the sign of a zero too."""
    return torch.where(change == 0, value, value + change)


def _tensors(owner: Owner) -> list[Tensor]:
    """The weights that multiply features, then the bias where there is one."""
    if isinstance(owner, LowRank):
        return [owner.down, owner.offset]
    return [owner.weight] if owner.bias is None else [owner.weight, owner.bias]
