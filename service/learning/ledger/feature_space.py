"""Feature spaces: what a frozen extractor makes of a row, rounded once to a fixed grid, and the id that names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, log2
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from service.learning.backbones.extractor import Extractor
from service.learning.data.rows import Array, FeatureRows, Ints, Rows
from service.learning.ledger.space_id import space_id
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.layers import stored
from service.learning.network.lifts import Lift
from service.learning.network.network import Network, build
from service.learning.run import no_check, no_progress

BLOCK = 64
"""Rows that go through the extractor at once, the last block padded: a row's bits owe nothing to its companions."""
GRID_LIMIT = 2**15 - 1
"""Largest rounded feature: what int16 holds on both sides of zero."""
HEADROOM = 4.0
"""A backbone that states no bound: this many times the largest feature of the first batch."""
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
    features, done = np.empty((len(inputs), space.width), np.int16), 0
    for places, h in feature_blocks(space.network, inputs):
        check()
        on_grid = torch.round(h * 2.0**space.shift).clamp_(-GRID_LIMIT, GRID_LIMIT)
        features[places] = on_grid.to(torch.int16).numpy()
        done += len(places)
        progress("features", done, len(inputs))
    return features


def feature_rows(
    space: Space,
    rows: Rows,
    check: Callable[[], None] = no_check,
    progress: Callable[[str, int, int], None] = no_progress,
) -> FeatureRows:
    """Rows of raw inputs with their features on the grid, see `rounded`."""
    return rows.with_features(rounded(space, rows.inputs, check, progress))


def extracted(network: Network, inputs: Array) -> Tensor:
    """Of raw rows, not rounded. [n, ...] -> [n, M] float32"""
    features = torch.zeros(len(inputs), feature_width(network))
    for places, h in feature_blocks(network, inputs):
        features[torch.from_numpy(places)] = h
    return features


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
            companions_of_kind, rows = torch.nonzero(companions == kind)[:, 0], backbone.rows_at_once(kind)
            for first in range(0, len(companions_of_kind), rows):
                places = companions_of_kind[first : first + rows]
                yield start + places.numpy(), prepared[places, :kind], rows


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
