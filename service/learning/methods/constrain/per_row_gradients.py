"""How much each weight matters to what a network says, row by row: squares or sizes of per-row gradients, summed.

A gradient of the mean over rows is not the mean of gradients: rows cancel each other there, so no public shortcut that
squares a batch's gradient gives a Fisher. Of a dense layer the gradient of a row is an outer product, and the sum over
rows of its squares (or sizes) is one product of matrices; of filters it is one product a row; of all else torch.func
gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap
from torch.nn import functional as F

from service.learning.network.blocks import Block
from service.learning.network.convolutions import KERNEL, Filters
from service.learning.run import Run

Asked = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""What is asked of rows: logits [n, C] and chance [n] -> scores [n, k] to be differentiated, and weights [n, k]."""
Size = Callable[[Tensor], Tensor]
"""torch.square or torch.abs: of a product it is the product of both, which the dense layers use."""
Drawn = tuple[Tensor, Tensor]
"""Rows [n, ...] and the chance of each [n]."""
ROWS_AT_ONCE = 128
NUMBERS_AT_ONCE = 1 << 23
"""Numbers of the rows' gradients that are held at once where they must be: 32 MiB."""


def sensitivity(
    body: nn.Module, x: Tensor, asked: Asked, size: Size, run: Run, chance: Tensor | None = None
) -> dict[str, Tensor]:
    """Sum over rows x [n, ...] and over what is asked of weight x size(d score / d theta), for each theta that trains.

    `chance`: a number of each row [n] for who draws. -> by parameter name, on the CPU. The body is in eval mode
    afterwards; its weights and gradients are as they were.
    """
    body.eval().to(run.device)
    learning = {name: p for name, p in body.named_parameters() if p.requires_grad}
    sums = {name: torch.zeros_like(p, requires_grad=False) for name, p in learning.items()}
    blocks = known_blocks(body)
    theirs = {id(p) for block in blocks for p in (block.weight, block.bias)}
    others = {name: p for name, p in learning.items() if id(p) not in theirs}
    chance = torch.zeros(len(x)) if chance is None else chance
    for rows, drawn in zip(_parts(x, ROWS_AT_ONCE), _parts(chance, ROWS_AT_ONCE), strict=True):
        run.check()
        rows, drawn = rows.to(run.device), drawn.to(run.device)
        if blocks:
            _by_products(body, (rows, drawn), asked, size, blocks, sums)
        if others:
            _row_by_row(body, (rows, drawn), asked, size, others, sums, run)
    body.cpu()
    return {name: total.cpu() for name, total in sums.items()}


def known_blocks(body: nn.Module) -> dict[Block, str]:
    """The blocks that train and whose gradients are products, with their names."""
    return {m: name for name, m in body.named_modules() if type(m) in (Block, Filters) and m.weight.requires_grad}


def _by_products(
    body: nn.Module, rows: Drawn, asked: Asked, size: Size, blocks: Mapping[Block, str], sums: dict[str, Tensor]
) -> None:
    """Forward once, back once a score; a layer's share of it from what it took and the gradient of what it gave."""
    with _watched(blocks) as seen:
        scores, weights = asked(body(rows[0]), rows[1])
    used = [block for block in blocks if block in seen]
    outputs = [seen[block][1] for block in used]
    inputs = [_ready(block, seen[block][0].detach(), size) for block in used]
    for k in range(scores.shape[1]):
        more = k + 1 < scores.shape[1]
        back = torch.autograd.grad(scores[:, k].sum(), outputs, retain_graph=more, allow_unused=True)
        for block, a, g in zip(used, inputs, back, strict=True):
            if g is not None:
                weight, bias = _products(block, a, g, size, weights[:, k])
                sums[f"{blocks[block]}.weight"].add_(weight)
                if block.bias is not None:
                    sums[f"{blocks[block]}.bias"].add_(bias)


def _ready(block: Block, a: Tensor, size: Size) -> Tensor:
    """What a block took, as the products need it: sizes [n, in], or patches [n, in x 9, places]."""
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
def _watched(blocks: Mapping[Block, str]) -> Iterator[dict[Block, tuple[Tensor, Tensor]]]:
    """What each block took and gave while this is open."""
    seen: dict[Block, tuple[Tensor, Tensor]] = {}

    def note(block: nn.Module, args: tuple[Tensor, ...], given: Tensor) -> None:
        seen[cast(Block, block)] = args[0], given

    hooks = [block.register_forward_hook(note) for block in blocks]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _row_by_row(
    body: nn.Module,
    rows: Drawn,
    asked: Asked,
    size: Size,
    learning: Mapping[str, nn.Parameter],
    sums: dict[str, Tensor],
    run: Run,
) -> None:
    """The gradient of each row on its own, as many rows at once as memory allows."""
    still = {name: p.detach() for name, p in body.named_parameters() if name not in learning}
    now = {name: p.detach() for name, p in learning.items()}

    def of_row(moving: Mapping[str, Tensor], row: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
        scores, weights = asked(functional_call(body, {**still, **moving}, (row[None],)), drawn[None])
        return scores[0], weights[0]

    with torch.no_grad():
        k = asked(body(rows[0][:1]), rows[1][:1])[0].shape[1]
    at_once = max(NUMBERS_AT_ONCE // max(k * sum(p.numel() for p in now.values()), 1), 1)
    each = vmap(jacrev(of_row, has_aux=True), in_dims=(None, 0, 0))
    for x, drawn in zip(_parts(rows[0], at_once), _parts(rows[1], at_once), strict=True):
        run.check()
        gradients, weights = each(now, x, drawn)
        for name, g in gradients.items():
            sums[name] += torch.tensordot(weights, size(g.detach()), dims=2)


def _parts(rows: Tensor, size: int) -> Sequence[Tensor]:
    """At most `size` rows each."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]
