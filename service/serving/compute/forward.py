"""Compiles a version's network into few tensor operations: the same sums as its modules, without their calls.

The blocks of a grown layer become one matrix, the head's columns are put in order, and the input scale becomes a part
of the first matrix, or is applied in place. Stages of a cnn are packed. Other modules (grown layers of a cnn,
pretrained backbones, branches) are called as they are. Answers agree with the modules' to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from service.contract.inputs import TextInput, VectorInput
from service.contract.tables import TableInput
from service.learning.data.learned_values import LearnedValues
from service.learning.network.blocks import GrownLinear
from service.learning.network.convolutions import Convolutions
from service.learning.network.growth import matrix
from service.learning.network.input_scale import CLIP, InputScale
from service.learning.network.lifts import Lift
from service.learning.network.network import Dense, Network
from service.learning.network.table_scale import TableScale
from service.serving.compute.alignment import aligned
from service.serving.compute.onednn import PackedMatrix, packed_stages
from service.serving.compute.table_rows import TableStep, table_steps

Step = Callable[[Tensor], Tensor]

Extremes = tuple[float, float]
"""The smallest and the largest number of rows."""
UNKNOWN = (float("-inf"), float("inf"))

MOST_SHIFT = 64.0
"""Largest mean of an input, in standard deviations, for which float32 can hold the scale within a matrix."""


class Forward:
    """Runs steps one after another; for a whole version: prepared rows [n, ...] -> answers [n, columns].

    Numbers within `unclipped` need no clipping.
    """

    def __init__(self, steps: Sequence[Step], clipping: Step | None = None, unclipped: Extremes = UNKNOWN) -> None:
        self.steps, self._clipping = steps, clipping
        self._low, self._high = unclipped

    def __call__(self, x: Tensor, extremes: Extremes = UNKNOWN) -> Tensor:
        within = self._low <= extremes[0] and extremes[1] <= self._high and x.dtype is torch.float32
        if self._clipping is not None and not within:
            x = self._clipping(x)
        x = aligned(x)
        for step in self.steps:
            x = step(x)
        return x


@dataclass(frozen=True)
class Ending:
    """How a forward pass ends: with the head's columns in this order, divided by the temperature; then with a step of
    its own, if there is one."""

    order: Sequence[int]
    temperature: float = 1.0
    last: Step | None = None


def forwards(
    network: Network, heads: Sequence[GrownLinear], ending: Ending, values: LearnedValues | None = None
) -> list[Forward]:
    """The forward pass of each head. values: of categories, that count; None: all do."""
    grown = len(network.low_rank) > 0
    body: list[Step] = [_Lifting(network, grown)] if len(network.lifts) else [*_backbone(network, grown), _flat]
    body += _layers(network.neck, grown)
    if isinstance(network.layout.input, VectorInput | TableInput):
        body = [step for step in body if step is not _flat]
    chains: list[list[Step]] = []
    for weight, bias in map(_matrix, heads):
        # dividing the matrix by the temperature saves an operation a pass
        order, temperature = list(ending.order), ending.temperature
        head = PackedMatrix(weight[order] / temperature, bias[order] / temperature)
        chains.append([*body, head] if ending.last is None else [*body, head, ending.last])
    if isinstance(network.layout.input, TextInput):
        compiled = [Forward(steps) for steps in chains]
    elif isinstance(network.scale, TableScale):
        compiled = _of_tables(network, network.scale, chains, values)
    else:
        compiled = _scaled(network, network.scale, chains)
    for packed in matrices(compiled):
        packed.pack()
    return compiled


def matrices(compiled: Sequence[Forward]) -> set[PackedMatrix]:
    """All matrices of several forward passes, each once."""
    steps = {step for forward in compiled for step in forward.steps}
    inner = {step for several in steps if isinstance(several, _Lifting | TableStep) for step in several.steps}
    return {step for step in steps | inner if isinstance(step, PackedMatrix)}


def _of_tables(
    network: Network, scale: TableScale, chains: Sequence[list[Step]], values: LearnedValues | None
) -> list[Forward]:
    """Compiles the fixed features and what sees them; beside branches, and where lifts see an mlp, the modules stay."""
    at = 1 if len(network.lifts) else 0
    layers = [steps[at] for steps in chains]
    seen = isinstance(network.backbone, Dense) and not (len(network.lifts) and len(network.backbone.layers))
    if seen and all(isinstance(layer, PackedMatrix) for layer in layers):
        lifts = [cast(Lift, lift) for lift in network.lifts]
        firsts = table_steps(scale, values, lifts, cast(list[PackedMatrix], layers))
        return [Forward([first, *steps[at + 1 :]]) for first, steps in zip(firsts, chains, strict=True)]
    known: list[Step] = [] if values is None else [lambda rows: torch.from_numpy(values.known_only(rows.numpy()))]
    return [Forward([*known, scale, *steps]) for steps in chains]


def _scaled(network: Network, scale: InputScale, chains: Sequence[list[Step]]) -> list[Forward]:
    """Puts the input scale before the steps, or into the first matrix if nothing is between them:
    clip((x - mean) / std, -8, 8) weightᵀ + bias = clip(x, mean - 8 std, mean + 8 std) (weight / std)ᵀ + bias'."""
    size = network.layout.input.shape
    at = next(k for k, step in enumerate(chains[0]) if step is not _flat)
    first = chains[0][at]
    foldable = isinstance(first, PackedMatrix) and len(first.weight) > 0
    if not foldable or bool((scale.mean.abs() > MOST_SHIFT * scale.std).any()):
        return [Forward([_scaling(scale), *steps]) for steps in chains]
    mean, std = (t.double().expand(size).reshape(-1) for t in (scale.mean, scale.std))
    folded: dict[Step, Step] = {}
    for linear in dict.fromkeys(cast(PackedMatrix, steps[at]) for steps in chains):
        weight = linear.weight.double() / std
        assert linear.bias is not None
        bias = (linear.bias.double() - weight @ mean).float()
        folded[linear] = PackedMatrix(weight.float(), bias, linear.activated)
    low, high = scale.mean - CLIP * scale.std, scale.mean + CLIP * scale.std
    clipping, unclipped = _clipping(low, high), (float(low.max()), float(high.min()))
    return [Forward([*steps[:at], folded[steps[at]], *steps[at + 1 :]], clipping, unclipped) for steps in chains]


def _flat(x: Tensor) -> Tensor:
    return x.flatten(1)


def _scaling(scale: InputScale) -> Step:
    mean, std = scale.mean, scale.std

    def scaled(x: Tensor) -> Tensor:
        # `sub` makes a new tensor: the rows of a request must not change
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
    """Does the same as `Convolutions.pooled`, without keeping the convolutions in memory."""
    return lambda x: F.adaptive_avg_pool2d(x, fields)


class _Lifting:
    """Joins the lifts, each of the scaled rows or of the backbone's features: [n, ...] -> [n, width]"""

    def __init__(self, network: Network, grown: bool) -> None:
        lifts = [cast(Lift, lift) for lift in network.lifts]
        self.features = Forward(_backbone(network, grown))
        self._lifts = [(lift.kind == "conv", _lift(lift)) for lift in lifts]
        self._needed = not all(of_rows for of_rows, _ in self._lifts)

    def __call__(self, scaled: Tensor) -> Tensor:
        x = self.features(scaled) if self._needed else scaled
        lifted = [lift(scaled if of_rows else x) for of_rows, lift in self._lifts]
        return lifted[0] if len(lifted) == 1 else torch.cat(lifted, 1)

    @property
    def steps(self) -> list[Step]:
        return [*self.features.steps, *(lift.matrix for _, lift in self._lifts if isinstance(lift, _MatrixLift))]


class _MatrixLift:
    """A lift that is a matrix and a function of each of its outputs."""

    def __init__(self, lift: Lift) -> None:
        self._cosine, self._bound = lift.kind == "fourier", lift.bound
        bias = lift.bias if self._cosine else None
        self.matrix = PackedMatrix(lift.weight, bias, activated=not self._cosine)

    def __call__(self, x: Tensor) -> Tensor:
        h = self.matrix(x.flatten(1))
        return (h.cos_() if self._cosine else h).clamp_(-self._bound, self._bound)


def _lift(lift: Lift) -> Step:
    return _MatrixLift(lift) if lift.kind in ("relu", "sparse", "fourier") else lift.forward


def _layers(dense: Dense, grown: bool) -> list[Step]:
    """Hidden layers with their ReLU; layers with branches or inserted layers are called as they are."""
    if grown:
        return [dense] if len(dense.layers) else []
    return [step for layer in dense for step in _hidden(layer)]


def _hidden(layer: GrownLinear) -> list[Step]:
    return [layer.activated] if layer.insertions else [PackedMatrix(*_matrix(layer), activated=True)]


def _matrix(layer: GrownLinear) -> tuple[Tensor, Tensor]:
    """A layer as one weight [out, in] and bias [out]; a single block is not copied."""
    blocks = list(layer)
    if len(blocks) == 1 and blocks[0].columns[0] == 0 and blocks[0].bias is not None:
        return blocks[0].weight.detach(), blocks[0].bias.detach()
    return matrix(layer)
