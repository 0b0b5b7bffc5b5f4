"""An exported version of numbers: values, from units of the grid of their targets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from service.contract.predictions import NumberPredictions
from service.contract.reports.number_report import NumberReport
from service.contract.version_resources import Version
from service.export.kinds.kind import Kind
from service.export.markdown import code, plain
from service.learning.gate.numbers.number_words import YARDSTICKS
from service.learning.network.checkpoint import Layout


class NumberKind(Kind[NumberPredictions, NumberReport]):
    shape = "[n, k]: the numbers"
    regression = True

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        assert layout.numbers is not None, "numbers have a grid"
        self.names, self.grid, self.added_back = list(layout.outputs), layout.numbers, layout.numbers.from_
        self.register_buffer("unit", torch.tensor(self.grid.unit, dtype=torch.float64))
        self.register_buffer("offset", torch.tensor(self.grid.offset, dtype=torch.float64))
        self._reach = layout.exact.reach if layout.exact is not None else []
        if self._reach:
            self.register_buffer("ends", torch.tensor(self._reach, dtype=torch.float64))

    def forward(self, given: Tensor, rows: Tensor) -> Tensor:
        answers = given.to(torch.float64)
        if self._reach:
            answers = answers.clamp(*cast(Tensor, self.ends).unbind(1))
        goals = answers * cast(Tensor, self.unit) + cast(Tensor, self.offset)
        if self.grid.scale == "log":
            return goals.exp()
        column = self.added_back
        return goals if column is None else goals + rows[:, column, None]

    def difference(self, answer: NumberPredictions, own: NDArray[np.float64]) -> float:
        """As a part of a number's size or of the spread of the answers."""
        values = np.array(answer.values, np.float64).reshape(own.shape)
        size = np.maximum(np.abs(values), np.ptp(values, axis=0))
        return float(np.max(np.abs(values - own) / np.where(size > 0, size, 1.0)))

    def predicts(self, version: Version) -> str:
        return f"It predicts {'numbers' if len(self.names) > 1 else 'a number'}: {', '.join(map(code, self.names))}."

    def quality(self, report: NumberReport) -> Iterator[str]:
        tested = report.tested
        if tested is None:
            return
        errors = ", ".join(f"{plain(number.name)} {number.mae:.6g}" for number in tested.numbers) or f"{tested.mae:.6g}"
        yield ""
        yield f"Mean error {errors} on {tested.rows:,} rows of {tested.batches:,} batches, before it learned them."
        if report.beside is not None:
            name, error = report.beside
            yield f"On the same rows {YARDSTICKS[name]} is off by {error:.6g} on average."
        elif report.skill is not None:
            below = f"{abs(report.skill):.1%} {'below' if report.skill >= 0 else 'above'}"
            yield f"On the same rows the mean error is {below} that of the model's yardstick."
