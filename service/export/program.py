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

    Rows [n, ...] as `prepared` makes them -> of classes: probabilities [n, C] float64, columns as `names`; of numbers:
    values [n, k] float64.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        layout = checkpoint.layout
        self.names = list(checkpoint.outputs)
        self.network: Network = build(checkpoint).requires_grad_(False)
        self.temperature = layout.temperature
        self.grid = layout.numbers
        if self.grid is not None:
            self.register_buffer("unit", torch.tensor(self.grid.unit, dtype=torch.float64))
            self.register_buffer("offset", torch.tensor(self.grid.offset, dtype=torch.float64))
        self._reach = layout.exact.reach if layout.exact is not None else []
        if self._reach:
            self.register_buffer("ends", torch.tensor(self._reach, dtype=torch.float64))
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
        answers = self.network.logits(self._features(self._known(rows)))
        if self.grid is None:
            return torch.softmax(answers / self.temperature, 1, dtype=torch.float64)
        answers = answers.to(torch.float64)
        if self._reach:
            answers = answers.clamp(*cast(Tensor, self.ends).unbind(1))
        goals = answers * cast(Tensor, self.unit) + cast(Tensor, self.offset)
        if self.grid.scale == "log":
            return goals.exp()
        column = self.grid.from_
        return goals if column is None else goals + rows[:, column, None]

    def largest_logit(self, rows: Tensor) -> float:
        """Of these rows, by what the softmax is given; 0 where numbers are predicted."""
        if self.grid is not None:
            return 0.0
        with torch.no_grad():
            return float(self.network.logits(self._features(self._known(rows))).abs().max()) / self.temperature

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
