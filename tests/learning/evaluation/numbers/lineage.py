"""A lineage of number models in process: each batch is learned, examined and remembered, as the worker does it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from service.contract.inputs import VectorInput
from service.contract.number_policy import NumberPolicy
from service.contract.reports.number_report import NumberReport
from service.contract.tables import TableInput
from service.contract.targets.number_target import NumberTarget
from service.learning.data.rows import Array, Floats
from service.learning.data.serialization import pack, unpack
from service.learning.evaluation.context import Candidate
from service.learning.evaluation.numbers.examine_numbers import NumberContext
from service.learning.evaluation.numbers.number_assessment import Tested
from service.learning.method import Learned
from service.learning.methods import resolve
from service.learning.run import Run
from tests.learning.memory_data import MemoryData
from tests.learning.number_streams import NumberStream
from tests.updating import run_update


class Lineage(NumberStream):
    """Every version goes live, whatever the gate says; the method is ridge, by default without lift and decay."""

    def __init__(
        self, columns: int | TableInput, target: NumberTarget | None = None, policy: NumberPolicy | None = None
    ) -> None:
        super().__init__(VectorInput(kind="vector", size=columns) if isinstance(columns, int) else columns, target)
        self.policy = policy or NumberPolicy()
        self.past: list[tuple[int, Tested]] = []
        self.candidates: list[Candidate] = []

    @property
    def context(self) -> NumberContext:
        return NumberContext(policy=self.policy, past=self.past, live=len(self.past) or None)

    def offer(self, data: MemoryData, expected: bool = False, **params: Any) -> Candidate:
        """What an update with this batch would make."""
        method = resolve({"name": "ridge", "lift": "none", "decay": 1, **params})
        return run_update(self.checkpoint, data, *method, Run(), replace(self.context, expected=expected))

    def grow(self, inputs: Array, targets: Floats, source: str | None = None, **params: Any) -> NumberReport:
        """Learns a batch for good, its memory packed and unpacked."""
        data = self.offered(inputs, targets, source)
        made = self.offer(data, **params)
        self.history.append(data.batch)
        self.checkpoint = made.checkpoint
        self.candidates.append(made)
        self.past.append((len(self.past) + 1, Tested.load(unpack(pack(made.bits.arrays()))[0])))
        assert isinstance(made.report, NumberReport)
        return made.report

    def retracted(self, batch: str) -> Candidate:
        """The version without a batch, as a retraction makes it."""
        learned: Learned = self.again(batch, lift="none", decay=1)
        kept = [rows for rows in self.history if batch not in rows.batches]
        data = MemoryData(self.input, self.architecture, kept, self.history[0].take(np.zeros(0, np.int64)))
        data.target = self.target
        return self.context.examine(self.checkpoint, learned, data, Run())
