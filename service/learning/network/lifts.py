"""A lift is a fixed map in front of the exact head, random or none, with which a linear head separates more classes.

Random weights come from a fixed constant, not from an update's seed, through a generator whose stream is frozen for
good (numpy's RandomState, NEP 19), and are stored all the same. So the same lift arises in every service.

Random ReLU and Fourier features: Rahimi and Recht, "Random Features for Large-Scale Kernel Machines", 2007.
Random convolutions: Saxe et al., "On Random Weights and Unsupervised Feature Learning", 2011; the square root of what
is pooled: Perronnin et al., "Improving the Fisher Kernel for Large-Scale Image Classification", 2010.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, pi, prod, sqrt
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from service.contract.inputs import WIDEST_EXACT, InputSpec
from service.contract.tables import TableInput
from service.errors import MethodRefused
from service.learning.data.rows import Floats
from service.learning.network.checkpoint import LiftLayout
from service.learning.network.input_scale import CLIP, input_reach
from service.learning.network.table_scale import columns_of, table_weights

LiftKind = Literal["none", "relu", "sparse", "fourier", "conv"]

LIFT_SEED = 20_250_915
WIDTH = 1_000
NARROW = 600
"""Random features beside the scaled ones, of vectors with numbers as targets and of tables, until rows are many."""
LEAST_WIDTH = 100
"""Fewer random features than so many are not tried."""
CLASS_TABLE_LIFTS: tuple[LiftKind, ...] = ("relu", "sparse")
"""Random features that are tried on tables with classes: cosines were behind sparse ones on three of four, by 0.001 to
0.007 of AUC, and level on the fourth."""
SEEN = 3.0
"""Inputs, or columns of a table, that a sparse random feature sees on average."""
WIDE = 2_000
"""Width of random features up to `WIDE_ROWS` rows, and beyond."""
WIDE_ROWS = 14_000
"""Rows of which about 10,000 learn."""
BANDWIDTH = 1.4
"""Fourier: frequencies have the standard deviation BANDWIDTH / (spread x sqrt(inputs)), spread that of the inputs."""
RANGED_SPREAD = 0.5
"""Spread of inputs whose declared range is mapped to [-1, 1]; inputs with a mean and std have 1."""
POOLED = 3
"""Random convolutions are averaged over at most 3 x 3 fields."""
SMALL = 16
"""Side in pixels below which an image gets fewer and smaller filters."""
RELU_REACH = 32.0
FLAT = 1e-6
"""Mean of a filter's answers that rounding alone leaves of a flat patch: taken off before the root, which has no bound
on how it stretches what is near 0."""
CACHED = 2**20
"""Numbers of maps that are made at once: 4 MiB."""
NO_IMAGE = 'lift "conv" takes images of 3x3 and more; here "relu" or "fourier" work.'


@dataclass(frozen=True)
class NamedLifts:
    """Lifts that somebody asked for, side by side. width: of each one, None: the usual one of its kind."""

    kinds: tuple[LiftKind, ...]
    width: int | None = None


UNLIFTED = NamedLifts(("none",))


class Lift(nn.Module):
    """Scaled inputs or backbone features [n, ...] -> features [n, width] float32, none larger than `bound`."""

    weight: Tensor
    bias: Tensor

    def __init__(self, kind: LiftKind, shape: Sequence[int], weight: Tensor, bias: Tensor, bound: float) -> None:
        super().__init__()
        self.kind, self.shape, self.bound = kind, tuple(shape), bound
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    @property
    def width(self) -> int:
        if self.kind == "none":
            return prod(self.shape)
        if self.kind == "conv":
            return 2 * len(self.weight) * prod(_fields(self.shape, self.weight.shape[-1]))
        return len(self.weight)

    @property
    def multiply_adds(self) -> int:
        if self.kind != "conv":
            return self.weight.numel()
        return prod(_maps(self.shape, self.weight.shape[-1])) * self.weight.numel()

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "none":
            return x.flatten(1)
        if self.kind == "conv":
            images = x.reshape(x.shape[0], *self.shape)
            # an exported program takes any number of rows, which cannot be split beforehand
            parts = [images] if torch.compiler.is_exporting() else torch.split(images, self._at_once)
            h = torch.cat([self._convolved(part) for part in parts])
        elif self.kind in ("relu", "sparse"):
            h = F.linear(x.flatten(1), self.weight).relu()
        else:
            h = torch.cos(F.linear(x.flatten(1), self.weight, self.bias))
        return h.clamp(-self.bound, self.bound)

    @property
    def _at_once(self) -> int:
        """Images whose maps fit a processor's cache together: a power of two, so that it divides any block."""
        numbers = len(self.weight) * prod(_maps(self.shape, self.weight.shape[-1]))
        return 1 << (max(CACHED // numbers, 1).bit_length() - 1)

    def _convolved(self, images: Tensor) -> Tensor:
        """Roots of the means of both signs of each filter. Channels last: the means are taken many filters at once.
        [n, c, h, w] -> [n, width]"""
        last = torch.channels_last
        x = torch.empty_like(images, memory_format=last).copy_(images)
        maps = F.conv2d(x, self.weight.contiguous(memory_format=last), stride=_stride(self.shape))
        fields = _fields(self.shape, self.weight.shape[-1])
        positive = F.adaptive_avg_pool2d(maps.relu(), fields)
        means = torch.cat([positive, F.adaptive_avg_pool2d(maps.clamp_max_(0), fields).neg_()], 1).flatten(1)
        return means.sub_(FLAT).relu_().sqrt_()

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of the part `lift.<n>`."""
        return {
            "weight": self.weight.detach().clone(),
            "bias": self.bias.detach().clone(),
            "shape": torch.tensor(self.shape, dtype=torch.int64),
            "bound": torch.tensor(self.bound, dtype=torch.float32),
        }


def load_lift(layout: LiftLayout, tensors: Mapping[str, Tensor]) -> Lift:
    shape = [int(n) for n in tensors["shape"]]
    return Lift(layout.kind, shape, tensors["weight"].clone(), tensors["bias"].clone(), float(tensors["bound"]))


def make_lift(
    kind: LiftKind, shape: Sequence[int], width: int | None = None, reach: float = CLIP, spread: float | None = None
) -> Lift:
    """Makes the lift of that kind over rows of `shape`, whose scaled values reach `reach` (`input_reach`).

    `spread`: their standard deviation; None: 1, or 1/2 for inputs with a declared range.

    `width`: features wanted; None: 1,000, for convolutions 64 filters 5x5 (small images 32 of 3x3, large ones 7x7). A
    convolution gives the nearest multiple of 18 at or below. Raises MethodRefused where `conv` meets no image.
    """
    if kind == "none":
        return Lift(kind, shape, torch.zeros(0), torch.zeros(0), CLIP if spread is None else reach)
    draw = np.random.RandomState(LIFT_SEED)
    if kind == "conv":
        return _convolutions(shape, width, draw, reach)
    inputs = prod(shape)
    weight = draw.standard_normal((width or WIDTH, inputs)) / sqrt(inputs)
    return _random_features(kind, shape, weight, inputs, reach, spread or (1.0 if reach >= CLIP else RANGED_SPREAD))


def _random_features(
    kind: LiftKind, shape: Sequence[int], weight: Floats, inputs: int, reach: float, spread: float
) -> Lift:
    """Random features of these weights [width, n]. inputs: of which a sparse one sees some"""
    if kind == "sparse":
        weight = _thinned(weight, inputs)
    if kind in ("relu", "sparse"):
        bound = min(reach * sqrt(prod(shape)) * float(np.linalg.norm(weight, axis=1).max()), RELU_REACH)
        return Lift(kind, shape, _tensor(weight), torch.zeros(0), float(np.float32(bound)))
    phase = np.random.RandomState(LIFT_SEED + 1).uniform(0, 2 * pi, len(weight))
    return Lift(kind, shape, _tensor(weight * BANDWIDTH / spread), _tensor(phase), 1.0)


def _convolutions(shape: Sequence[int], width: int | None, draw: np.random.RandomState, reach: float) -> Lift:
    """Zero-mean unit filters: |z| <= sqrt(k^2 c) x reach by Cauchy-Schwarz, whatever the image; features are roots."""
    if len(shape) != 3 or min(shape[1:]) < 3:
        raise MethodRefused.at("/method/lift", NO_IMAGE)
    side = min(shape[1:])
    kernel, filters = (3, 32) if side < SMALL else (5, 64) if side < 64 else (7, 64)
    if width is not None:
        filters = max(width // (2 * prod(_fields(shape, kernel))), 1)
    weight = draw.standard_normal((filters, shape[0], kernel, kernel))
    weight -= weight.mean((1, 2, 3), keepdims=True)
    weight /= np.sqrt((weight**2).sum((1, 2, 3), keepdims=True))
    bound = float(np.float32(sqrt(kernel * sqrt(shape[0]) * reach)))
    return Lift("conv", shape, _tensor(weight), torch.zeros(0), bound)


def _stride(shape: Sequence[int]) -> int:
    return 1 if min(shape[1:]) < 64 else 2


def _maps(shape: Sequence[int], kernel: int) -> tuple[int, int]:
    step = _stride(shape)
    return (shape[1] - kernel) // step + 1, (shape[2] - kernel) // step + 1


def _fields(shape: Sequence[int], kernel: int) -> tuple[int, int]:
    height, width = _maps(shape, kernel)
    return min(POOLED, height), min(POOLED, width)


def lift_of(spec: InputSpec, kind: LiftKind, width: int | None = None) -> Lift:
    """Makes the lift of that kind over the scaled rows of such inputs; see `make_lift`."""
    if isinstance(spec, TableInput):
        return table_lift(spec, kind, width)
    return make_lift(kind, spec.shape, width, reach=input_reach(spec))


def table_lift(spec: TableInput, kind: LiftKind, width: int | None = None) -> Lift:
    """Makes the lift of that kind over the fixed features of a table's rows.

    Every column weighs alike, the parts of a date as three; pieces of numbers have no weight, since they say again what
    the number says. Raises MethodRefused where `conv` meets no image.
    """
    shape = (spec.features,)
    if kind in ("none", "conv"):
        return make_lift(kind, shape)
    drawn = np.random.RandomState(LIFT_SEED).standard_normal((width or WIDTH, spec.features))
    return _random_features(kind, shape, drawn * table_weights(spec), columns_of(spec), inf, 1.0)


def _thinned(weight: Floats, inputs: int) -> Floats:
    """Leaves each random feature so many weights that it sees `SEEN` of the inputs on average, as long as before."""
    share = min(SEEN / inputs, 1.0)
    kept = np.random.RandomState(LIFT_SEED + 2).random_sample(weight.shape) < share
    return np.asarray(weight * kept / sqrt(share))


def candidate_lifts(spec: InputSpec, rows: int) -> list[list[Lift]]:
    """The lifts that `auto` tries for so many rows, smallest first: each is a list of lifts side by side.

    On images convolutions take the place of Fourier features, which they beat wherever both were measured. Of vectors,
    beyond `WIDE_ROWS`, both random features at half the width are tried too: on seven tables they were never the worst,
    so a close call between the two cannot go far wrong.
    """
    width, shape, reach = (WIDE if rows > WIDE_ROWS else WIDTH), spec.shape, input_reach(spec)
    if isinstance(spec, TableInput):
        return table_candidates(spec, rows)
    image = len(shape) == 3 and min(shape[1:]) >= 3
    kinds: list[LiftKind] = ["relu"] if image else ["relu", "fourier"]
    if prod(shape) <= WIDEST_EXACT:
        kinds.insert(0, "none")
    candidates = [[make_lift(kind, shape, width, reach=reach)] for kind in kinds]
    if image:
        candidates.append([make_lift("conv", shape, reach=reach)])
    elif width == WIDE:
        candidates.append([make_lift(kind, shape, width // 2, reach=reach) for kind in ("relu", "fourier")])
    return sorted(candidates, key=lambda lifts: sum(lift.width for lift in lifts))


def table_candidates(spec: TableInput, rows: int, kinds: Sequence[LiftKind] = CLASS_TABLE_LIFTS) -> list[list[Lift]]:
    """The lifts that are tried on tables: none, and random features beside the fixed ones, as far as they fit."""
    width = min(WIDTH if rows > WIDE_ROWS else NARROW, WIDEST_EXACT - spec.features)
    alone = [table_lift(spec, "none")]
    return [alone, *([*alone, table_lift(spec, kind, width)] for kind in kinds if width >= LEAST_WIDTH)]


def twice_the_filters(spec: InputSpec, lifts: Sequence[Lift], rows: int) -> list[Lift] | None:
    """Convolutions with twice the filters of these; None for other lifts, for small images and for few rows."""
    if [lift.kind for lift in lifts] != ["conv"] or rows < WIDTH or min(spec.shape[1:]) < SMALL:
        return None
    return [make_lift("conv", spec.shape, 2 * lifts[0].width, reach=input_reach(spec))]


def _tensor(values: Floats) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
