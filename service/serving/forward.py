"""A version's network as few tensor operations: the same sums as its modules, without their calls.

Blocks of a grown layer become one matrix, the head's columns are put in order of class names, and inputs are scaled in
place. What is no chain of dense layers and lifts (convolutions, pretrained backbones, branches) is called as it is.
Scores agree with the modules' to rounding, not to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from service.contract.inputs import TextInput
from service.learning.architectures import Dense, Network
from service.learning.heads import GrownLinear
from service.learning.lifts import Lift
from service.learning.preprocessing import CLIP, InputScale

Step = Callable[[Tensor], Tensor]


def forward(network: Network, order: Sequence[int], temperature: float) -> Step:
    """Prepared rows [n, ...] -> probabilities [n, C] float64, columns in that order."""
    steps = [] if isinstance(network.layout.input, TextInput) else [_scaling(network.scale)]
    grown = len(network.low_rank) > 0
    if len(network.lifts):
        steps.append(_lifting(network, grown))
    else:
        steps += [*_backbone(network, grown), lambda x: x.flatten(1)]
    steps += _layers(network.neck, grown)
    weight, bias = _matrix(network.head)
    # the temperature is a part of the matrix: one operation less a pass
    steps.append(_linear(weight[list(order)] / temperature, bias[list(order)] / temperature))
    steps.append(lambda x: torch.softmax(x, 1, dtype=torch.float64))
    return _chain(steps)


def _chain(steps: Sequence[Step]) -> Step:
    def run(x: Tensor) -> Tensor:
        for step in steps:
            x = step(x)
        return x

    return run


def _scaling(scale: InputScale) -> Step:
    mean, std = scale.mean, scale.std

    def scaled(x: Tensor) -> Tensor:
        # the difference is a new tensor: rows of a request are not ours to change
        return torch.sub(x.to(torch.float32), mean).div_(std).clamp_(-CLIP, CLIP)

    return scaled


def _backbone(network: Network, grown: bool) -> list[Step]:
    if isinstance(network.backbone, Dense):
        return [lambda x: x.flatten(1), *_layers(network.backbone, grown)]
    return [network.backbone]


def _lifting(network: Network, grown: bool) -> Step:
    lifts = [cast(Lift, lift) for lift in network.lifts]
    features = _chain(_backbone(network, grown))
    needed = any(lift.kind != "conv" for lift in lifts)

    def lifted(scaled: Tensor) -> Tensor:
        x = features(scaled) if needed else scaled
        found = [lift.forward(scaled if lift.kind == "conv" else x) for lift in lifts]
        return found[0] if len(found) == 1 else torch.cat(found, 1)

    return lifted


def _layers(dense: Dense, grown: bool) -> list[Step]:
    """Hidden layers behind a ReLU; those with branches or inserted layers are called as they are."""
    if grown:
        return [dense] if len(dense.layers) else []
    return [_hidden(cast(GrownLinear, layer)) for layer in dense.layers]


def _hidden(layer: GrownLinear) -> Step:
    if layer.insertions:
        return layer.activated
    linear = _linear(*_matrix(layer))
    return lambda x: linear(x).relu_()


def _linear(weight: Tensor, bias: Tensor) -> Step:
    return lambda x: F.linear(x, weight, bias)


def _matrix(layer: GrownLinear) -> tuple[Tensor, Tensor]:
    """The blocks of a layer as one weight [out, in] and bias [out]."""
    blocks = list(layer)
    if len(blocks) == 1 and blocks[0].columns[0] == 0 and blocks[0].bias is not None:
        return blocks[0].weight.detach(), blocks[0].bias.detach()
    weight, bias = torch.zeros(layer.out_features, layer.in_features), torch.zeros(layer.out_features)
    for block in blocks:
        rows, columns = slice(*block.rows), slice(*block.columns)
        weight[rows, columns] += block.weight.detach()
        if block.bias is not None:
            bias[rows] += block.bias.detach()
    return weight, bias
