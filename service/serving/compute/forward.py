"""A version's network as few tensor operations: the same sums as its modules, without their calls.

Blocks of a grown layer become one matrix, the head's columns are put in order of class names, and the input scale
becomes a part of the first matrix, or is done in place. Stages of a cnn are packed. What is neither those nor a chain
of dense layers and lifts (what has grown, pretrained backbones, branches) is called as it is.
Scores agree with the modules' to rounding, not to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from service.contract.inputs import TextInput, VectorInput
from service.learning.network.blocks import GrownLinear
from service.learning.network.convolutions import Convolutions
from service.learning.network.growth import matrix
from service.learning.network.input_scale import CLIP, InputScale
from service.learning.network.lifts import Lift
from service.learning.network.network import Dense, Network
from service.serving.compute.onednn import PackedMatrix, packed_stages

Step = Callable[[Tensor], Tensor]

Extremes = tuple[float, float]
"""The smallest and the largest number of some rows."""
UNKNOWN = (float("-inf"), float("inf"))

MOST_SHIFT = 64.0
"""Means of inputs, in standard deviations, up to which the scale becomes a part of a matrix: float32 has the digits."""


class Forward:
    """Steps one after another; those of a whole version: prepared rows [n, ...] -> probabilities [n, C] float64.
    Numbers within `reach` need no clipping."""

    def __init__(self, steps: Sequence[Step], clipping: Step | None = None, reach: Extremes = UNKNOWN) -> None:
        self.steps, self._clipping = steps, clipping
        self._low, self._high = reach

    def __call__(self, x: Tensor, extremes: Extremes = UNKNOWN) -> Tensor:
        within = self._low <= extremes[0] and extremes[1] <= self._high and x.dtype is torch.float32
        if self._clipping is not None and not within:
            x = self._clipping(x)
        for step in self.steps:
            x = step(x)
        return x


def forwards(network: Network, heads: Sequence[GrownLinear], order: Sequence[int], temperature: float) -> list[Forward]:
    """By head, its columns in that order."""
    grown = len(network.low_rank) > 0
    body: list[Step] = [_Lifting(network, grown)] if len(network.lifts) else [*_backbone(network, grown), _flat]
    body += _layers(network.neck, grown)
    if isinstance(network.layout.input, VectorInput):
        body = [step for step in body if step is not _flat]
    found: list[list[Step]] = []
    for weight, bias in map(_matrix, heads):
        # the temperature is a part of the matrix: one operation less a pass
        last = PackedMatrix(weight[list(order)] / temperature, bias[list(order)] / temperature)
        found.append([*body, last, _shares])
    text = isinstance(network.layout.input, TextInput)
    made = [Forward(steps) for steps in found] if text else _scaled(network, found)
    for packed in matrices(made):
        packed.pack()
    return made


def matrices(found: Sequence[Forward]) -> set[PackedMatrix]:
    """The matrices of several heads, each once."""
    steps = {step for forward in found for step in forward.steps}
    inner = {step for lifting in steps if isinstance(lifting, _Lifting) for step in lifting.steps}
    return {step for step in steps | inner if isinstance(step, PackedMatrix)}


def _scaled(network: Network, chains: Sequence[list[Step]]) -> list[Forward]:
    """Behind the input scale, which becomes a part of the first matrix where nothing is between them:
    clip((x - mean) / std, -8, 8) weightᵀ + bias = clip(x, mean - 8 std, mean + 8 std) (weight / std)ᵀ + bias'."""
    scale, size = network.scale, network.layout.input.shape
    at = next(k for k, step in enumerate(chains[0]) if step is not _flat)
    first = chains[0][at]
    plain = isinstance(first, PackedMatrix) and len(first.weight) > 0
    if not plain or bool((scale.mean.abs() > MOST_SHIFT * scale.std).any()):
        return [Forward([_scaling(scale), *steps]) for steps in chains]
    mean, std = (t.double().expand(size).reshape(-1) for t in (scale.mean, scale.std))
    folded: dict[Step, Step] = {}
    for linear in dict.fromkeys(cast(PackedMatrix, steps[at]) for steps in chains):
        weight = linear.weight.double() / std
        assert linear.bias is not None
        bias = (linear.bias.double() - weight @ mean).float()
        folded[linear] = PackedMatrix(weight.float(), bias, linear.activated)
    low, high = scale.mean - CLIP * scale.std, scale.mean + CLIP * scale.std
    clipping, reach = _clipping(low, high), (float(low.max()), float(high.min()))
    return [Forward([*steps[:at], folded[steps[at]], *steps[at + 1 :]], clipping, reach) for steps in chains]


def _flat(x: Tensor) -> Tensor:
    return x.flatten(1)


def _shares(x: Tensor) -> Tensor:
    return torch.softmax(x, 1, dtype=torch.float64)


def _scaling(scale: InputScale) -> Step:
    mean, std = scale.mean, scale.std

    def scaled(x: Tensor) -> Tensor:
        # the difference is a new tensor: rows of a request are not ours to change
        return torch.sub(x.to(torch.float32), mean).div_(std).clamp_(-CLIP, CLIP)

    return scaled


def _clipping(low: Tensor, high: Tensor) -> Step:
    if low.ndim == 0:
        least, most = low.item(), high.item()
        return lambda x: torch.clamp(x.to(torch.float32), least, most)
    return lambda x: torch.clamp(x.to(torch.float32), low, high)


def _backbone(network: Network, grown: bool) -> list[Step]:
    if isinstance(network.backbone, Dense):
        return [_flat, *_layers(network.backbone, grown)]
    if isinstance(network.backbone, Convolutions) and not grown:
        stages = packed_stages(network.backbone, network.layout.input.shape)
        return [network.backbone] if stages is None else [*stages, _pooled(network.backbone.field)]
    return [network.backbone]


def _pooled(fields: tuple[int, int]) -> Step:
    """As `Convolutions.pooled`, without what else those hold."""
    return lambda x: F.adaptive_avg_pool2d(x, fields)


class _Lifting:
    """Lifts side by side, of the scaled rows or of the backbone's features: [n, ...] -> [n, width]"""

    def __init__(self, network: Network, grown: bool) -> None:
        lifts = [cast(Lift, lift) for lift in network.lifts]
        self.features = Forward(_backbone(network, grown))
        self._lifts = [(lift.kind == "conv", _lift(lift)) for lift in lifts]
        self._needed = not all(of_rows for of_rows, _ in self._lifts)

    def __call__(self, scaled: Tensor) -> Tensor:
        x = self.features(scaled) if self._needed else scaled
        found = [lift(scaled if of_rows else x) for of_rows, lift in self._lifts]
        return found[0] if len(found) == 1 else torch.cat(found, 1)

    @property
    def steps(self) -> list[Step]:
        """Those of the backbone, and the matrices of the lifts."""
        return [*self.features.steps, *(lift.matrix for _, lift in self._lifts if isinstance(lift, _Mapped))]


class _Mapped:
    """A lift that is a matrix and what follows it."""

    def __init__(self, lift: Lift) -> None:
        self._cosine, self._bound = lift.kind == "fourier", lift.bound
        bias = lift.bias if self._cosine else None
        self.matrix = PackedMatrix(lift.weight, bias, activated=not self._cosine)

    def __call__(self, x: Tensor) -> Tensor:
        h = self.matrix(x.flatten(1))
        return (h.cos_() if self._cosine else h).clamp_(-self._bound, self._bound)


def _lift(lift: Lift) -> Step:
    return _Mapped(lift) if lift.kind in ("relu", "fourier") else lift.forward


def _layers(dense: Dense, grown: bool) -> list[Step]:
    """Hidden layers behind a ReLU; those with branches or inserted layers are called as they are."""
    if grown:
        return [dense] if len(dense.layers) else []
    return [step for layer in dense.layers for step in _hidden(cast(GrownLinear, layer))]


def _hidden(layer: GrownLinear) -> list[Step]:
    return [layer.activated] if layer.insertions else [PackedMatrix(*_matrix(layer), activated=True)]


def _matrix(layer: GrownLinear) -> tuple[Tensor, Tensor]:
    """The layer as one weight [out, in] and bias [out]; those of a layer of one block are shared, not copied."""
    blocks = list(layer)
    if len(blocks) == 1 and blocks[0].columns[0] == 0 and blocks[0].bias is not None:
        return blocks[0].weight.detach(), blocks[0].bias.detach()
    return matrix(layer)
