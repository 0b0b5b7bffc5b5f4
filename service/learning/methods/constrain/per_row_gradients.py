"""Squares or sizes of per-row gradients, summed over rows: how much each weight matters to a network's answers.

In the gradient of a mean over rows they cancel each other, so the square of a batch's gradient, as public code takes
it, is no Fisher information. The gradient of a row is an outer product in a dense layer, where the sum over rows of its
squares (or sizes) is one product of matrices; it is one product a row in filters; for all else torch.func gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap
from torch.nn import functional as F

from service.learning.network.blocks import Block
from service.learning.network.convolutions import KERNEL, Filters
from service.learning.run import Run

Score = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""What is differentiated: logits [n, C] and a random number a row [n] -> scores [n, k], and their weights [n, k]."""
Size = Callable[[Tensor], Tensor]
"""torch.square or torch.abs: of a product it is the product of both, which the dense layers use."""
ROWS_AT_ONCE = 128
NUMBERS_AT_ONCE = 1 << 23
"""Numbers of the rows' gradients that are held at once where they must be: 32 MiB."""


def sensitivity(
    body: nn.Module, x: Tensor, score: Score, size: Size, run: Run, chance: Tensor | None = None
) -> dict[str, Tensor]:
    """Sum over rows x [n, ...] and over their scores of weight x size(d score / d theta), for each theta that trains.

    `chance`: a random number a row [n], for a score that draws. -> by parameter name, on the CPU. The body is in eval
    mode afterwards; its weights and gradients are as they were.
    """
    body.eval().to(run.device)
    learning = {name: p for name, p in body.named_parameters() if p.requires_grad}
    sums = _Sums(body, score, size, {name: torch.zeros_like(p, requires_grad=False) for name, p in learning.items()})
    blocks = known_blocks(body)
    in_blocks = {id(p) for block in blocks for p in (block.weight, block.bias)}
    others = {name: p for name, p in learning.items() if id(p) not in in_blocks}
    chance = torch.zeros(len(x)) if chance is None else chance
    for rows, drawn in zip(_parts(x, ROWS_AT_ONCE), _parts(chance, ROWS_AT_ONCE), strict=True):
        run.check()
        rows, drawn = rows.to(run.device), drawn.to(run.device)
        if blocks:
            sums.add_by_products(rows, drawn, blocks)
        if others:
            sums.add_row_by_row(rows, drawn, others, run)
    body.cpu()
    return {name: total.cpu() for name, total in sums.totals.items()}


def known_blocks(body: nn.Module) -> dict[Block, str]:
    """The blocks that train and whose gradients are products, with their names."""
    return {m: name for name, m in body.named_modules() if type(m) in (Block, Filters) and m.weight.requires_grad}


@dataclass(frozen=True, eq=False)
class _Sums:
    """The sums so far, `totals`, by parameter name."""

    body: nn.Module
    score: Score
    size: Size
    totals: dict[str, Tensor]

    def add_by_products(self, rows: Tensor, chance: Tensor, blocks: Mapping[Block, str]) -> None:
        """Adds the blocks' parameters: one pass forward, one back a score, and a product of inputs and gradients."""
        with _recorded(blocks) as passed:
            scores, weights = self.score(self.body(rows), chance)
        used = [block for block in blocks if block in passed]
        outputs = [passed[block][1] for block in used]
        inputs = [_factors(block, passed[block][0].detach(), self.size) for block in used]
        for k in range(scores.shape[1]):
            more = k + 1 < scores.shape[1]
            back = torch.autograd.grad(scores[:, k].sum(), outputs, retain_graph=more, allow_unused=True)
            for block, a, g in zip(used, inputs, back, strict=True):
                if g is not None:
                    weight, bias = _products(block, a, g, self.size, weights[:, k])
                    self.totals[f"{blocks[block]}.weight"].add_(weight)
                    if block.bias is not None:
                        self.totals[f"{blocks[block]}.bias"].add_(bias)

    def add_row_by_row(self, rows: Tensor, chance: Tensor, learning: Mapping[str, nn.Parameter], run: Run) -> None:
        """Adds other parameters: the gradient of each row on its own, as many rows at once as memory allows."""
        frozen = {name: p.detach() for name, p in self.body.named_parameters() if name not in learning}
        now = {name: p.detach() for name, p in learning.items()}

        def of_row(moving: Mapping[str, Tensor], row: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
            scores, weights = self.score(functional_call(self.body, {**frozen, **moving}, (row[None],)), drawn[None])
            return scores[0], weights[0]

        with torch.no_grad():
            k = self.score(self.body(rows[:1]), chance[:1])[0].shape[1]
        at_once = max(NUMBERS_AT_ONCE // max(k * sum(p.numel() for p in now.values()), 1), 1)
        each = vmap(jacrev(of_row, has_aux=True), in_dims=(None, 0, 0))
        for x, drawn in zip(_parts(rows, at_once), _parts(chance, at_once), strict=True):
            run.check()
            gradients, weights = each(now, x, drawn)
            for name, g in gradients.items():
                self.totals[name] += torch.tensordot(weights, self.size(g.detach()), dims=2)


def _factors(block: Block, a: Tensor, size: Size) -> Tensor:
    """What a block took, as a factor of the products: sizes [n, in], or patches [n, in x 9, places]."""
    return size(a) if not isinstance(block, Filters) else F.unfold(a, KERNEL, padding=KERNEL // 2)


def _products(block: Block, a: Tensor, g: Tensor, size: Size, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Sum over rows of weight x size(gradient), of a block's weight and bias: of a dense one (w size(G))' size(A)."""
    if not isinstance(block, Filters):
        weighted = size(g) * weights[:, None]
        return weighted.T @ a, weighted.sum(0)
    flat, weight = g.flatten(2), torch.zeros_like(block.weight)
    at_once = max(NUMBERS_AT_ONCE // block.weight.numel(), 1)
    for start in range(0, len(g), at_once):
        part = slice(start, start + at_once)
        each = size(flat[part] @ a[part].mT)
        weight += torch.einsum("n,nok->ok", weights[part], each).reshape(weight.shape)
    return weight, weights @ size(flat.sum(2))


@contextmanager
def _recorded(blocks: Mapping[Block, str]) -> Iterator[dict[Block, tuple[Tensor, Tensor]]]:
    """Records what each block takes and gives while this is open."""
    passed: dict[Block, tuple[Tensor, Tensor]] = {}

    def record(block: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        passed[cast(Block, block)] = args[0], output

    hooks = [block.register_forward_hook(record) for block in blocks]
    try:
        yield passed
    finally:
        for hook in hooks:
            hook.remove()


def _parts(rows: Tensor, size: int) -> list[Tensor]:
    """Parts of at most `size` rows each."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]
