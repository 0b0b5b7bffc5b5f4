"""Penalties that methods add to the cross-entropy: each as a loss to report, and as a proximal step.

A proximal step is stable for every strength; the gradient of the same penalty diverges once rate x strength nears 1.
Momentum lets a gradient move a weight by lr g (1 + 0.9 + 0.9^2 + ...) = lr g / (1 - 0.9), so a proximal step goes as
far: where training comes to rest, the gradient of loss plus penalty is 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from service.learning.network.blocks import Block
from service.learning.training.optimiser import MOMENTUM

REACH = round(1 / (1 - MOMENTUM), 9)
"""How far a gradient moves a weight in total, in steps without momentum: 10, but for the rounding of 1 - 0.9."""


@dataclass(frozen=True, eq=False)
class Pull:
    """strength x sum of stiffness (theta - theta*)^2 over shared weights; no factor 1/2, nothing on new weights.

    `pairs`: (theta, theta*). Where theta* has fewer rows (a head that has grown since), only those rows are pulled.
    `stiffness`: of each weight, in the shapes of theta*; None: 1 for all, which is L2-SP (Li, Grandvalet, Davoine:
    Explicit inductive bias for transfer learning with convolutional networks, 2018, eq. 2). `rates`: at which part of
    the step's rate each of them trains; None: at all of it.
    """

    pairs: Sequence[tuple[Tensor, Tensor]]
    strength: float
    stiffness: Sequence[Tensor] | None = None
    rates: Sequence[float] | None = None
    _prepared: dict[tuple[float, torch.device], tuple[list[Tensor], float | list[Tensor]]] = field(default_factory=dict)

    def distance(self) -> Tensor:
        """Sum of (theta - theta*)^2, stiffness left out; a scalar with gradient."""
        return self._summed([None] * len(self.pairs))

    def loss(self) -> Tensor:
        return self.strength * self._summed(self.stiffness or [None] * len(self.pairs))

    def _summed(self, stiffness: Sequence[Tensor | None]) -> Tensor:
        total = torch.zeros(())
        for (p, star), stiff in zip(self.pairs, stiffness, strict=True):
            squares = (p[: len(star)] - star.to(p.device)) ** 2
            total = total.to(p.device) + (squares if stiff is None else squares * stiff.to(p.device)).sum()
        return total

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """theta <- theta* + (theta - theta*) / (1 + p) with p = 2 lr strength stiffness / (1 - momentum).

        Strength 0 touches nothing.
        """
        if not self.strength or not self.pairs:
            return
        device = self.pairs[0][0].device
        if (lr, device) not in self._prepared:
            self._prepared.clear()  # a rate that falls from step to step would else leave one of each
            self._prepared[lr, device] = [star.to(device) for _, star in self.pairs], self._back(lr, device)
        stars, back = self._prepared[lr, device]
        shared = [p if len(p) == len(star) else p[: len(star)] for p, star in self.pairs]
        torch._foreach_lerp_(shared, stars, back)

    def _back(self, lr: float, device: torch.device) -> float | list[Tensor]:
        """The part of the way back to theta*, for all weights or for each: p / (1 + p) of the p in `step`."""
        pull = 2 * lr * (self.strength * REACH)
        if self.stiffness is None and self.rates is None:
            return pull / (1 + pull)
        stiffness = self.stiffness or [torch.ones_like(star, device=device) for _, star in self.pairs]
        rates = self.rates or [1.0] * len(self.pairs)
        pulls = [pull * rate * stiff.to(device) for stiff, rate in zip(stiffness, rates, strict=True)]
        return [p / (1 + p) for p in pulls]


@dataclass(frozen=True, eq=False)
class GroupLasso:
    """strength x sum over units of the norm of their incoming weights and bias: whole units go to exactly zero.

    Yuan, Lin: Model selection and estimation in regression with grouped variables, 2006.
    """

    blocks: Sequence[Block]
    strength: float

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """v <- v max(0, 1 - lr strength / ((1 - momentum) |v|)) for each unit v."""
        shrunk = lr * (self.strength * REACH)
        for block in self.blocks:
            norms = unit_norms(block)
            kept = (1 - shrunk / norms.clamp(min=torch.finfo(norms.dtype).tiny)).clamp(min=0)
            block.weight.mul_(kept.view(-1, *[1] * (block.weight.ndim - 1)))
            if block.bias is not None:
                block.bias.mul_(kept)


def log_shares(classes: int, *parts: Tensor, weights: Sequence[float] = ()) -> Tensor:
    """Logs of the classes' shares of a step that takes as many rows of each part; at least one row. -> [classes]

    Added to the logits in the loss alone, it keeps the mix out of the scores: no class is favoured for its rows there
    (balanced softmax). parts: columns [n] of the rows · weights: of each part in the loss; by default all alike.
    Ren et al.: Balanced meta-softmax, 2020, eq. 4.
    """
    weighted = [(y, w) for y, w in zip(parts, weights or [1.0] * len(parts), strict=True) if len(y)]
    shares = [w * y.bincount(minlength=classes).clamp(min=1) / len(y) for y, w in weighted]
    total: Tensor = torch.stack(shares).sum(0) / sum(w for _, w in weighted)
    return total.log()


def without_old(z: Tensor, y: Tensor, known: int) -> Tensor:
    """Masks the `known` old columns of scores [n, C] in rows of new classes. y [n]

    In a cross-entropy a new row then tells new classes apart and pushes no old class down (Li, Hoiem: Learning without
    forgetting, 2016, section 3).
    """
    away = torch.zeros_like(z, dtype=torch.bool)
    away[:, :known] = (y >= known)[:, None]
    return z.masked_fill(away, -math.inf)


def divergence(z: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(z / T)) of each row; its gradient is of one size for every T. -> [n]

    z and teacher: scores [n, C]. Hinton, Vinyals, Dean: Distilling the knowledge in a neural network, 2015, section 2.
    """
    old, now = F.log_softmax(teacher / temperature, 1), F.log_softmax(z / temperature, 1)
    return temperature**2 * F.kl_div(now, old, reduction="none", log_target=True).sum(1)


def unit_norms(block: Block) -> Tensor:
    """Norm of each unit's incoming weights and bias. -> [units]"""
    squares: Iterable[Tensor] = [(block.weight**2).flatten(1).sum(1), *([] if block.bias is None else [block.bias**2])]
    return torch.stack(list(squares)).sum(0).sqrt()
