"""What methods add to the cross-entropy: as a loss to report, and as the proximal step taken in place of its gradient.

A proximal step is stable for every strength; the gradient of the same penalty diverges once rate x strength nears 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from service.learning.heads import Block


@dataclass(frozen=True, eq=False)
class Pull:
    """L2-SP: strength x sum of (theta - theta*)^2 over shared weights; no factor 1/2, nothing on new weights.

    `pairs`: (theta, theta*). Where theta* has fewer rows (a head that has grown since), only those rows are pulled.
    Li, Grandvalet, Davoine: Explicit inductive bias for transfer learning with convolutional networks, 2018, eq. 2.
    """

    pairs: Sequence[tuple[Tensor, Tensor]]
    strength: float

    def distance(self) -> Tensor:
        """Sum of (theta - theta*)^2, a scalar with gradient."""
        return torch.stack([((p[: len(star)] - star.to(p.device)) ** 2).sum() for p, star in self.pairs]).sum()

    def loss(self) -> Tensor:
        """The penalty itself."""
        return self.strength * self.distance()

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """theta <- theta* + (theta - theta*) / (1 + 2 lr strength). Strength 0 touches nothing."""
        if self.strength:
            kept = 1 / (1 + 2 * lr * self.strength)
            for p, star in self.pairs:
                p[: len(star)] = torch.lerp(star.to(p.device), p[: len(star)], kept)


@dataclass(frozen=True, eq=False)
class GroupLasso:
    """strength x sum over units of the norm of their incoming weights and bias: whole units go to exactly zero.

    Yuan, Lin: Model selection and estimation in regression with grouped variables, 2006.
    """

    blocks: Sequence[Block]
    strength: float

    def loss(self) -> Tensor:
        """The penalty itself."""
        return self.strength * torch.cat([unit_norms(b) for b in self.blocks]).sum()

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """v <- v max(0, 1 - lr strength / |v|) for each unit v."""
        for block in self.blocks:
            norms = unit_norms(block)
            kept = (1 - lr * self.strength / norms.clamp(min=torch.finfo(norms.dtype).tiny)).clamp(min=0)
            block.weight.mul_(kept[:, None])
            if block.bias is not None:
                block.bias.mul_(kept)


def log_shares(classes: int, *parts: Tensor) -> Tensor:
    """Log of each class's share of a step that takes as many rows of each part; at least one row. -> [classes]

    Added to the logits in the loss alone, it keeps the mix out of the scores: no class is favoured for its rows there
    (balanced softmax). parts: columns [n] of the rows. Ren et al.: Balanced meta-softmax, 2020, eq. 4.
    """
    shares = [y.bincount(minlength=classes).clamp(min=1) / len(y) for y in parts if len(y)]
    return torch.stack(shares).mean(0).log()


def unit_norms(block: Block) -> Tensor:
    """Norm of each unit's incoming weights and bias. -> [units]"""
    squares: Iterable[Tensor] = [(block.weight**2).sum(1), *([] if block.bias is None else [block.bias**2])]
    return torch.stack(list(squares)).sum(0).sqrt()
