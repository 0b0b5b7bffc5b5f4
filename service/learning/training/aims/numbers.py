"""Training for numbers: a column a number, in units of the targets' grid, and the Huber loss.

A squared loss follows a few targets that are far off; the Huber loss is squared up to delta and grows by the error
alone beyond (Huber: Robust estimation of a location parameter, 1964). Delta is 1.35 times the spread of what the exact
head of the learning rows leaves on the selecting ones: 1.4826 times the median distance from the median.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from service.learning.data.rows import Array, FeatureRows, Floats, Rows
from service.learning.data.target_grid import NumberGrid
from service.learning.ledger.ledger import Ledger
from service.learning.method_params import GradientParams
from service.learning.network.blocks import GrownLinear
from service.learning.network.checkpoint import Checkpoint
from service.learning.network.growth import merge
from service.learning.number_heads.equations import NumberMoments, goals_in_units, number_head
from service.learning.number_heads.learn import grid_for
from service.learning.number_heads.strength import choose_strength
from service.learning.training.aims.aim import Aim, Answered, Scored
from service.learning.training.from_exact_head import learning_sums
from service.learning.update_data import Data

SPREADS = 1.35
"""Delta in spreads: 95 % as efficient as the squared loss where errors are normal."""
NORMAL = 1.4826
"""The standard deviation of a normal distribution over its median distance from the median."""
LEAST_ROWS = 20
"""Selecting rows below which the mean squared error on the learning ones tells the spread."""
LEAST_DELTA = 2.0**-6
"""Least delta, in units, where the exact head hits targets all but exactly."""
QUIET = 0.1
"""What the weights of a head that was drawn are multiplied by."""
TIMES = 1.5
"""A note is given where errors on rows are that many times those on remembered ones."""
MOVED = (
    "The version before was off by {:.1f} times as much on the update's rows as on the remembered ones. If what comes "
    "changes with time, remembered rows hold it back: use fine_tune, or ridge with a decay."
)
BY_HEART = (
    "Errors on rows kept back are {:.1f} times those on remembered rows: these were learned by heart. A larger "
    "memory_rows helps."
)


@dataclass(frozen=True, eq=False)
class RobustLoss:
    """The mean over rows and numbers of e^2 / 2 up to delta [k] and delta (|e| - delta / 2) beyond; infinite deltas
    make it the squared loss. unit [k]: of the grid."""

    delta: Tensor
    unit: Tensor

    def __call__(self, outputs: Tensor, y: Tensor) -> Tensor:
        return self.apart(outputs, y).mean()

    def mixed(self, columns: int, *parts: Tensor, weights: Sequence[float] = ()) -> RobustLoss:
        """Itself: numbers have no shares of the rows."""
        return self

    def between(self, outputs: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        return self.apart(outputs, teacher).mean(1)

    def apart(self, outputs: Tensor, before: Tensor) -> Tensor:
        size, delta = (outputs - before).abs(), self.delta.to(outputs.device)
        inside = torch.minimum(size, delta)
        return inside * (size - inside / 2)

    def right(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Rows whose errors are all within delta."""
        return ((outputs - y).abs() <= self.delta.to(outputs.device)).all(1)

    def report(self) -> Mapping[str, Any]:
        """Delta in the unit of what is learned."""
        if not bool(torch.isfinite(self.delta).all()):
            return {"loss": "squared"}
        return {"loss": "huber", "delta": [float(d) for d in self.delta.double() * self.unit]}


@dataclass(frozen=True, eq=False, kw_only=True)
class NumberAim(Aim):
    """names: those of the numbers. y [n, k] float32: goals in units of the grid."""

    grid: NumberGrid

    @classmethod
    def of(cls, base: Checkpoint | None, data: Data) -> Self:
        grid = grid_for(base, data)
        return cls(tuple(grid.names), grid.size if base is not None and base.outputs else 0, grid=grid)

    @property
    def layout(self) -> Mapping[str, Any]:
        return {"classes": [], "numbers": self.grid}

    def targets(self, rows: Rows) -> Tensor:
        if isinstance(rows, FeatureRows):
            return torch.from_numpy(goals_in_units(rows, self.grid)).float()
        targets = rows.targets if len(rows) else np.zeros((0, self.grid.size))
        return torch.from_numpy(self.grid.in_units(self.grid.goals(targets, rows.inputs))).float()

    def unknown(self, inputs: Array) -> Floats:
        return self.grid.targets(self.grid.value(np.zeros((len(inputs), self.grid.size))), inputs)

    def loss(self, params: GradientParams, ledger: Callable[[], Ledger]) -> RobustLoss:
        squared = params.loss == "squared"
        delta = torch.full((self.grid.size,), torch.inf) if squared else self._delta(ledger())
        return RobustLoss(delta, torch.from_numpy(self.grid.unit))

    def _delta(self, ledger: Ledger) -> Tensor:
        """Delta of each number, in units. [k]"""
        head = choose_strength(ledger.learn, ledger.select, self.grid.size, ledger.shift).head()
        rows = ledger.selected
        if len(rows) >= LEAST_ROWS:
            left = head.answers(rows, ledger.shift) - goals_in_units(rows, self.grid)
            spread = NORMAL * np.median(np.abs(left - np.median(left, 0)), 0)
        elif ledger.learn.mass > 0:
            spread = np.sqrt(NumberMoments.of(ledger.learn, self.grid.size).squared_errors(head, ledger.shift))
        else:
            spread = np.ones(self.grid.size)
        return torch.from_numpy(np.maximum(SPREADS * spread, LEAST_DELTA)).float()

    @torch.no_grad()
    def begin(self, head: GrownLinear) -> None:
        """Makes weights small: answers begin near the offset of the grid, about the mean, and not a spread away."""
        for block in head:
            block.weight.mul_(QUIET)

    @torch.no_grad()
    def open_head(self, head: GrownLinear, base: Checkpoint, data: Data) -> None:
        merge(head)
        [block] = head
        judge, sums = base.parts.get("judge"), learning_sums(base, data)
        if sums is not None:
            exact = base.layout.exact
            assert exact is not None, "sums are behind exact heads"
            assert exact.alpha is not None, "heads of numbers have a strength"
            solved = number_head(sums.learn, self.grid.size, sums.shift, exact.alpha)
            judge = {"weight": torch.from_numpy(solved.weight), "bias": torch.from_numpy(solved.bias)}
        if judge is not None:
            assert block.bias is not None
            block.weight.copy_(judge["weight"])
            block.bias.copy_(judge["bias"])

    def new(self, y: Tensor) -> Tensor:
        return torch.zeros(len(y), dtype=torch.bool)

    def had_column(self, y: Tensor, width: Tensor) -> Tensor:
        return torch.ones(len(y), dtype=torch.bool)

    def lacks_old(self, y: Tensor) -> bool:
        return False

    def covered(self, y: Tensor, by: Tensor) -> bool:
        return len(by) > 0

    def alone(self, y: Tensor) -> None:
        return None

    def largest(self, y: Tensor) -> int:
        return len(y)

    def counts(self, rows: Rows) -> dict[str, int]:
        return {"rows": len(rows)}

    def usual(self, y: Tensor, outputs: Callable[[], Tensor]) -> Tensor:
        """The mean error of the base on these rows, for each number. [k]"""
        return (outputs() - y).abs().mean(0) if len(y) else torch.ones(y.shape[1])

    def scores(self, outputs: Tensor, y: Tensor, usual: Tensor) -> Tensor:
        """The part of the base's mean error that a row's error leaves: their mean is 0 where nothing is won."""
        return (1 - (outputs - y).abs() / usual.clamp(min=1e-12)).mean(1)

    def information(self, outputs: Tensor, chance: Tensor, exact: bool) -> Scored:
        """The outputs themselves: where errors are normal, the Fisher information is the sum of the squares of their
        gradients, exact, and no label is asked."""
        return outputs, torch.ones_like(outputs.detach())

    def sensitive(self, outputs: Tensor) -> Scored:
        """The outputs themselves: unlike their squares they do not depend on where 0 is."""
        return outputs, torch.full_like(outputs.detach(), 1 / outputs.shape[1])

    def moved(self, memory: Answered, new: Answered) -> str | None:
        return _noted(memory, new, MOVED)

    def by_heart(self, memory: Answered, held: Answered) -> str | None:
        return _noted(memory, held, BY_HEART)


def _noted(memory: Answered, others: Answered, sentence: str) -> str | None:
    """The sentence with how many times the mean error on memory that on others is, a mean over the numbers."""
    mine, beside = ((part.outputs - part.y).abs().double().mean(0) for part in (others, memory))
    times = float((mine / beside.clamp(min=1e-12)).mean())
    return sentence.format(times) if times > TIMES else None
