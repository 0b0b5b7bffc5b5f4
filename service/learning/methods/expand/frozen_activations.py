"""Training added units on the frozen activations of the old ones, which are computed once, not once a step.

Where nothing new reaches an old unit, what old units and old outputs give for a row never changes while the new ones
train. So each row is kept with its activations, and a step costs what was added, however large the network is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn

from service.learning.methods.expand.expansion import LOOKED_AT_ONCE, Expansion
from service.learning.methods.expand.growable_layers import growable, inputs_and_outputs
from service.learning.training.learner import Learner
from service.learning.training.training_set import Labelled

MOST_BYTES = 2**29
"""What the rows may take with their activations; beyond, every step computes them."""


class AddedPart(nn.Module):
    """Logits from rows' frozen activations, [n, sum of widths] -> [n, C], bits aside as the whole network gives them.

    widths: numbers a row that each growable layer takes, that the head takes, and old columns.
    """

    def __init__(self, expansion: Expansion, widths: Sequence[int], unit: Tensor | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([b if b is not None else nn.Identity() for b in expansion.units])
        self.inserted = nn.ModuleList([i if i is not None else nn.Identity() for i in expansion.inserted])
        self.rows, self.unit = expansion.rows, unit
        self.spans = list(pairwise([0, *accumulate(widths)]))

    def forward(self, x: Tensor) -> Tensor:
        old = [x[:, start:stop] for start, stop in self.spans]
        new = x[:, :0]
        for k, (block, inserted) in enumerate(zip(self.blocks, self.inserted, strict=True)):
            outputs = [] if isinstance(inserted, nn.Identity) else [inserted(old[k + 1])]
            if not isinstance(block, nn.Identity):
                outputs.append(torch.relu(block(torch.cat([old[k], new], 1))))
            new = torch.cat(outputs, 1) if outputs else x[:, :0]
        columns = [old[-1], *([] if self.rows is None else [self.rows(torch.cat([old[-2], new], 1))])]
        y = torch.cat(columns, 1)
        return y if self.unit is None else y * self.unit.to(y.device)


class FrozenActivations:
    """What the layers of a network give for rows, seen before anything was added to it."""

    def __init__(self, learner: Learner) -> None:
        self.learner, self.widths = learner, list[int]()
        self.dense = all(layer.group == 1 for layer in growable(learner.network))

    def fits(self, rows: int) -> bool:
        """Whether so many rows fit into memory with their activations; never of filters, where it is not worth it."""
        if not self.dense:
            return False
        network = self.learner.network
        numbers = sum(layer.in_features for layer in [*network.hidden_layers(), network.head])
        return 4 * rows * numbers <= MOST_BYTES

    @torch.no_grad()
    def of(self, rows: Labelled) -> Labelled:
        """The rows as `AddedPart` takes them."""
        network = self.learner.network
        layers, pieces = growable(network), []
        for start in range(0, max(rows.rows, 1), LOOKED_AT_ONCE):
            self.learner.run.check()
            passed = list(inputs_and_outputs(network, layers, rows.x[start : start + LOOKED_AT_ONCE]))
            logits = network.head(passed[-1][1])
            activations = [taken.flatten(1) for taken, _ in passed]
            activations += [passed[-1][1].flatten(1), logits[:, : self.learner.known]]
            self.widths = [piece.shape[1] for piece in activations]
            pieces.append(torch.cat(activations, 1))
        return Labelled(torch.cat(pieces), rows.y)


@contextmanager
def training_added_part(learner: Learner, expansion: Expansion, widths: Sequence[int]) -> Iterator[None]:
    """Meanwhile the learner trains what was added on frozen activations; without `widths` it trains as usual."""
    if not widths:
        yield
        return
    whole = learner.body
    learner.body = AddedPart(expansion, widths, whole.unit)  # type: ignore[assignment]
    try:
        yield
    finally:
        learner.body = whole
