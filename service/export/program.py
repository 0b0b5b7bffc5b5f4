"""A version as one program of `torch.export`: raw rows in, answers out, and nothing of this project needed to run it.

The program is read from the file that the service gives of a version. It computes what the version answers to a row by
its own head: the scale, the backbone, the lifts, the head, and what comes behind it. Heads of sources and intervals are
not in it.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from service.contract.inputs import TextInput
from service.export import kinds
from service.learning.backbones.extractor import Extractor
from service.learning.data.rows import Array
from service.learning.data.serialization import unpack
from service.learning.network.checkpoint import LAYOUT, VALUES, Checkpoint
from service.learning.network.network import Network, build
from service.learning.network.part_kinds import SERVED, kind_of


def read_file(data: bytes) -> Checkpoint:
    """The version that `GET .../weights` gave, without the state of methods. Raises CorruptArtifact."""
    arrays, meta = unpack(data)
    parts: dict[str, dict[str, Tensor]] = {}
    for key, array in arrays.items():
        part, _, name = key.partition("/")
        if kind_of(part) in SERVED:
            parts.setdefault(part, {})[name] = torch.from_numpy(array.copy())
    layout = LAYOUT.as_stored(meta["layout"])
    return Checkpoint(layout.model_copy(update={"classes": list(meta["classes"])}), parts)


class Program(nn.Module):
    """What a version answers, as a module.

    Rows [n, ...] as `prepared` makes them -> what its `kind` makes of them [n, columns] float64, columns as its names:
    probabilities of classes, values of numbers.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        layout = checkpoint.layout
        self.network: Network = build(checkpoint).requires_grad_(False)
        self.kind = kinds.kind_of(layout)
        self._learned: list[int] = []
        if VALUES in checkpoint.parts:
            for place, codes in checkpoint.learned_values().codes.items():
                self._learned.append(place)
                self.register_buffer(f"learned_{place}", torch.from_numpy(codes))

    def prepared(self, inputs: Array) -> Tensor:
        """Raw rows as the program takes them: numbers as they are, tables coded in float64, texts as ids of tokens
        [n, 128] int64, -1 behind the last."""
        return self.network.prepare(inputs)

    def forward(self, rows: Tensor) -> Tensor:
        return cast(Tensor, self.kind(self._given(rows), rows))

    def rounded(self, rows: Tensor) -> float:
        """How far rounding alone may move an answer to these rows, where that is more than is allowed anyway."""
        with torch.no_grad():
            return self.kind.rounded(self._given(rows))

    def _given(self, rows: Tensor) -> Tensor:
        """What the head gives."""
        return self.network.logits(self._features(self._known(rows)))

    def _known(self, rows: Tensor) -> Tensor:
        """Rows of a table in which values of categories that were never learned are missing."""
        for place in self._learned:
            column = rows[:, place]
            known = torch.isin(column, cast(Tensor, getattr(self, f"learned_{place}")))
            rows = torch.cat([rows[:, :place], column.where(known, torch.nan)[:, None], rows[:, place + 1 :]], 1)
        return rows

    def _features(self, rows: Tensor) -> Tensor:
        network = self.network
        if isinstance(network.layout.input, TextInput):
            # the extractor cuts a block at its longest text, which no program can do
            x = cast(Extractor, network.backbone).body(rows)
            return torch.cat([lift(x) for lift in network.lifts], 1) if len(network.lifts) else cast(Tensor, x)
        return network.features(rows)


def exported(program: Program, rows: Tensor) -> ExportedProgram:
    """The program, for any number of rows. `rows`: two or more examples, as `Program.prepared` makes them."""
    with torch.no_grad():
        return torch.export.export(program, (rows,), dynamic_shapes={"rows": {0: Dim.DYNAMIC}})


def answers(program: ExportedProgram, rows: Tensor) -> NDArray[np.float64]:
    """What the exported program itself answers. [n, columns]"""
    run: Any = program.module()
    with torch.no_grad():
        return np.asarray(run(rows).numpy(), np.float64)
