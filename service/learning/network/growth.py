"""Growing a network by blocks, and merging blocks that have the same inputs once they were trained together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from service.learning.network.blocks import Block, GrownLinear, new_block
from service.learning.network.convolutions import Convolutions
from service.learning.network.network import Dense, Network
from service.learning.network.part_kinds import kind_of

LOUDEST = 1 / 8
"""Largest standard deviation of the weights of new columns."""


def grow_head(network: Network, columns: int, generator: torch.Generator) -> Block | None:
    """Adds rows for so many new classes as one block beside the old ones; old logits keep their bits.

    New weights ~ N(0, s^2), s = the old rows' mean norm / sqrt(inputs), at most 1/8: as loud as the old ones, unless
    those live on differences that are small among old rows and may be large among new ones. None: no class is new.
    """
    if not columns:
        return None
    known, inputs = network.head.out_features, network.head.in_features or network.neck.width
    block = new_block((known, known + columns), (0, inputs), next_part(network, "head"), "", generator, gain=1.0)
    if known:
        block.weight.data *= min(float(matrix(network.head)[0].norm(dim=1).mean()), LOUDEST * inputs**0.5)
    network.head.blocks.append(block)
    return block


def next_part(network: Network, kind: str) -> str:
    """The first unused part of that kind: "head.2" beside "head.0" and "head.1"."""
    used = {owner.part for owner in network.stored()}
    if not isinstance(network.backbone, Dense | Convolutions):
        used.add("backbone.0")
    numbers = [int(part.split(".")[1]) for part in used if kind_of(part) == kind]
    return f"{kind}.{max(numbers, default=-1) + 1}"


@torch.no_grad()
def matrix(layer: GrownLinear) -> tuple[Tensor, Tensor]:
    """Copies the layer as one matrix [out, in] (filters: [out, in, 3, 3]) and bias [out], zero outside its blocks."""
    kernel = next(iter(layer)).weight.shape[2:] if len(layer.blocks) else ()
    weight = torch.zeros(layer.out_features, layer.in_features, *kernel)
    bias = torch.zeros(layer.out_features)
    for block in layer:
        weight[slice(*block.rows), slice(*block.columns)] += block.weight
        if block.bias is not None:
            bias[slice(*block.rows)] += block.bias
    return weight, bias


def merge(head: GrownLinear) -> None:
    """Makes one block of all of a head, in place, where all see the same inputs: serving then multiplies once."""
    if len(head.blocks) > 1 and len({b.columns for b in head}) == 1:
        put_head(head, *matrix(head))


def put_head(head: GrownLinear, weight: Tensor, bias: Tensor, beside: Sequence[Block] = ()) -> Block:
    """Makes this the head, in place, as one block on all of its inputs, with other blocks beside it. -> the block"""
    block = Block((0, len(weight)), (0, weight.shape[1]), weight, bias, "head.0", "")
    head.blocks = torch.nn.ModuleList([block, *beside])
    return block


def new_neck(network: Network, hidden: Sequence[int], columns: int, generator: torch.Generator) -> None:
    """Replaces neck and head in place: dense layers of these widths, then a head of so many columns, all untrained."""
    widths = [network.neck.in_width, *hidden]
    layers = [
        GrownLinear([new_block((0, b), (0, a), "neck.0", f"{k}.", generator)])
        for k, (a, b) in enumerate(pairwise(widths))
    ]
    network.neck = Dense(layers, widths[0])
    network.head = GrownLinear([])
    grow_head(network, columns, generator)


def neck_widths(network: Network) -> list[int]:
    """Units of each hidden layer of the head."""
    return [layer.out_features for layer in network.neck]
