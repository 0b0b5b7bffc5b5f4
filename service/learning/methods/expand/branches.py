"""Extractors side by side in one backbone: each is the blocks of one part, and sees nothing of the others."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from service.learning.network.blocks import Block, GrownLinear
from service.learning.network.convolutions import Convolutions, Filters, Stage
from service.learning.network.growth import matrix, next_part, put_head
from service.learning.network.network import Dense, Network, forward_cost
from service.learning.training.body import BeforeHead
from service.learning.training.fit import Fit, logits
from service.learning.training.learner import Learner
from service.learning.training.training_set import Labelled, Step


def layers_of(network: Network) -> list[GrownLinear]:
    assert isinstance(network.backbone, Dense | Convolutions)
    return [*network.backbone]


def branches(network: Network) -> list[str] | None:
    """The part of each extractor, oldest first. None where the backbone is not made of extractors side by side."""
    layers = layers_of(network) if isinstance(network.backbone, Dense | Convolutions) else []
    if not layers or len(network.low_rank) or any(layer.insertions for layer in layers):
        return None
    parts = [block.part for block in layers[0]]
    below = {part: block.columns for part, block in zip(parts, layers[0], strict=True)}
    for k, layer in enumerate(layers):
        blocks = {block.part: block for block in layer}
        alone = all(block.bias is not None and block.columns == below.get(block.part) for block in layer)
        if list(blocks) != parts or len(blocks) != len(layer.blocks) or not alone:
            return None
        if k == 0 and len(set(below.values())) > 1:
            return None
        below = {part: block.rows for part, block in blocks.items()}
    return parts


def add_branch(network: Network) -> list[Block]:
    """Puts a copy of the newest extractor beside the others, in place. -> its blocks, one a layer"""
    part, added, below = next_part(network, "backbone"), [], (0, 0)
    for k, layer in enumerate(layers_of(network)):
        block = _copy(list(layer)[-1], part)
        start = layer.out_features
        block.rows = (start, start + len(block.weight))
        block.columns = block.columns if k == 0 else below
        layer.blocks.append(block)
        below = block.rows
        added.append(block)
    _resized(network)
    return added


def newest(network: Network, x: Tensor) -> Tensor:
    """The features of the newest extractor alone. [n, ...] -> [n, features]"""
    backbone = network.backbone
    x = x.flatten(1) if isinstance(backbone, Dense) else x
    for layer in layers_of(network):
        block = list(layer)[-1]
        y = block(x)
        if isinstance(layer, Stage) and isinstance(block, Filters):
            y = block.normalised(y)
        x = torch.relu(y)
        if isinstance(layer, Stage) and layer.pools:
            x = F.max_pool2d(x, 2)
    return backbone.pooled(x) if isinstance(backbone, Convolutions) else x


def keep_newest(network: Network) -> list[Block]:
    """Drops all extractors but the newest, in place; it takes the place of the first. -> its blocks"""
    kept: list[Block] = []
    for layer in layers_of(network):
        block = list(layer)[-1]
        block.rows, block.part = (0, len(block.weight)), "backbone.0"
        block.columns = kept[-1].rows if kept else block.columns
        layer.blocks = nn.ModuleList([block])
        kept.append(block)
    _resized(network)
    return kept


@torch.no_grad()
def widened_head(network: Network, new: int, generator: torch.Generator) -> Block:
    """Puts one block in place of the head's: old weights as they are, on new features 0, or small and random for the
    `new` last classes. -> the block"""
    weight, bias = matrix(network.head)
    more = network.neck.in_width - weight.shape[1]
    fresh = torch.zeros(len(weight), more)
    if new:
        spread = weight[-new:].norm(dim=1).mean() / weight.shape[1] ** 0.5
        fresh[-new:] = torch.randn(new, more, generator=generator) * spread
    return put_head(network.head, torch.cat([weight, fresh], 1), bias)


@torch.no_grad()
def narrowed_head(network: Network) -> Block:
    """Puts one block in place of the head's, on the last features that it saw. -> the block"""
    weight, bias = matrix(network.head)
    return put_head(network.head, weight[:, -network.neck.in_width :].clone(), bias)


def _copy(block: Block, part: str) -> Block:
    copied = deepcopy(block)
    copied.part = part
    for p in copied.parameters():
        p.requires_grad_(True)
    return copied


def _resized(network: Network) -> None:
    """Makes the head's input as wide as the backbone's output."""
    assert isinstance(network.backbone, Dense | Convolutions)
    network.neck.in_width = network.backbone.width


@dataclass(frozen=True, eq=False)
class OldFeatures:
    """Features of the old extractors for the batch [n, M] and the memory [m, M], computed once. `cost`: of one row."""

    batch: Tensor
    memory: Tensor
    cost: int

    @classmethod
    def of(cls, learner: Learner, memory: Labelled) -> OldFeatures:
        before = BeforeHead(learner.body)
        of_batch, of_memory = (logits(before, rows.x, learner.run) for rows in (learner.batch, memory))
        head = sum(block.weight.numel() for block in learner.body.head)
        cost = forward_cost(learner.body) - head if learner.batch.rows else 0
        return cls(of_batch, of_memory, cost)

    def beside(self, step: Step, new: Tensor) -> Tensor:
        """Old features of a step's rows, and the new ones. -> [b, M + new]"""
        old = self.batch[step.at]
        if step.memory is not None:
            old = torch.cat([old, self.memory[step.memory]])
        return torch.cat([old.to(new.device), new], 1)

    def spared(self, learner: Learner, done: Fit) -> int:
        """Multiply-adds counted for the old extractors in every step, less those of the one time they were run."""
        whole = 3 * forward_cost(learner.body)
        return self.cost * (3 * (done.multiply_adds // whole) - len(self.batch) - len(self.memory))
