"""Feature spaces: what a frozen extractor makes of a row, rounded once to a fixed grid, and the id that names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, log2, prod
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from service.contract.inputs import IdentityBackbone, InputSpec
from service.learning.architectures import Dense, Network, build, lift_layouts, parts_of
from service.learning.batch import Array
from service.learning.checkpoint import Checkpoint, Layout, Tensors
from service.learning.heads import GrownLinear
from service.learning.lifts import Lift
from service.learning.method import no_check, no_progress
from service.learning.preprocessing import CLIP, InputScale

BLOCK = 64
"""Rows that go through the extractor at once, the last block padded: a row's bits owe nothing to its companions."""
GRID_LIMIT = 2**15 - 1
"""Largest rounded feature: what int16 holds on both sides of zero."""
HEADROOM = 4.0
"""A trained backbone states no bound: this many times the largest feature of the first batch."""


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


def feature_width(network: Network) -> int:
    """M, the features of one row."""
    if len(network.lifts):
        return sum(cast(Lift, lift).width for lift in network.lifts)
    return cast(int, network.backbone.width)


def backbone_multiply_adds(network: Network) -> int:
    """Of one row's way through the backbone: weights of dense blocks, weights of filters once a place."""
    if isinstance(network.backbone, Dense):
        return sum(p.numel() for p in network.backbone.parameters() if p.ndim > 1)
    total = 0
    _, height, width = network.layout.input.shape
    for layer in network.backbone.modules():
        if isinstance(layer, nn.Conv2d):
            total += layer.weight.numel() * height * width
        elif isinstance(layer, nn.MaxPool2d):
            height, width = height // 2, width // 2
    return total


def space_id(network: Network) -> str:
    """SHA-256 of everything that decides a rounded feature, 64 hexadecimal digits.

    Bytes hashed, in this order: (1) sorted compact JSON, UTF-8, of {"input": shape, "backbone": its layout, "layers":
    its blocks, "lifts": [[kind, width], ...], "shift": s}, then a zero byte; (2) for each part out of `scale`,
    `backbone.<n>`, `lift.<n>`, sorted by name, and each of its tensors, sorted by name: "part/tensor" UTF-8, a zero
    byte, the dtype's name ("float32") and a zero byte, the number of dimensions and each of them as int64, then the
    values row by row. All numbers little-endian.
    """
    layout = network.layout
    told = {
        "input": layout.input.shape,
        "backbone": layout.backbone.model_dump(mode="json"),
        "layers": [[block.model_dump(mode="json") for block in layer] for layer in layout.layers],
        "lifts": [[lift.kind, lift.width] for lift in layout.lifts],
        "shift": layout.shift,
    }
    sha = hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode() + b"\0")
    for part, tensors in sorted(parts_of(network).items()):
        if part.split(".")[0] in ("scale", "backbone", "lift"):
            _hash_part(sha, part, tensors)
    return sha.hexdigest()


def _hash_part(sha: hashlib._Hash, part: str, tensors: Tensors) -> None:
    for name, tensor in sorted(tensors.items()):
        values = tensor.numpy()
        sha.update(f"{part}/{name}\0{values.dtype.name}\0".encode())
        sha.update(np.array([values.ndim, *values.shape], "<i8").tobytes())
        sha.update(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes())


def rounded(
    space: Space,
    inputs: Array,
    check: Callable[[], None] = no_check,
    progress: Callable[[str, int, int], None] = no_progress,
) -> NDArray[np.int16]:
    """Features of raw inputs [n, ...] on the grid. -> [n, M] int16; clip(rint(h x 2^shift)).

    Computed in padded blocks of 64 rows on one thread: so a row has the same bits whatever it arrives with.
    """
    found = np.empty((len(inputs), space.width), np.int16)
    for start, h in feature_blocks(space.network, inputs):
        check()
        on_grid = torch.round(h * 2.0**space.shift).clamp_(-GRID_LIMIT, GRID_LIMIT)
        found[start : start + len(h)] = on_grid.to(torch.int16).numpy()
        progress("features", start + len(h), len(inputs))
    return found


def feature_blocks(network: Network, inputs: Array) -> Iterator[tuple[int, Tensor]]:
    """(first row, features [<= 64, M] float32), block after block."""
    for start in range(0, len(inputs), BLOCK):
        rows = np.ascontiguousarray(inputs[start : start + BLOCK])
        block = np.zeros((BLOCK, *rows.shape[1:]), rows.dtype)
        block[: len(rows)] = rows
        with _one_thread(), torch.no_grad():
            h = network.features(torch.from_numpy(block))
        yield start, h[: len(rows)]


def largest_feature(network: Network, inputs: Array) -> float:
    """The bound that a trained backbone states: 4 x the largest |feature| of these inputs."""
    return HEADROOM * max((float(h.abs().max()) for _, h in feature_blocks(network, inputs)), default=1.0)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
