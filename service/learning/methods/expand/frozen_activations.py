"""Training what was added to a network beside what stands still: the old part is computed once, not once a step.

Where nothing new reaches an old unit, what old units and old outputs give for a row never changes while the new ones
train. So each row is kept with what it gives inside, and a step costs what was added, however large the network is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn

from service.learning.methods.expand.expansion import LOOKED_AT_ONCE, Expansion
from service.learning.methods.expand.growable_layers import growing, passing
from service.learning.training.fit import Labelled
from service.learning.training.learner import Learner

MOST_BYTES = 2**29
"""What the rows may take with all that old units give for them; beyond, every step computes it."""


class Beside(nn.Module):
    """Logits from rows with what old units give for them, [n, sum of widths] -> [n, C], bits aside as the whole gives.

    widths: numbers a row that each growing layer takes, that the head takes, and old columns.
    """

    def __init__(self, grown: Expansion, widths: Sequence[int], unit: Tensor | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([b if b is not None else nn.Identity() for b in grown.units])
        self.inserted = nn.ModuleList([i if i is not None else nn.Identity() for i in grown.inserted])
        self.rows, self.unit = grown.rows, unit
        self.spans = list(pairwise([0, *accumulate(widths)]))

    def forward(self, x: Tensor) -> Tensor:
        old = [x[:, start:stop] for start, stop in self.spans]
        more = x[:, :0]
        for k, (block, inserted) in enumerate(zip(self.blocks, self.inserted, strict=True)):
            found = [] if isinstance(inserted, nn.Identity) else [inserted(old[k + 1])]
            if not isinstance(block, nn.Identity):
                found.append(torch.relu(block(torch.cat([old[k], more], 1))))
            more = torch.cat(found, 1) if found else x[:, :0]
        pieces = [old[-1], *([] if self.rows is None else [self.rows(torch.cat([old[-2], more], 1))])]
        y = torch.cat(pieces, 1)
        return y if self.unit is None else y * self.unit.to(y.device)


class Inside:
    """What a network gives inside for rows, seen before anything was added to it."""

    def __init__(self, learner: Learner) -> None:
        self.learner, self.widths = learner, list[int]()
        self.dense = all(place.group == 1 for place in growing(learner.network))

    def fits(self, rows: int) -> bool:
        """Is it worth it, and is there room for so many rows?"""
        if not self.dense:
            return False
        network = self.learner.network
        numbers = sum(layer.in_features for layer in [*network.hidden_layers(), network.head])
        return 4 * rows * numbers <= MOST_BYTES

    @torch.no_grad()
    def of(self, rows: Labelled) -> Labelled:
        """The rows with what is inside."""
        network = self.learner.network
        places, pieces = growing(network), []
        for start in range(0, max(rows.rows, 1), LOOKED_AT_ONCE):
            self.learner.run.check()
            passed = list(passing(network, places, rows.x[start : start + LOOKED_AT_ONCE]))
            logits = network.head(passed[-1][1])
            found = [given.flatten(1) for given, _ in passed]
            found += [passed[-1][1].flatten(1), logits[:, : self.learner.known]]
            self.widths = [piece.shape[1] for piece in found]
            pieces.append(torch.cat(found, 1))
        return Labelled(torch.cat(pieces), rows.y)


@contextmanager
def training_beside(learner: Learner, grown: Expansion, widths: Sequence[int]) -> Iterator[None]:
    """Meanwhile the learner trains what was added on rows of `Inside`; without `widths` all is as ever."""
    if not widths:
        yield
        return
    whole = learner.body
    learner.body = Beside(grown, widths, whole.unit)  # type: ignore[assignment]
    try:
        yield
    finally:
        learner.body = whole
