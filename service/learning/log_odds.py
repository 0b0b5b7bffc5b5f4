"""An exact head as the start of training: its scores are no log-odds until they are divided by its temperature."""

from __future__ import annotations

import torch

from service.learning.checkpoint import Tensors
from service.learning.growth import matrix, merge
from service.learning.heads import Block, GrownLinear
from service.learning.solve import ABSENT


@torch.no_grad()
def open_head(head: GrownLinear, judge: Tensors | None, temperature: float) -> None:
    """Make an exact head one to train, in place: at temperature 1, and as the judge's, which saw no judging row."""
    merge(head, "head.0")
    for block in head:
        assert block.bias is not None
        if judge is not None:
            block.weight.copy_(judge["weight"])
            block.bias.copy_(judge["bias"])
        seen = block.bias > ABSENT / 2
        block.bias.copy_(torch.where(seen, block.bias, block.bias[seen].min() if seen.any() else 0.0))
        # What all scores share says nothing among old columns, but would drown new ones beside them.
        block.weight.copy_((block.weight - block.weight.mean(0)) / temperature)
        block.bias.copy_((block.bias - block.bias.mean()) / temperature)


@torch.no_grad()
def join(added: Block, head: GrownLinear, known: int, temperature: float) -> None:
    """New columns beside an exact head that keeps its bits start from what its scores share."""
    weight, bias = matrix(head)
    assert added.bias is not None
    added.weight.add_(weight[:known].mean(0) / temperature)
    added.bias.add_(bias[:known].mean() / temperature)


@torch.no_grad()
def to_unit(added: Block, temperature: float) -> None:
    """Columns that trained as log-odds go over to the unit of the exact head beside them."""
    for p in added.parameters():
        p.mul_(temperature)
