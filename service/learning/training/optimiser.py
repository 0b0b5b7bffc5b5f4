"""The parts of a training step: gather rows, clip the gradient, descend."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from service.learning.devices import memory

MOMENTUM = 0.9
PATIENCE = 3
"""Epochs without a better loss on the selecting rows before training stops."""
CLIP = 2.0
"""Largest norm of a step's gradient: a rate that is stable on many classes is not on two."""
GATHERED = 1 << 20
"""Numbers that are gathered at once, so that a step takes a slice: 4 MiB."""
RESIDENT = 2**30
"""Bytes up to which all rows of a training are on its device."""
UNSEEN_STEPS = 16
"""Steps between two looks at the loss on an accelerator: each look waits for it."""
CHANNELS_LAST = 32
"""Filters from which convolutions are faster with channels last: on a CPU a sixth less time at 32 to 128 of them, a
third more at 8."""


class Descent:
    """SGD with momentum, fused, over the parameters that have a gradient: torch's step without its optimiser class."""

    def __init__(self, learning: list[nn.Parameter], lr: float) -> None:
        self.learning, self.lr = learning, lr  # the rate may change from step to step
        self.momentum = [torch.zeros_like(p) for p in learning]

    def forget_gradients(self) -> None:
        for p in self.learning:
            p.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """v <- 0.9 v + g, theta <- theta - lr v; v begins at 0."""
        params: list[Tensor] = []
        gradients: list[Tensor] = []
        momentum: list[Tensor | None] = []
        for p, v in zip(self.learning, self.momentum, strict=True):
            if p.grad is not None:
                params.append(p)
                gradients.append(p.grad)
                momentum.append(v)
        sgd(
            params,
            gradients,
            momentum,
            fused=True,
            weight_decay=0.0,
            momentum=MOMENTUM,
            lr=self.lr,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )


HELD = 0.5
"""Part of a training at the full rate before it falls: a rate that falls from the first step on learns too little in
few epochs."""


def cosine(done: int, steps: int) -> float:
    """The factor of the rate after `done` of `steps`: 1 for the first half, then down to nearly 0.

    The fall is half a cosine, as in Loshchilov, Hutter: SGDR: stochastic gradient descent with warm restarts, 2017,
    eq. 5.
    """
    fallen = max(done / steps - HELD, 0.0) / (1 - HELD)
    return (1 + math.cos(math.pi * fallen)) / 2


def gathered(
    x: Tensor, y: Tensor, order: Tensor, size: int, bring: Callable[[Tensor], Tensor] = lambda t: t, done: int = 0
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yields (places, rows, y) of each step of an epoch: `size` rows in that order, in the last maybe fewer. `bring`:
    rows to where they train, in their memory layout · `done`: steps that are left out; the others have the memory that
    they would have had."""
    many = max(GATHERED // (max(x[0].numel(), 1) * size), 1) * size
    skipped = done * size
    for first in range(skipped // many * many, len(order), many):
        places = order[first : first + many]
        at = places.to(x.device)
        rows, labels = bring(x[at]), bring(y[at])
        for start in range(max(skipped - first, 0), len(places), size):
            stop = start + size
            yield places[start:stop], rows[start:stop], labels[start:stop]


def resident(rows: Tensor, device: torch.device) -> Tensor:
    """Rows where steps take theirs from: on the device, unless they are so many that only those of a few steps go."""
    return rows.to(device) if rows.numel() * rows.element_size() <= RESIDENT else rows


def to_device(rows: Tensor, device: torch.device, layout: torch.memory_format = torch.contiguous_format) -> Tensor:
    """Rows of a few steps on the device, in that memory layout; a GPU takes them while it computes the last ones."""
    if device.type == "cuda" and rows.device.type == "cpu":
        rows = rows.pin_memory().to(device, non_blocking=True)
    rows = rows.to(device)
    return rows.contiguous(memory_format=layout) if layout is torch.channels_last and rows.ndim == 4 else rows


def clip(learning: list[nn.Parameter], look: bool) -> float:
    """Clips the gradients of a step to a common norm of CLIP, in place; shorter ones keep their bits.

    -> the factor, at most 1. Raises FloatingPointError where the norm is not finite. Without `look` nobody waits for
    the norm: one that is not finite is found by a later look, and the factor is 1.
    """
    gradients = [p.grad for p in learning if p.grad is not None]
    if not gradients:
        return 1.0
    if not look:
        nn.utils.clip_grad_norm_(learning, CLIP)
        return 1.0
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))).item()
    if not math.isfinite(norm):
        raise FloatingPointError
    if norm <= CLIP:
        return 1.0
    factor: float = CLIP / (norm + 1e-6)
    torch._foreach_mul_(gradients, factor)
    return factor


def precision(device: torch.device) -> AbstractContextManager[object]:
    """The precision of a step: on a GPU products in bfloat16, weights and sums in float32; on a CPU all in float32."""
    return torch.autocast(device.type, torch.bfloat16) if device.type == "cuda" else nullcontext()


@torch.no_grad()
def lay_out(body: nn.Module, layout: torch.memory_format) -> None:
    """Lays out filters in memory that way, in place; their numbers stay."""
    for p in body.parameters():
        if p.ndim == 4:
            p.data = p.data.contiguous(memory_format=layout)


def memory_layout(body: nn.Module) -> torch.memory_format:
    """The memory layout in which this module trains fastest."""
    widest = max((len(p) for p in body.parameters() if p.ndim == 4), default=0)
    return torch.channels_last if widest >= CHANNELS_LAST else torch.contiguous_format


class Best:
    """Keeps the weights of the epoch with the least loss on the selecting rows. `loss_of(body)`: that loss."""

    def __init__(self, body: nn.Module, learning: list[nn.Parameter], loss_of: Callable[[nn.Module], Tensor]) -> None:
        self.body, self.learning, self.loss_of = body, learning, loss_of
        self.epoch, self.loss = 0, self._loss()
        self.latest = self.loss
        self.weights = [p.detach().clone() for p in learning]

    def _loss(self) -> float:
        self.body.eval()
        with torch.no_grad():
            return float(self.loss_of(self.body))

    def enough(self, epoch: int) -> bool:
        """Looks at the loss after an epoch; true once it has stopped falling."""
        loss = self.latest = self._loss()
        if loss < self.loss:
            self.epoch, self.loss = epoch, loss
            self.weights = [p.detach().clone() for p in self.learning]
        return epoch - self.epoch >= PATIENCE

    def restore(self) -> None:
        put(self.learning, self.weights)


@torch.no_grad()
def put(into: list[nn.Parameter], values: list[Tensor]) -> None:
    for p, value in zip(into, values, strict=True):
        p.copy_(value)


def why_diverged(steps: int, each: int, epochs: int, largest: float, lr: float) -> str:
    """The sentence for a training that diverged: after how many steps, `each` an epoch, and the likely cause."""
    where = f"step {min(steps + 1, each * epochs)} (epoch {min(steps // each + 1, epochs)} of {epochs})"
    cause = f"the rate is too high for these rows: lower `lr` far below {lr:.3g}, or take a larger `batch_size`"
    if steps == 0:
        cause = (
            f"no weight had moved yet, so inputs are wild (the largest is {largest:.3g} scaled), or a strength is: "
            "look at the rows, declare the input's `scale`"
        )
    return f"Training left the finite numbers at {where}, even at a rate of {lr:.3g}. The likely cause: {cause}."


def why_full(learning: Sequence[nn.Parameter], row: Tensor, batch_size: int, device: torch.device) -> str:
    """The sentence for a training that does not fit into the memory of its device. row [1, ...]"""
    weights, half = sum(p.numel() for p in learning), -(-batch_size // 2)
    return (
        f"{memory(device)}, and a step of {half} rows at once, half of batch_size {batch_size}, needs more: "
        f"{row.numel():,} numbers a row, {weights:,} weights that train. Lower batch_size, let less of the backbone "
        "train, or learn on another device."
    )
