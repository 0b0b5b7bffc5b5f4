"""Feature spaces: the features of a frozen extractor, rounded once to a fixed grid, and the id that names them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, log2
from typing import Any, cast
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from service.contract.figures import row_number
from service.contract.inputs import PretrainedBackbone, places_of
from service.contract.tables import TableInput, table_facts
from service.errors import MethodRefused
from service.learning.backbones.extractor import Extractor, SharedWeights
from service.learning.data.rows import Array, FeatureRows, Ints, Rows
from service.learning.data.target_grid import NumberGrid
from service.learning.devices import CPU, placed
from service.learning.network.checkpoint import Checkpoint, Tensors, of_kinds
from service.learning.network.lifts import Lift
from service.learning.network.network import Network, build, forward_cost, parts_of
from service.learning.network.part_kinds import FROZEN
from service.learning.run import UNWATCHED, Reached, Run

BLOCK = 64
"""Rows that pass the extractor at once, the last block padded: a row's bits do not depend on its companions."""
GRID_LIMIT = 2**15 - 1
"""Largest rounded feature that int16 holds on both sides of zero."""
HEADROOM = 4.0
"""Bound of a backbone that states none, over the largest feature of the first batch."""
PREPARED = 4096
"""Texts that are prepared at once; those of one length among them share blocks."""


@dataclass(frozen=True, eq=False)
class Space:
    """A frozen extractor and its grid. id: 64 hexadecimal digits · width: M columns of an entry · shift: of steps
    2^-shift.

    Where targets are numbers, the last 2 k of the M columns are their limbs (`NumberGrid`), the others features.
    """

    id: str
    width: int
    shift: int
    network: Network

    @property
    def numbers(self) -> NumberGrid | None:
        return self.network.layout.numbers

    @property
    def features(self) -> int:
        """Columns of an entry that are features."""
        return self.width - self.network.layout.limbs

    @classmethod
    def of(cls, version: Network | Checkpoint) -> Space:
        """Returns the space of a version whose layout states a shift; that of a checkpoint is made once."""
        if isinstance(version, Checkpoint):
            return _SPACES.get(version) or _SPACES.setdefault(version, cls.of(build(version)))
        network, shift = version, version.layout.shift
        if shift is None:
            raise ValueError("This version has no grid: its layout states no shift.")
        width = feature_width(network) + network.layout.limbs
        return cls(space_id(network), width, shift, network.eval())

    @property
    def step(self) -> float:
        """Step of the grid: feature = rounded feature x step."""
        return 2.0**-self.shift

    @property
    def multiply_adds(self) -> int:
        """Multiplications for the features of one row."""
        lifts = sum(cast(Lift, lift).multiply_adds for lift in self.network.lifts)
        return backbone_multiply_adds(self.network) + lifts


_SPACES: WeakKeyDictionary[Checkpoint, Space] = WeakKeyDictionary()
"""Spaces of versions that are still held: an update asks for those of its base and of what it makes again and again."""


def shift_for(bound: float) -> int:
    """Returns the finest grid on which features up to `bound` fit 16 bits: s = 15 - ceil(log2 bound)."""
    return 15 - ceil(log2(max(bound, 2.0**-16)))


def feature_width(network: Network) -> int:
    """Returns M, the number of features of a row."""
    if len(network.lifts):
        return sum(cast(Lift, lift).width for lift in network.lifts)
    return cast(int, network.backbone.width)


def backbone_multiply_adds(network: Network) -> int:
    """Counts multiplications for one row: weights of dense blocks, of filters once a place, and of branches."""
    if isinstance(network.backbone, Extractor):
        return network.backbone.multiply_adds
    return forward_cost(nn.ModuleList([network.backbone, network.low_rank]))


def rounded(space: Space, inputs: Array, run: Run = UNWATCHED, name: str | None = None) -> NDArray[np.int16]:
    """Computes the features of raw inputs [n, ...] on the grid: clip(rint(h x 2^shift)). -> [n, M] int16

    In padded blocks of one shape on one thread, so that a row has the same bits whatever rows come with it. On another
    device some are a step of the grid away. `name`: under which the run saves them as they are made.
    """
    features, there = np.empty((len(inputs), space.features), np.int16), np.zeros(len(inputs) + 1, bool)
    saved = saved_features(run, name, space.features)
    features[: len(saved)], there[: len(saved)], done = saved, True, len(saved)
    for places, h in feature_blocks(space.network, inputs[done:], run.device):
        run.check()
        on_grid = torch.round(h * 2.0**space.shift).clamp_(-GRID_LIMIT, GRID_LIMIT)
        features[len(saved) + places] = on_grid.to(torch.int16).numpy()
        there[len(saved) + places] = True
        done += len(places)
        run.progress("features", done, len(inputs))
        save_features(run, name, lambda: features[: int(there.argmin())])
    return features


def saved_features(run: Run, name: str | None, width: int) -> NDArray[np.int16]:
    """What was saved of features of that name: those of the first rows. -> [k, width]"""
    reached = run.trainings.features(name) if run.trainings is not None and name is not None else None
    tensor = reached.tensors.get("features") if reached is not None else None
    whole = tensor is not None and tensor.shape[1] == width
    return cast(Tensor, tensor).numpy() if whole else np.empty((0, width), np.int16)


def save_features(run: Run, name: str | None, first: Callable[[], Array]) -> None:
    """Saves those of the first rows where that is due."""
    if run.trainings is not None and name is not None:
        run.trainings.note_features(name, lambda: Reached({}, {"features": torch.from_numpy(first())}))


def feature_rows(space: Space, rows: Rows, run: Run = UNWATCHED, name: str | None = None) -> FeatureRows:
    """Computes the features of rows on the grid, see `rounded`; beside them the limbs of targets that are numbers."""
    columns = rounded(space, rows.inputs, run, name)
    if space.numbers is not None:
        columns = np.concatenate([columns, _limbs(space.numbers, rows)], 1)
    return rows.with_features(columns)


def _limbs(grid: NumberGrid, rows: Rows) -> NDArray[np.int16]:
    """The limbs of the rows' goals. Raises MethodRefused where one is beyond the grid, which nobody could know when the
    batch came before the first version."""
    goals = grid.goals(rows.targets if len(rows) else np.zeros((0, grid.size)), rows.inputs)
    if len(beyond := np.argwhere(~grid.fits(goals))):
        row, number = beyond[0]
        low, high = (float(grid.targets(end[None], rows.inputs[row : row + 1])[0, number]) for end in grid.ends)
        batch = rows.batches[rows.batch[row]]
        raise MethodRefused(
            f"The target {rows.targets[row, number]:g} of row {row_number(rows.row[row])} of batch {batch} is beyond "
            f"the grid on which targets are summed: from {low:.6g} to {high:.6g} fits. Check its unit and take the "
            "batch back, or start a new model whose target declares a range."
        )
    return grid.limbs(goals)


def extracted(network: Network, inputs: Array) -> Tensor:
    """Computes features without rounding. [n, ...] -> [n, M] float32"""
    features = torch.zeros(len(inputs), feature_width(network))
    for places, h in feature_blocks(network, inputs):
        features[torch.from_numpy(places)] = h
    return features


def feature_blocks(network: Network, inputs: Array, device: torch.device = CPU) -> Iterator[tuple[Ints, Tensor]]:
    """Yields the places of a block of rows and their features [b, M] float32, until each row came once.

    A block has 64 rows, fewer where a pretrained backbone asks for it; its texts have one length. Rows are scaled on
    the CPU; backbone and lifts run on the device, from which features come back."""
    with placed(nn.ModuleList([network.backbone, network.lifts, network.low_rank]), device):
        for places, prepared, rows in _blocks(network, inputs):
            block = prepared.new_zeros(rows, *prepared.shape[1:])
            block[: len(prepared)] = prepared
            with _one_thread(), torch.no_grad():
                h = network.features_of(network.scaled(block).to(device)).cpu()
            yield places, h[: len(places)]


def _blocks(network: Network, inputs: Array) -> Iterator[tuple[Ints, Tensor, int]]:
    """Yields the places and prepared rows of a block, and the rows of a full one."""
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


def largest_feature(network: Network, inputs: Array, device: torch.device = CPU) -> float:
    """Returns the bound of a backbone that states none: 4 x the largest |feature| of these inputs."""
    return HEADROOM * max((float(h.abs().max()) for _, h in feature_blocks(network, inputs, device)), default=1.0)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def space_id(network: Network) -> str:
    """Returns the SHA-256 of everything that decides a rounded feature, 64 hexadecimal digits.

    Bytes hashed, in this order: (1) sorted compact JSON, UTF-8, of {"input": shape, "backbone": its layout, "layers":
    its blocks, "lifts": [[kind, width], ...], "shift": s}, and where there are any "inserted" layers, "low_rank"
    branches, "table" (its columns and indicators), "names" (of the columns of a vector) and "numbers" (the grid of
    targets), then a zero byte; (2) for each part out of `scale`, `backbone.<n>`, `lift.<n>`, sorted by name, and each
    of its tensors, sorted by name: "part/tensor" UTF-8, a zero byte, the dtype's name ("float32") and a zero byte, the
    number of dimensions and each of them as int64, then the values row by row. All numbers little-endian. Of a
    pretrained backbone in the place of its tensors: "backbone.0", a zero byte and the digest of the shard that holds
    them.
    """
    layout = network.layout
    facts: dict[str, Any] = {
        "input": layout.input.shape,
        "backbone": layout.backbone.model_dump(mode="json"),
        "layers": [[block.model_dump(mode="json") for block in layer] for layer in layout.layers],
        "lifts": [[lift.kind, lift.width] for lift in layout.lifts],
        "shift": layout.shift,
    }
    inserted = [one for one in layout.inserted if one.of == "backbone"]
    for name, additions in (("inserted", inserted), ("low_rank", layout.low_rank)):
        if additions:
            facts[name] = [one.model_dump(mode="json") for one in additions]
    if isinstance(layout.input, TableInput):
        facts["table"] = table_facts(layout.input)
    elif names := [*places_of(layout.input)]:
        facts["names"] = names
    if layout.numbers is not None:
        facts["numbers"] = layout.numbers.model_dump(mode="json")
    sha = hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode() + b"\0")
    for part, tensors in sorted(of_kinds(parts_of(network), FROZEN).items()):
        if part == "backbone.0" and isinstance(layout.backbone, PretrainedBackbone):
            shared = tensors if isinstance(tensors, SharedWeights) else SharedWeights(tensors)
            sha.update(f"{part}\0{shared.digest}".encode())
        else:
            _hash_part(sha, part, tensors)
    return sha.hexdigest()


def _hash_part(sha: hashlib._Hash, part: str, tensors: Tensors) -> None:
    for name, tensor in sorted(tensors.items()):
        values = tensor.numpy()
        sha.update(f"{part}/{name}\0{values.dtype.name}\0".encode())
        sha.update(np.array([values.ndim, *values.shape], "<i8").tobytes())
        sha.update(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes())
