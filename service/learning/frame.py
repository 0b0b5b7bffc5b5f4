"""Features as training sees them: centred and of one spread, so that a learning rate means the same everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from service.learning.batch import Array
from service.learning.heads import Block, GrownLinear
from service.learning.low_rank import LowRank
from service.learning.sums import Floats, Sums

NORM = 64.0
"""Mean square of a row's norm in the frame, at most: wider features are shrunk, so that steps stay stable."""

Owner = Block | LowRank
"""What multiplies the features with weights."""


@dataclass(frozen=True, eq=False)
class Frame:
    """h -> (h - mean) / spread, from the exact sums of a feature space. mean, spread [M] float32."""

    mean: Tensor
    spread: Tensor
    grid: float

    @classmethod
    def of(cls, sums: Sums, shift: int, common: bool = False) -> Frame:
        """From integer sums on the grid 2^-shift, at least one row. `common`: all features keep their proportions.

        Else each is brought to one spread; nearly constant ones count as a quarter of the median, so that a feature
        which wakes up later does not blow up.
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
        shrink = max(len(mean) / NORM, 1.0) ** 0.5
        return cls(_single(mean * grid), _single(spread * shrink * grid), grid)

    @classmethod
    def none(cls, width: int, shift: int) -> Frame:
        """Features as they are."""
        return cls(torch.zeros(width), torch.ones(width), 2.0**-shift)

    def features(self, rounded: Array) -> Tensor:
        """Rounded features, int16 [n, M], in the frame. -> [n, M] float32"""
        return self.place(torch.from_numpy(rounded.astype(np.float32)) * self.grid)

    def place(self, h: Tensor) -> Tensor:
        """Features in the frame. [n, M]"""
        return (h - self.mean.to(h.device)) / self.spread.to(h.device)

    def weights(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """A layer's weight [out, M] and bias [out] so that in the frame it gives what it gave outside."""
        return weight * self.spread, bias + weight @ self.mean


class Framed:
    """A layer that trains in a frame; each of its blocks sees all features and has a bias. `low_rank`: branches of the
    network, of which some may stand beside the layer, now or later."""

    def __init__(self, frame: Frame, layer: GrownLinear, low_rank: nn.ModuleList) -> None:
        self.frame, self.layer, self.low_rank = frame, layer, low_rank
        self._before: dict[Owner, tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]] = {}
        for owner in self._owners():
            outside = _tensors(owner)
            _put(owner, *frame.weights(*outside))
            self._before[owner] = outside, _tensors(owner)

    def _owners(self) -> list[Owner]:
        """What sees the features."""
        branches = [cast(LowRank, branch) for branch in self.low_rank]
        return [*self.layer, *(branch for branch in branches if self.layer in branch.layers)]

    @torch.no_grad()
    def draw(self, generator: torch.Generator, gain: float) -> None:
        """Weights ~ N(0, gain / mean square of a row's norm in the frame), biases 0: as good a start for any input."""
        deviation = (gain / min(len(self.frame.mean), NORM)) ** 0.5
        for block in self.layer:
            _put(
                block, torch.randn(block.weight.shape, generator=generator) * deviation, torch.zeros(len(block.weight))
            )

    def leave(self) -> None:
        """Back outside. Only what training moved is translated, so a weight that stood still keeps its bits."""
        for owner in self._owners():
            now = _tensors(owner)
            zero = torch.zeros_like(now[0]), torch.zeros_like(now[1])
            (weight, bias), (framed_weight, framed_bias) = self._before.get(owner, (zero, zero))
            moved = (now[0] - framed_weight) / self.frame.spread
            shifted = (now[1] - framed_bias) - moved @ self.frame.mean
            _put(owner, _add(weight, moved), _add(bias, shifted))


def _single(values: Floats) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def _add(value: Tensor, change: Tensor) -> Tensor:
    """The sum; where nothing changed the very bits, the sign of a zero too."""
    return torch.where(change == 0, value, value + change)


def _tensors(block: Owner) -> tuple[Tensor, Tensor]:
    if isinstance(block, LowRank):
        return block.down.detach().clone(), block.offset.clone()
    assert block.bias is not None, "a block on frozen features owns its rows"
    return block.weight.detach().clone(), block.bias.detach().clone()


@torch.no_grad()
def _put(block: Owner, weight: Tensor, bias: Tensor) -> None:
    if isinstance(block, LowRank):
        block.down.copy_(weight)
        block.offset.copy_(bias)
        return
    assert block.bias is not None
    block.weight.copy_(weight)
    block.bias.copy_(bias)
