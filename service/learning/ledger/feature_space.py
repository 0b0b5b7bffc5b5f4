"""Feature spaces: what a frozen extractor makes of a row, rounded once to a fixed grid, and the id that names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, log2, prod
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from service.contract.inputs import Backbone, IdentityBackbone, ImageInput, InputSpec, PretrainedBackbone
from service.learning.backbones import load, resolved
from service.learning.backbones.extractor import Extractor
from service.learning.data.rows import Array, Ints, Rows, hash_order
from service.learning.ledger.space_id import space_id
from service.learning.method import Data, no_check, no_progress
from service.learning.network.blocks import GrownLinear
from service.learning.network.checkpoint import Checkpoint, Layout, Tensors
from service.learning.network.input_scale import CLIP, InputScale, input_reach
from service.learning.network.layers import stored
from service.learning.network.lifts import Lift, LiftKind, make_lift
from service.learning.network.network import Dense, Network, build, lift_layouts

BLOCK = 64
"""Rows that go through the extractor at once, the last block padded: a row's bits owe nothing to its companions."""
GRID_LIMIT = 2**15 - 1
"""Largest rounded feature: what int16 holds on both sides of zero."""
HEADROOM = 4.0
"""A backbone that states no bound: this many times the largest feature of the first batch."""
SAMPLED = 256
"""Rows of a first batch, those with the smallest hash, that tell the grid of a pretrained backbone without a bound."""
PREPARED = 4096
"""Texts that are prepared at once: those of one length among them share blocks."""


@dataclass(frozen=True, eq=False)
class Space:
    """A frozen extractor and its grid. id: 64 hexadecimal digits · width: M features · shift: in steps of 2^-shift."""

    id: str
    width: int
    shift: int
    network: Network

    @classmethod
    def of(cls, version: Network | Checkpoint) -> Space:
        """The space of a version; its layout must state a shift (`shift_for`)."""
        network = build(version) if isinstance(version, Checkpoint) else version
        shift = network.layout.shift
        if shift is None:
            raise ValueError("This version has no grid: its layout states no shift.")
        return cls(space_id(network), feature_width(network), shift, network.eval())

    @property
    def step(self) -> float:
        """One step of the grid: feature = rounded feature x step."""
        return 2.0**-self.shift

    @property
    def multiply_adds(self) -> int:
        """Of one row's features."""
        lifts = sum(cast(Lift, lift).multiply_adds for lift in self.network.lifts)
        return backbone_multiply_adds(self.network) + lifts


def shift_for(bound: float) -> int:
    """The finest grid on which features up to `bound` fit 16 bits: s = 15 - ceil(log2 bound)."""
    return 15 - ceil(log2(max(bound, 2.0**-16)))


def identity_network(spec: InputSpec, scale: InputScale, lifts: Sequence[Lift] = ()) -> Network:
    """The scaled input behind lifts, on its grid, without a head: the network of a model before its first version."""
    size = prod(spec.shape)
    bound = max((lift.bound for lift in lifts), default=CLIP)
    layout = Layout(
        input=spec, backbone=IdentityBackbone(), lifts=lift_layouts(lifts), shift=shift_for(bound), classes=[]
    )
    width = sum(lift.width for lift in lifts) or size
    return Network(layout, scale, Dense([], size), lifts, Dense([], width), GrownLinear([])).eval()


def pretrained_network(
    spec: InputSpec,
    scale: InputScale,
    backbone: PretrainedBackbone,
    weights: Tensors,
    kinds: Sequence[LiftKind] = ("none",),
    width: int | None = None,
    known: float | None = None,
    first: Rows | None = None,
) -> Network:
    """A frozen pretrained backbone, alone or behind lifts, on its grid, without a head.

    A backbone that states no bound has the `known` one, or that of its features of the `first` batch. The lift "conv"
    is of the image, beside the features; "relu" and "fourier" are of the features. Raises MethodRefused where a lift
    cannot be.
    """
    named = resolved(spec, backbone)
    extractor = load(named, weights)
    bound, lifts = extractor.bound, list[Lift]()
    if bound is None:
        bound = known if known is not None else _first_bound(spec, named, scale, extractor, first)
    if list(kinds) != ["none"]:
        lifts = [_beside(extractor, spec, kind, width, bound) for kind in kinds]
    bounds = [lift.bound for lift in lifts] or [bound]
    layout = Layout(input=spec, backbone=named, lifts=lift_layouts(lifts), shift=shift_for(max(bounds)), classes=[])
    features = sum(lift.width for lift in lifts) or extractor.width
    return Network(layout, scale, extractor, lifts, Dense([], features), GrownLinear([])).eval()


def _first_bound(
    spec: InputSpec, backbone: PretrainedBackbone, scale: InputScale, extractor: Extractor, first: Rows | None
) -> float:
    """Of a backbone that states none: what its features of the first batch tell."""
    layout = Layout(input=spec, backbone=backbone, classes=[])
    alone = Network(layout, scale, extractor, [], Dense([], extractor.width), GrownLinear([])).eval()
    return largest_feature(alone, first.take(hash_order(first)[:SAMPLED]).inputs if first is not None else np.zeros(0))


def _beside(extractor: Extractor, spec: InputSpec, kind: LiftKind, width: int | None, bound: float) -> Lift:
    if kind == "conv":
        return make_lift(kind, spec.shape, width, reach=input_reach(spec))
    reach = extractor.reach if extractor.bound is not None else bound
    return make_lift(kind, (extractor.width,), width, reach=reach, spread=extractor.spread)


def frozen_trunk(base: Checkpoint | None, data: Data, scale: InputScale, backbone: Backbone) -> Network:
    """What stands still below a head that is made anew: the base's where it has the same pretrained backbone, else the
    backbone itself. On its grid, without neck and head."""
    if not isinstance(backbone, PretrainedBackbone):
        return identity_network(data.input, scale)
    other = base is None or base.layout.backbone != resolved(data.input, backbone)
    if base is None or other or base.layout.trained or base.layout.low_rank:
        return pretrained_network(data.input, scale, backbone, data.pretrained(), first=data.batch)
    network = build(base)
    give_grid(network, data.batch)
    network.neck, network.head = Dense([], feature_width(network)), GrownLinear([])
    return network


def give_grid(network: Network, first: Rows) -> None:
    """A grid for a version that has none, as it came from elsewhere or training moved its features: by the bound of
    its features, where one is stated, else by those of the `first` rows that it learns."""
    if network.layout.shift is None:
        bound = network.backbone.bound if isinstance(network.backbone, Extractor) else None
        bound = CLIP if isinstance(network.layout.backbone, IdentityBackbone) else bound
        shift = shift_for(largest_feature(network, first.inputs) if bound is None else bound)
        network.layout = network.layout.model_copy(update={"shift": shift})


def examining_network(spec: InputSpec, scale: InputScale) -> Network:
    """Where a network that was trained here is examined: the scaled input, of images random convolutions."""
    image = isinstance(spec, ImageInput) and min(spec.height, spec.width) >= 3
    lifts = [make_lift("conv", spec.shape, reach=input_reach(spec))] if image else []
    return identity_network(spec, scale, lifts)


def feature_width(network: Network) -> int:
    """M, the features of one row."""
    if len(network.lifts):
        return sum(cast(Lift, lift).width for lift in network.lifts)
    return cast(int, network.backbone.width)


def backbone_multiply_adds(network: Network) -> int:
    """Of one row's way through the backbone: weights of dense blocks, weights of filters once a place, and branches."""
    if isinstance(network.backbone, Extractor):
        return network.backbone.multiply_adds
    layers = network.hidden_layers()[: -len(network.neck.layers) or None]
    return sum(owner.multiply_adds for owner in stored(layers, network.low_rank))


def rounded(
    space: Space,
    inputs: Array,
    check: Callable[[], None] = no_check,
    progress: Callable[[str, int, int], None] = no_progress,
) -> NDArray[np.int16]:
    """Features of raw inputs [n, ...] on the grid. -> [n, M] int16; clip(rint(h x 2^shift)).

    Computed in padded blocks of one shape on one thread: so a row has the same bits whatever it arrives with.
    """
    found, done = np.empty((len(inputs), space.width), np.int16), 0
    for places, h in feature_blocks(space.network, inputs):
        check()
        on_grid = torch.round(h * 2.0**space.shift).clamp_(-GRID_LIMIT, GRID_LIMIT)
        found[places] = on_grid.to(torch.int16).numpy()
        done += len(places)
        progress("features", done, len(inputs))
    return found


def extracted(network: Network, inputs: Array) -> Tensor:
    """Of raw rows, not rounded. [n, ...] -> [n, M] float32"""
    found = torch.zeros(len(inputs), feature_width(network))
    for places, h in feature_blocks(network, inputs):
        found[torch.from_numpy(places)] = h
    return found


def feature_blocks(network: Network, inputs: Array) -> Iterator[tuple[Ints, Tensor]]:
    """(places of some rows, their features [b, M] float32), block after block, each row once.

    Blocks have 64 rows; fewer where a pretrained backbone asks for it, and of texts those of one length."""
    for places, prepared, rows in _blocks(network, inputs):
        block = prepared.new_zeros(rows, *prepared.shape[1:])
        block[: len(prepared)] = prepared
        with _one_thread(), torch.no_grad():
            h = network.features(block)
        yield places, h[: len(places)]


def _blocks(network: Network, inputs: Array) -> Iterator[tuple[Ints, Tensor, int]]:
    """(places, prepared rows, rows of a full block)"""
    backbone = network.backbone
    if not isinstance(backbone, Extractor) or inputs.dtype != object:
        rows = backbone.rows_at_once(0) if isinstance(backbone, Extractor) else BLOCK
        for start in range(0, len(inputs), rows):
            block = inputs[start : start + rows]
            yield np.arange(start, start + len(block)), network.prepare(block), rows
        return
    for start in range(0, len(inputs), PREPARED):
        prepared = network.prepare(inputs[start : start + PREPARED])
        companions = backbone.companions(prepared)
        for kind in sorted(set(companions.tolist())):
            mine, rows = torch.nonzero(companions == kind)[:, 0], backbone.rows_at_once(kind)
            for first in range(0, len(mine), rows):
                at = mine[first : first + rows]
                yield start + at.numpy(), prepared[at, :kind], rows


def largest_feature(network: Network, inputs: Array) -> float:
    """The bound of a backbone that states none: 4 x the largest |feature| of these inputs."""
    return HEADROOM * max((float(h.abs().max()) for _, h in feature_blocks(network, inputs)), default=1.0)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
