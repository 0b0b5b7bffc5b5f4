"""Training starts from an exact head, whose scores are no log-odds until they are divided by its temperature."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from service.learning.exact.ridge_solver import solved_as
from service.learning.exact.solve import ABSENT
from service.learning.ledger.batch_weights import weights_of
from service.learning.ledger.feature_space import Space
from service.learning.ledger.ledger import Ledger
from service.learning.network.blocks import Block, GrownLinear
from service.learning.network.checkpoint import Checkpoint, Tensors
from service.learning.network.growth import matrix, merge
from service.learning.update_data import Data


def learning_sums(base: Checkpoint, data: Data) -> Ledger | None:
    """The sums behind the exact head of the base, with learning rows among them. None where no sums, or not they alone,
    are behind it."""
    exact = base.layout.exact
    if exact is None or "judge" not in base.parts or exact.kept_columns or not data.known_rows:
        return None
    space = Space.of(base)
    weights, unweighted = weights_of(base), exact.decay == 1 and not exact.source_weights
    ledger = data.ledger(space) if unweighted else data.weighted(space, weights, own=False)
    return ledger if ledger.learn.mass else None


def unselected(base: Checkpoint, data: Data) -> Tensors | None:
    """Solves the exact head of the base from its learning rows alone. The judge's head knows the selecting rows, too,
    on which a strength may be chosen. None where no sums, or not they alone, are behind the head.

    A class without learning rows keeps the judge's column.
    """
    exact, ledger = base.layout.exact, learning_sums(base, data)
    if exact is None or ledger is None:
        return None
    judge, head = base.parts["judge"], solved_as(exact, ledger.learn, ledger.shift)
    solved = head.aligned(base.classes)
    weight, bias = (torch.from_numpy(values).float() for values in (solved.weight, solved.bias))
    solved_for = frozenset(head.classes)
    has_rows = torch.tensor([name in solved_for for name in base.classes])
    return {
        "weight": torch.where(has_rows[:, None], weight, judge["weight"]),
        "bias": torch.where(has_rows, bias, judge["bias"]),
    }


@torch.no_grad()
def open_head(head: GrownLinear, judge: Tensors | None, temperature: float) -> None:
    """Prepares an exact head for training, in place: at temperature 1, with the judge's weights."""
    merge(head)
    for block in head:
        assert block.bias is not None
        if judge is not None:
            block.weight.copy_(judge["weight"])
            block.bias.copy_(judge["bias"])
        seen = block.bias > ABSENT / 2
        block.bias.copy_(torch.where(seen, block.bias, block.bias[seen].min() if seen.any() else 0.0))
        # a term that all scores share says nothing among old columns, but would drown new ones beside them
        block.weight.copy_((block.weight - block.weight.mean(0)) / temperature)
        block.bias.copy_((block.bias - block.bias.mean()) / temperature)


@dataclass(frozen=True, eq=False)
class ExactScale:
    """The scale of an exact head that keeps its bits while new columns train as log-odds beside it.

    unit [C]: the factor of each column behind the head.
    """

    temperature: float
    unit: Tensor

    @staticmethod
    def of(temperature: float, known: int, columns: int) -> ExactScale:
        unit = torch.ones(columns)
        unit[:known] /= temperature
        return ExactScale(temperature, unit)

    @torch.no_grad()
    def join(self, added: Block, head: GrownLinear, known: int) -> None:
        """Starts new columns from the mean of the known ones."""
        weight, bias = matrix(head)
        assert added.bias is not None
        added.weight.add_(weight[:known].mean(0) / self.temperature)
        added.bias.add_(bias[:known].mean() / self.temperature)

    @torch.no_grad()
    def leave(self, added: Block) -> None:
        """Converts new columns to the unit of the exact head beside them."""
        for p in added.parameters():
            p.mul_(self.temperature)
